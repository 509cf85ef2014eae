"""Where a dead letter is sent to: account and region are its queue's own, whoever asks."""

import json
from collections.abc import Callable, Iterator

import pytest

from fleet.core.queue import Message, QueueError, Trouble
from fleet.sqs.address import Address
from fleet.sqs.answers import arn_parts
from fleet.sqs.queue import SqsQueue
from fleet.sqs.sessions import Sessions
from fleet.sqs.stream import ConnectOptions
from tests.support.proxy import Exchange, FaultProxy
from tests.support.servers import CREDENTIALS, REGION

MESSAGE = Message("id", "handle", "body")
OTHERS_ARN = "arn:aws:sqs:eu-west-1:210987654321:their-dlq"
OTHERS_URL = "https://sqs.eu-west-1.amazonaws.com/210987654321/their-dlq"

Open = Callable[..., SqsQueue]


@pytest.fixture
def opened(proxy: FaultProxy) -> Iterator[Open]:
    """A queue of ours in us-east-1, whose redrive policy says what the test wants."""

    def open_it(arn: str, beat: Callable[[], object] = lambda: None) -> SqsQueue:
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
        proxy.say(
            "GetQueueAttributes", json.dumps({"Attributes": {"RedrivePolicy": policy}}).encode()
        )
        proxy.say("GetQueueUrl", json.dumps({"QueueUrl": OTHERS_URL}).encode())
        proxy.say("SendMessage", b'{"MessageId": "1"}', times=9)
        keys = CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
        sessions = Sessions(Address("jobs", REGION, proxy.endpoint, *keys))
        queues.append(
            SqsQueue(sessions, "http://localhost/1/jobs", options=ConnectOptions(heartbeat=beat))
        )
        return queues[-1]

    queues: list[SqsQueue] = []
    yield open_it
    for queue in queues:
        queue.close()


def asked(proxy: FaultProxy) -> list[tuple[str, str]]:
    """The calls so far, with the region that each was signed for."""
    return [(each.action, each.region) for each in proxy.journal()]


def only(found: list[Exchange]) -> Exchange:
    (exchange,) = found
    return exchange


def test_account_and_region_are_the_arns(opened: Open, proxy: FaultProxy) -> None:
    opened(OTHERS_ARN).dead_letter(MESSAGE, {})
    assert asked(proxy) == [
        ("GetQueueAttributes", "us-east-1"),
        ("GetQueueUrl", "eu-west-1"),
        ("SendMessage", "eu-west-1"),
    ]
    look_up = only(proxy.journal("GetQueueUrl")).request
    assert look_up == {"QueueName": "their-dlq", "QueueOwnerAWSAccountId": "210987654321"}
    assert only(proxy.journal("SendMessage")).request["QueueUrl"] == OTHERS_URL


def test_in_our_own_region_the_connection_is_our_own(opened: Open, proxy: FaultProxy) -> None:
    queue = opened(OTHERS_ARN.replace("eu-west-1", REGION))
    queue.dead_letter(MESSAGE, {})
    assert {region for _, region in asked(proxy)} == {REGION}
    assert len(queue.descriptors) == 1


def test_a_second_dead_letter_needs_no_second_look_up(opened: Open, proxy: FaultProxy) -> None:
    """Also after a new session, whose connection to the other region is a new one too."""
    queue = opened(OTHERS_ARN)
    queue.dead_letter(MESSAGE, {})
    queue.dead_letter(MESSAGE, {})
    queue.renew()
    queue.dead_letter(MESSAGE, {})
    assert [action for action, _ in asked(proxy)] == [
        "GetQueueAttributes",
        "GetQueueUrl",
        *["SendMessage"] * 3,
    ]
    assert {each.region for each in proxy.journal("SendMessage")} == {"eu-west-1"}


def test_without_a_policy_there_is_nowhere_to_send_it(opened: Open, proxy: FaultProxy) -> None:
    queue = opened(OTHERS_ARN)
    proxy.heal("GetQueueAttributes")
    proxy.say("GetQueueAttributes", b"{}")
    with pytest.raises(QueueError) as caught:
        queue.dead_letter(MESSAGE, {})
    assert caught.value.trouble is Trouble.FINAL
    assert not proxy.journal("SendMessage")


@pytest.mark.parametrize("region", ["eu-west-1", REGION])
def test_what_is_wrong_with_it_is_said_of_it(opened: Open, proxy: FaultProxy, region: str) -> None:
    queue = opened(OTHERS_ARN.replace("eu-west-1", region))
    proxy.heal("GetQueueUrl")  # and the server has no such queue
    with pytest.raises(QueueError, match="queue 'their-dlq' does not exist"):
        queue.dead_letter(MESSAGE, {})


def test_a_beat_between_the_calls(opened: Open, proxy: FaultProxy) -> None:
    """Each may take its whole time-out, and the master takes a longer silence for a hang."""
    beats: list[list[str]] = []
    queue = opened(OTHERS_ARN, lambda: beats.append([action for action, _ in asked(proxy)]))
    queue.dead_letter(MESSAGE, {})
    assert ["GetQueueAttributes"] in beats
    assert ["GetQueueAttributes", "GetQueueUrl"] in beats


@pytest.mark.parametrize(
    ("arn", "said"),
    [
        (OTHERS_ARN, ("eu-west-1", "210987654321", "their-dlq")),
        ("arn:aws-us-gov:sqs:us-gov-west-1:1:q.fifo", ("us-gov-west-1", "1", "q.fifo")),
        ("x", ("", "", "x")),
        ("", ("", "", "")),
    ],
)
def test_what_an_arn_says(arn: str, said: tuple[str, str, str]) -> None:
    assert arn_parts(arn) == said
