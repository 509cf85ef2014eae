"""What two processes of a pool say to each other, as packets."""

import json
from collections.abc import Iterator
from dataclasses import astuple, fields, replace
from typing import Any, cast, get_args

import pytest

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.outcomes import Outcome, Settlement
from fleet.core.pool.recovery_orders import AT_ONCE
from fleet.core.protocol import Grant, NotForked, Plan, Ready, Word
from fleet.core.queue_config import MOST_QUEUES, QueueConfig
from fleet.core.queue_place import Keys, QueuePlace
from fleet.core.scout_protocol import (
    DeleteTried,
    Late,
    Recover,
    SampleFailed,
    TryDelete,
    Unusable,
    Usable,
)
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from tests.support.queues import one_queue

# SQS's handles have some hundred characters.
LONG = Recover(1, "m" * 100, "h" * 1500, Settlement.DELETE, 0, 1e6)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = channel.make_pair()
    both = ours, Channel(theirs)
    yield both
    for end in both:
        end.close()


def test_what_is_said_is_heard_in_order(ends: tuple[Channel, Channel]) -> None:
    said: list[Word] = [LONG, Recover(2, "m", "h", Settlement.RELEASE, 3, 1e6, "call")]
    assert all(ends[0].send(word) for word in said)
    assert ends[1].receive() == said


def test_what_there_is_no_room_for_is_not_said(ends: tuple[Channel, Channel]) -> None:
    count = 0
    while ends[0].send(LONG):
        count += 1
    assert count > AT_ONCE
    assert len(ends[1].receive()) == count
    assert ends[0].send(LONG)


ODD = (
    b"rubbish",
    b"\xff\xfe",
    b"[]",
    b"{}",
    b"7",
    b'"Ready"',
    b'["Ready"]',
    b'["Ready", 1, 2]',
    b'["Ready", "1"]',
    b'["Ready", null]',
    b'["ready", 1]',
    b'[["Ready"], 1]',
    b'["Received", {}, 1]',
    b'["Settled", "eaten", null, null, false]',
    b'["Settled", "deleted", "", null, false]',
    b'["Settled", "deleted", null, null, false, false, false, 0.0, null, "0"]',
    b'["Depth", 1, 0, 0]',
    b'["Config"]',
    b'["Sampled", 0, [1.5, 0, 0]]',
    b'["Sampled", 0, 7]',
    b'{"Free": 1}',
    b'["Plan", [], 7, 1]',
    b'["Plan", [], [], 1]',
    b'["Plan", [], {"abc": 1}, 1]',
    b'["Plan", [], [{"jobs": 1, "app:job": 2, "x": 3}], 1]',
    b'["Plan", [], ["jx"], 1]',
    b'["Plan", "", [["jobs", "app:job", null]], 1]',
    b'["Plan", [], [["jobs", "app:job", ""]], 1]',
    b'["Sampled", false, [1, 0, 0]]',
    b'["Sampled", 0, [true, 0, 0]]',
    b'["Grant", 1, 2.0, true]',
    b'["Fork", 1, {"a": 1}, ["key", "secret"]]',
    b'["Fork", 1, ["abc"], ["key", "secret"]]',
    b'["Fork", 1, [0], ["key", "secret"]]',
    b'["Fork", 1, [null], ["key", "secret"]]',
    b'["Fork", 1, null, ["key", "secret"]]',
    b'["Fork", 1, [[]], ["key", "secret"]]',
    b'["Fork", 1, [["jobs", "url", "x"]], "ab"]',
    b'["Plan", [], [["jobs", "app:job"]], 1]',
    b'["Plan", [], [["jobs", "app:job", [], "1"]], 1]',
    b'["Plan", [], [["jobs", "app:job", ["8"]]], 1]',
    b'["Fork", 1, [7], ["key", "secret"]]',
    b'["Fork", 1, [["jobs", "url", 7]], ["key", "secret"]]',
    b'["Ready", 1',
    b"[" * 50_000,
    b'["PollFailed", "' + b"x" * 100_000 + b'"]',
)


@pytest.mark.parametrize("packet", ODD, ids=lambda packet: packet[:20].decode(errors="replace"))
def test_what_is_no_word_raises_nothing_and_is_told(
    ends: tuple[Channel, Channel], packet: bytes
) -> None:
    """What came before is heard; what comes after it, if anybody still wants to hear."""
    ours, theirs = ends
    ours.send(Ready(1))
    ours._socket.send(packet)
    ours.send(Ready(2))
    assert theirs.receive() == [Ready(1)]
    assert theirs.garbled
    assert len(theirs.garbled) < 500
    assert theirs.receive() == [Ready(2)]


def test_options_of_the_wrong_type_are_no_plan(ends: tuple[Channel, Channel]) -> None:
    ends[0].send(Plan(Config(wait_time=cast(Any, "soon")), one_queue(), 1))
    assert ends[1].receive() == []
    assert "wait_time is 'soon'" in ends[1].garbled


