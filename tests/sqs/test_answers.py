"""Whatever an endpoint answers fits everywhere, or is a QueueError: no dispatcher dies of it."""

import contextlib
import copy
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.dead_letter import dead_letter
from fleet.core.queue import Message, QueueError
from fleet.core.slot_state import State
from fleet.ipc.scoreboard import Record, Scoreboard, create
from fleet.sqs import answers
from fleet.sqs.address import Address
from fleet.sqs.queue import SqsQueue
from fleet.sqs.sessions import Sessions

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3)
    ),
    max_leaves=8,
)
POLICY = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:1:dlq", "maxReceiveCount": "3"})
GOOD: dict[str, Any] = {
    "Messages": [
        {
            "MessageId": "id",
            "ReceiptHandle": "handle",
            "Body": "body",
            "MD5OfBody": "841a2d689ad86bd1611447453c22c6fc",
            "Attributes": {
                "ApproximateReceiveCount": "1",
                "AWSTraceHeader": "Root=1",
                "MessageGroupId": "blue",
            },
            "MessageAttributes": {"colour": {"DataType": "String", "StringValue": "blue"}},
        }
    ],
    "QueueUrl": "http://localhost/1/dlq",
    "MessageId": "2",
    "Attributes": {
        "RedrivePolicy": POLICY,
        "ApproximateNumberOfMessages": "1",
        "ApproximateNumberOfMessagesNotVisible": "2",
        "ApproximateNumberOfMessagesDelayed": "0",
        "QueueArn": "arn:aws:sqs:us-east-1:1:jobs",
    },
}
OURS = Message("id", "handle", "body")


