"""What the scout says of one queue: looked up, late, given up, counted."""

from math import inf
from typing import Any, cast

import pytest

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.exit_codes import QUEUE_LATE, QUEUE_UNUSABLE
from fleet.core.protocol import Failed, FromScout, Plan
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_place import QueuePlace
from fleet.core.scout_protocol import Late, Sampled, SampleFailed, Trying, Unusable, Usable
from fleet.scout import watched_queue
from fleet.scout.late_queue import LateQueue
from fleet.scout.watched_queue import GivenUp, WatchedQueue
from fleet.sqs.queue import SqsQueue
from tests.support.queues import one_queue

PLACE = QueuePlace("low", "http://127.0.0.1:1/", "x")
USABLE = Usable(QueuePlace("low", "http://127.0.0.1:1/", "x", url="http://q/low"), [], "dlq", 1)
COUNTED = Sampled(1, Depth(1, 2, 3))
GONE = QueueError(Trouble.GONE, "queue 'low' does not exist")
DENIED = QueueError(Trouble.DENIED, "queue 'low' may not be read")
NO_ANSWER = QueueError(Trouble.PASSING, "queue 'low' does not answer")
NO_KEYS = QueueError(Trouble.SESSION, "queue 'low': the keys have expired")


class Scripted:
    """Answers look-ups and counts as they are laid out; the last answer repeats."""

    url = "http://q/low"
    name = "low"

    def __init__(self) -> None:
        self.looks: list[QueueError | None] = [None]
        self.counts: list[QueueError | None] = [None]
        self.asked: list[str] = []

    def _answer(self, what: str, script: list[QueueError | None]) -> None:
        self.asked.append(what)
        error = script.pop(0) if len(script) > 1 else script[0]
        if error is not None:
            raise error

    def max_receive_count(self) -> int:
        self._answer("look", self.looks)
        return 3

    def find_dead_letter_queue(self) -> None:
        """It is there."""

    def dead_letter_queue_name(self) -> str:
        return "dlq"

    def depth(self) -> Depth:
        self._answer("count", self.counts)
        return Depth(1, 2, 3)

    def renew(self) -> None:
        self.asked.append("renew")


class Watch:
    """The second of several queues, or the only one; the clock; and what the master was told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.script = Scripted()
        self.said: list[FromScout] = []
        self.queue = self.make(one_queue(queue="high") + one_queue(queue="low"), 1)

    def make(self, queues: list[Any], place: int) -> WatchedQueue:
        plan = Plan(Config(), queues, 1)
        late = LateQueue(3.0, self.now, place)
        queue = cast(SqsQueue, self.script)
        return WatchedQueue(plan, place, late, queue, PLACE, self.said.append)

    def look(self, *, in_round: bool = True) -> list[FromScout]:
        """What is said in one look."""
        before = len(self.said)
        self.queue.look(in_round=in_round)
        return self.said[before:]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Nobody has looked yet."""
    watch = Watch()
    monkeypatch.setattr(watched_queue, "now", lambda: watch.now)
    return watch


def test_a_queue_that_answers_is_looked_up_once_and_counted_in_each_round(watch: Watch) -> None:
    assert watch.look() == [USABLE, COUNTED]
    assert watch.look(in_round=False) == []
    assert watch.look() == [COUNTED]
    assert watch.script.asked == ["look", "count", "count"]
    assert watch.queue.tries_at == inf


def test_a_late_queue_is_tried_every_second_between_the_rounds_too(watch: Watch) -> None:
    watch.script.looks = [NO_ANSWER, NO_ANSWER, None]
    assert watch.look() == [Late(str(NO_ANSWER), 3.0, 1)]
    assert watch.queue.tries_at == 101.0
    watch.now = 100.9
    assert watch.look(in_round=False) == []
    watch.now = 101.0
    assert watch.look(in_round=False) == [Trying()]
    watch.now = 102.0
    assert watch.look(in_round=False) == [USABLE, COUNTED]
    assert watch.queue.tries_at == inf


@pytest.mark.parametrize("error", [GONE, DENIED])
def test_one_of_several_that_cannot_be_used_is_told_of_and_looked_up_in_later_rounds(
    watch: Watch, error: QueueError
) -> None:
    watch.script.looks = [error, error, None]
    assert watch.look() == [Unusable(1, QUEUE_UNUSABLE, str(error))]
    watch.now = 200.0
    assert watch.look(in_round=False) == []
    assert watch.look() == [Trying()]
    assert watch.look() == [USABLE, COUNTED]
    assert watch.look() == [COUNTED]


def test_another_reason_is_told_too(watch: Watch) -> None:
    watch.script.looks = [GONE, DENIED, GONE]
    told = [word for _ in range(3) for word in watch.look()]
    assert told == [Unusable(1, QUEUE_UNUSABLE, str(each)) for each in (GONE, DENIED, GONE)]


def test_one_of_several_that_is_late_for_too_long_is_tried_in_rounds_only(watch: Watch) -> None:
    watch.script.looks = [NO_ANSWER]
    watch.look()
    watch.now = 103.0
    why = f"{NO_ANSWER}, tried for 3 s (--start-timeout)"
    assert watch.look(in_round=False) == [Unusable(1, QUEUE_LATE, why)]
    watch.now = 200.0
    assert watch.look(in_round=False) == []
    assert watch.look() == [Trying()]


def test_the_only_queue_ends_the_scout(watch: Watch) -> None:
    watch.queue = watch.make(one_queue(queue="low"), 0)
    watch.script.looks = [GONE]
    with pytest.raises(GivenUp):
        watch.look()
    assert watch.said == [Failed(QUEUE_UNUSABLE, str(GONE))]


def test_counts_that_cannot_be_read_are_told_and_change_nothing(watch: Watch) -> None:
    watch.look()
    watch.script.counts = [GONE, NO_KEYS, None]
    assert watch.queue.look(in_round=True) is GONE
    assert watch.look() == [SampleFailed(str(NO_KEYS), 1)]
    assert watch.look() == [COUNTED]
    assert watch.script.asked[2:] == ["count", "count", "renew", "count"]
    assert watch.said[2] == SampleFailed(str(GONE), 1)


def test_keys_that_are_refused_are_told_of_in_a_look_up_too(watch: Watch) -> None:
    watch.script.looks = [NO_KEYS, None]
    assert watch.look() == [Late(str(NO_KEYS), 3.0, 1)]
    assert watch.script.asked == ["look", "renew"]


def test_a_failed_look_is_brought_back_for_who_starts_the_server_again(watch: Watch) -> None:
    watch.script.looks = [NO_ANSWER]
    assert watch.queue.look(in_round=True) is NO_ANSWER