@pytest.mark.parametrize(
    "packet",
    [
        b'["Keys", "AKIA", "hush", 7, null]',
        b'["Keys", "AKIA", ["hush"], "", null]',
        b'["Keys", "AKIA", "hush"',
        b'["Fork", 1, [["jobs", "url", "x"]], ["AKIA", "hush", 7]]',
        b'["Fork", 1, [["jobs", "url", 7, "hush"]], ["AKIA", "hush"]]',
        b'["Resolved", [["jobs", "url", "x"]], ["AKIA", {"hush": 1}]]',
        b'["Recover", 1, "m", ["hush"], "deleted", 0, 1.0]',
    ],
)
def test_what_may_be_secret_is_not_quoted(ends: tuple[Channel, Channel], packet: bytes) -> None:
    ends[0]._socket.send(packet)
    assert ends[1].receive() == []
    assert ends[1].garbled
    assert "hush" not in ends[1].garbled


def test_one_that_is_muted_says_and_hears_nothing(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    ours.send(Ready(1))
    theirs.mute()
    assert theirs.receive() == []
    assert theirs.send(Ready(2))
    assert ours.receive() == []
    assert ours.closed


def test_every_word_comes_as_it_was_said(ends: tuple[Channel, Channel]) -> None:
    for kind in get_args(Word):
        word = kind(
            *(
                EXAMPLES[field.type]
                for field in fields(kind)
                if field.default is field.default_factory
            )
        )
        assert ends[0].send(word)
        (heard,) = ends[1].receive()
        assert json.dumps(astuple(heard)) == json.dumps(astuple(word))  # a tuple comes as a list
        assert type(heard) is kind


@pytest.mark.parametrize(
    "word",
    [
        Grant(10, 1.0, 7),
        Usable(QueuePlace("jobs", "http://127.0.0.1:1/", "x"), [], "dead", 7),
        Late("no answer", 1.5, 7),
        Unusable(7, 5, "it does not exist"),
        SampleFailed("no answer", 7),
        Recover(1, "m", "h", Settlement.DELETE, 0, 1e6, queue=7),
        TryDelete("m", "h", 7),
        DeleteTried(denied=True, queue=7),
    ],
    ids=lambda word: type(word).__name__,
)
def test_a_word_about_a_queue_says_which(ends: tuple[Channel, Channel], word: Word) -> None:
    assert ends[0].send(word)
    assert ends[1].receive() == [word]


LONG_TOPIC = "arn:aws:sns:eu-central-1:123456789012:" + 42 * "t"


def test_what_all_queues_share_is_said_once(ends: tuple[Channel, Channel]) -> None:
    config = Config(sns_topic=[LONG_TOPIC] * 400, retry_delay=[])
    own = replace(config, sns_topic=[], wait_time=2.0)
    queues = [QueueConfig(f"jobs{number}", "app:job", config) for number in range(MOST_QUEUES)]
    plan = Plan(config, [*queues[1:], QueueConfig("own", "app:job", own)], 1)
    assert channel.fits(plan)
    assert ends[0].send(plan)
    (heard,) = ends[1].receive()
    assert heard == plan
    assert isinstance(heard, Plan)
    *shared, last = heard.queues
    assert all(queue.config is heard.config for queue in shared)
    assert last.config == own


def test_a_word_fits_up_to_the_last_byte(ends: tuple[Channel, Channel]) -> None:
    size = 65_536 - len(b'["NotForked", 1, ""]')
    for more, fits in ((0, True), (1, False)):
        word = NotForked(1, "x" * (size + more))
        assert channel.fits(word) is fits
        ends[0].send(word)
        assert (ends[1].receive() == [word]) is fits


def test_the_longest_plan_is_one_word(ends: tuple[Channel, Channel]) -> None:
    """SQS's names have 80 characters at the most."""
    config = Config(
        sns_topic=[LONG_TOPIC] * 4,
        retry_delay=[float(each) for each in range(10)],
        transformer="package.module:transformer",
        router="package.module:router",
        on_failure="package.module:on_failure",
        job_init="package.module:job_init",
        job_exit="package.module:job_exit",
    )
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/" + 77 * "q"
    queues = [
        QueueConfig(f"{url}{number:03}", "package.module:job", own, 1.5, 2.0)
        for number in range(MOST_QUEUES)
        for own in (replace(config, wait_time=float(number)),)
    ]
    plan = Plan(config, queues, 1, "eu-central-1", "https://sqs.eu-central-1.amazonaws.com")
    assert ends[0].send(plan)
    assert ends[1].receive() == [plan]


EXAMPLES: dict[Any, object] = {
    int: 1,
    float: 2,
    str: "s",
    bool: True,
    list[str]: ["a", "b"],
    Settlement: Settlement.LEAVE,
    QueuePlace: QueuePlace("jobs", "http://127.0.0.1:1/", "x", None, "/bundle", True),
    Keys: Keys("key", "secret", "token", 1e9),
    Depth: Depth(3, 2, 1),
    list[QueuePlace]: [
        QueuePlace("high", "https://127.0.0.1:1/", "x", None, "/bundle"),
        QueuePlace("low", "http://127.0.0.1:1/", "x"),
    ],
    list[QueueConfig]: [
        QueueConfig("high", "app:job", Config(3, wait_time=2.0), 3.0, 2.0),
        QueueConfig("low", "app:other", Config()),
    ],
    Config: Config(3, max_seconds=5.0, retry_delay=(1.0, 2.0), router="app:router"),
}
EXAMPLES |= {dict[str, Any]: {"a": 1}, Outcome | None: Outcome.FAILED, float | None: 1.5}


def test_who_is_gone_takes_everything(ends: tuple[Channel, Channel]) -> None:
    """Its death is noticed elsewhere."""
    ends[1].close()
    assert ends[0].send(LONG)