class FakeTransport:
    """A transport that answers as the test says."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ARG002
        """The answer to that operation, or the good one."""
        return self._answers.get(operation, GOOD)

    def close(self) -> None:
        """Nothing."""

    def forget(self) -> None:
        """Nothing."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """None."""
        return ()


class FakeSessions(Sessions):
    """Sessions whose transports answer as the test says."""

    answers: Mapping[str, Any] = {}

    def make_transport(self, *_: object) -> FakeTransport:
        """The fake one."""
        return FakeTransport(self.answers)


SESSIONS = FakeSessions(Address("jobs", "us-east-1", "http://127.0.0.1:1", "key", "secret"))
CALLS: dict[str, Callable[[SqsQueue], object]] = {
    "ReceiveMessage": lambda queue: [queue.receive(1, 20), *queue.receive_many(1, 20, 10)],
    "ChangeMessageVisibility": lambda queue: queue.extend(OURS, 20),
    "DeleteMessage": lambda queue: queue.delete(OURS),
    "GetQueueAttributes": lambda queue: (queue.max_receive_count(), queue.depth(), queue.arn()),
    "RedrivePolicy": lambda queue: queue.dead_letter(OURS, {}),
    "GetQueueUrl": lambda queue: queue.url,
    "SendMessage": lambda queue: queue.dead_letter(OURS, {}),
}


def opened(operation: str, answer: object) -> SqsQueue:
    name = "GetQueueAttributes" if operation == "RedrivePolicy" else operation
    sessions = copy.copy(SESSIONS)  # to make one takes long
    sessions.answers = {name: answer}
    return SqsQueue(sessions, None if operation == "GetQueueUrl" else "http://localhost/1/jobs")


def fits(found: object) -> None:
    """It can be written to the scoreboard, and sent as a dead letter."""
    if isinstance(found, list):
        for each in found:
            fits(each)
    if not isinstance(found, Message):
        return
    assert not any(ord(char) < 32 for char in found.id + found.handle)
    if found.unusable:  # never noted, and never sent anywhere
        return
    fd = create()
    board = Scoreboard(fd)
    record = Record(
        State.WORKING, 1, message_id=found.id, receipt_handle=found.handle, attempt=found.attempt
    )
    board.writer(0).write(record)
    assert board.read(0) == record
    board._memory.close()
    os.close(fd)
    letter = dead_letter(found, {"FleetDeath": "exit 1"}, fifo=True)
    json.dumps({name: value for name, value in letter.items() if name != "MessageAttributes"})


def spoiled(data: st.DataObject, good: Any) -> Any:
    """The answer with one value in it replaced, or left out."""
    if isinstance(good, dict) and good and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(good)))
        if data.draw(st.booleans()):
            return {**good, name: spoiled(data, good[name])}
        return {each: value for each, value in good.items() if each != name}
    if isinstance(good, list) and good and data.draw(st.booleans()):
        return [spoiled(data, good[0])]
    return data.draw(JSON | st.just("x" * 5000) | st.just("\ud800") | st.just(10**12) | st.just(-1))


@pytest.mark.parametrize("operation", CALLS)
@settings(max_examples=50, deadline=None)
@given(answer=JSON)
def test_any_answer(operation: str, answer: object) -> None:
    check(operation, answer)


@pytest.mark.parametrize("operation", CALLS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_answer_with_one_thing_wrong(operation: str, data: st.DataObject) -> None:
    check(operation, spoiled(data, GOOD))


def check(operation: str, answer: object) -> None:
    queue = opened(operation, answer)
    with contextlib.suppress(QueueError):
        fits(CALLS[operation](queue))


def test_a_good_answer_is_taken() -> None:
    """The test above would pass if nothing was."""
    for operation, call in CALLS.items():
        call(opened(operation, GOOD))


# One by one: what is absent, what is no good, and what that means for those beside it.


def received(**changes: Any) -> list[Message]:
    """Three messages, the one in the middle changed; a member that is ... is left out."""
    good = GOOD["Messages"][0]
    bad = {name: value for name, value in {**good, **changes}.items() if value is not ...}
    answer = {"Messages": [{**good, "MessageId": "first"}, bad, {**good, "MessageId": "last"}]}
    return opened("ReceiveMessage", answer).receive_many(1, 20, 10)


@pytest.mark.parametrize(
    "changes",
    [
        {"Attributes": None},
        {"MessageAttributes": None},
        {"Attributes": ..., "MessageAttributes": ..., "MD5OfBody": ...},
        {"MessageAttributes": {"x": None, "y": {"DataType": "String", "StringValue": None}}},
        {"Attributes": {"ApproximateReceiveCount": None, "SenderId": None}},
        {"MD5OfBody": None, "MD5OfMessageAttributes": None},
    ],
)
def test_a_member_that_is_null_is_one_that_is_not_there(changes: dict[str, Any]) -> None:
    _, message, _ = received(**changes)
    assert (message.unusable, message.body, message.attempt) == ("", "body", 1)
    assert None not in message.attributes.values()
    assert None not in message.system_attributes.values()
    fits(message)


@pytest.mark.parametrize(
    "changes",
    [
        {"MessageId": "a\0b"},
        {"MessageId": "a\nb"},
        {"MessageId": "\x1b[2J"},
        {"MessageId": "a\u202eb"},  # turns what follows around
        {"MessageId": "a\u2028b"},
        {"MessageId": None},
        {"MessageId": ""},
        {"MessageId": "x" * 101},
        {"MessageId": 7},
        {"ReceiptHandle": "a\0b"},
        {"ReceiptHandle": None},
        {"ReceiptHandle": "x" * 1025},
        {"Body": None},
        {"Body": ...},
        {"Body": 7},
        {"Attributes": ["x"]},
        {"Attributes": {"ApproximateReceiveCount": "many"}},
        {"Attributes": {"ApproximateReceiveCount": float("inf")}},
        {"Attributes": {"ApproximateReceiveCount": -1}},
        {"MessageAttributes": {"x": "y"}},
        {"MessageAttributes": {"x": {"DataType": "Binary", "BinaryValue": "not base64"}}},
    ],
)
def test_a_message_that_is_no_good_does_not_lose_those_beside_it(changes: dict[str, Any]) -> None:
    first, bad, last = received(**changes)
    assert bad.unusable == "it is not as SQS describes messages"
    assert (bad.id, bad.handle, bad.body) == (
        "(not known)" if "MessageId" in changes else "id",
        "",
        "",
    )
    assert [(each.id, each.body, each.unusable) for each in (first, last)] == [
        ("first", "body", ""),
        ("last", "body", ""),
    ]


@pytest.mark.parametrize("raw", [None, 7, "text", [], {}])
def test_something_among_messages_that_is_none(raw: object) -> None:
    (message,) = opened("ReceiveMessage", {"Messages": [raw]}).receive_many(1, 20, 10)
    assert message.unusable
    assert message.id == "(not known)"


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        ("body", "0" * 32),
        ("bodY", "841a2d689ad86bd1611447453c22c6fc"),
        ("body", 7),
        ("\ud800", "841a2d689ad86bd1611447453c22c6fc"),
    ],
)
def test_a_body_that_is_not_what_was_sent(body: str, digest: object) -> None:
    _, bad, _ = received(Body=body, MD5OfBody=digest)
    assert "MD5OfBody" in bad.unusable
    assert (bad.id, bad.attempt, bad.body) == ("id", 1, "")


def test_a_body_is_what_was_sent_whatever_it_is_written_with() -> None:
    digest = hashlib.md5("ü€😀\t".encode()).hexdigest()  # noqa: S324 - SQS's
    _, message, _ = received(Body="ü€😀\t", MD5OfBody=digest)
    assert (message.body, message.unusable) == ("ü€😀\t", "")


@pytest.mark.parametrize("answer", [{}, {"Messages": None}, {"Messages": []}])
def test_no_messages(answer: object) -> None:
    queue = opened("ReceiveMessage", answer)
    assert queue.receive(1, 20) is None
    assert queue.receive_many(1, 20, 10) == []


def test_more_messages_than_were_asked_for_have_no_place_here() -> None:
    assert (
        len(opened("ReceiveMessage", {"Messages": GOOD["Messages"] * 12}).receive_many(1, 20, 3))
        == 3
    )


@pytest.mark.parametrize("attributes", [None, {}, {"RedrivePolicy": None}])
def test_no_redrive_policy(attributes: object) -> None:
    assert opened("GetQueueAttributes", {"Attributes": attributes}).max_receive_count() is None


COUNTED = dict.fromkeys(answers.COUNTS, "0")


@pytest.mark.parametrize("wrong", [None, "", "many", "-1", "1e3", "9" * 400, [], float("nan"), ...])
@pytest.mark.parametrize("name", answers.COUNTS)
def test_a_count_that_is_missing_is_not_zero(name: str, wrong: object) -> None:
    """A queue that is empty ends pools."""
    counts = {each: value for each, value in {**COUNTED, name: wrong}.items() if value is not ...}
    with pytest.raises(QueueError, match="no usable answer"):
        opened("GetQueueAttributes", {"Attributes": counts}).depth()
