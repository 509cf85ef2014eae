"""How a pool of several queues ends by itself: all are empty, or none can be used."""

from dataclasses import replace
from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.exit_codes import DONE as DONE_CODE
from fleet.core.exit_codes import ENDED_BADLY, QUEUE_UNUSABLE
from fleet.core.pool import denials
from fleet.core.pool.effects import Log
from fleet.core.pool.emptiness import Emptiness
from fleet.core.pool.events import LimitAsked, PauseAsked
from fleet.core.pool.queue_state import DeleteProbe, Refusal
from fleet.core.pool.state import PoolEnd, PoolPhase
from fleet.core.protocol import Empty
from fleet.core.scout_protocol import TryDelete, Unusable, Usable
from fleet.system.log_events import EVENTS
from tests.core.pool.queues_story import HIGH, LOW, Queues
from tests.core.pool.story import BAD, scout_says
from tests.core.pool.test_queue_readiness import PLACE

UNTIL_EMPTY = Config(until_empty=True, empty_for=10.0)
BY_COUNT = Config(max_jobs=100)
IS_EMPTY = Emptiness(0.0, 20.0, poll_agreed=True)
DENIED = Refusal(0.0, "denied")


def until_empty(workers: int, *given: dict[str, Any]) -> Queues:
    """A pool whose queues are empty, looked at for 30 seconds, unless it ends."""
    queues = Queues(workers, given or ({}, {}), config=UNTIL_EMPTY)
    queues.at(0.0)
    return queues


def goes_on(queues: Queues, seconds: float, samples: tuple[int, ...] = (HIGH, LOW)) -> None:
    """Polls come home empty when they are over, and the samples of these queues are zero."""
    end = queues.now + seconds
    while queues.now < end and queues.pool.phase is PoolPhase.RUNNING:
        queues.at(queues.now + 1.0)
        for slot in queues.pool.slots:
            wait = min(queues.pool.config.wait_time, slot.longest)
            if slot.since + wait <= queues.now and slot.state.name == "POLLING":
                queues.says(slot.number, Empty(wait))
        for place in samples:
            queues.sample(place, 0)


# --until-empty.


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_it_ends_however_few_dispatchers_there_are(workers: int) -> None:
    queues = until_empty(workers)
    goes_on(queues, 40.0)
    assert queues.pool.end == PoolEnd(DONE_CODE, "all queues are empty", emptied=True)


def test_a_look_that_is_cut_short_proves_nothing() -> None:
    queues = until_empty(1)
    queues.now = 1.0
    queues.sample(HIGH, 0)
    queues.says(0, Empty(1.0))
    queues.says(0, Empty(1.0))  # of the low one
    queues.says(0, Empty(0.5))
    assert not queues.pool.queues[HIGH].emptiness.poll_agreed


def test_a_long_poll_that_ends_early_is_no_look() -> None:
    queues = until_empty(3)
    queues.sample(HIGH, 0)
    queues.at(1.0)
    queues.says(0, Empty(1.0))
    queues.happens(LimitAsked(LOW, 5))
    assert not queues.pool.queues[HIGH].emptiness.poll_agreed


@pytest.mark.parametrize(
    "changes",
    [{"paused": True}, {"gone": "it does not exist"}, {"usable": False}, {"denial": DENIED}],
    ids=lambda each: next(iter(each)),
)
def test_a_queue_that_nothing_is_received_from_is_not_empty(changes: dict[str, Any]) -> None:
    queues = Queues(2, config=UNTIL_EMPTY)
    for place in (HIGH, LOW):
        queues.knows(place, emptiness=IS_EMPTY)
    if "denial" in changes:
        changes = changes | {"probe": DeleteProbe(TryDelete("m", "h", LOW), is_waiting=True)}
    queues.knows(LOW, **changes)
    queues.at(1.0)
    assert queues.is_in(PoolPhase.RUNNING)
    queues.knows(LOW, paused=False, gone="", usable=True, denial=None, probe=None)
    queues.at(2.0)
    assert queues.is_in(PoolPhase.DRAINING)


def test_that_all_queues_look_empty_is_told_once_of_the_whole_pool() -> None:
    queues = until_empty(1)
    for place, visible in ((HIGH, 0), (LOW, 3), (HIGH, 0)):
        queues.sample(place, visible)
        assert queues.logged == []
    for place in (LOW, HIGH, LOW):
        queues.sample(place, 0)
        assert queues.logged == [Log("queue.empty", {"queues": "high, low", "seconds": 10.0})]
    event = queues.logged[0]
    assert EVENTS[event.event].phrase(event.fields, names_queue=True) == (
        "all queues look empty; the pool ends when they stay so for 10 s and a whole poll of each"
    )


def test_what_was_empty_before_a_pause_is_looked_at_again() -> None:
    queues = until_empty(2)
    goes_on(queues, 9.0)
    for paused in (True, False):
        queues.happens(PauseAsked(paused, LOW))
        assert queues.pool.queues[LOW].emptiness == Emptiness()
        goes_on(queues, 9.0)
        assert queues.is_in(PoolPhase.RUNNING)
    goes_on(queues, 30.0)
    assert queues.is_in(PoolPhase.DRAINING)


def test_the_end_says_what_ended_badly_in_any_queue() -> None:
    queues = until_empty(1)
    queues.says(0, Empty(1.0))
    queues.hit(0)
    queues.says(0, BAD)
    goes_on(queues, 60.0)
    assert queues.pool.end == PoolEnd(ENDED_BADLY, "all queues are empty; 1 ended badly")


# A run that ends by itself, and queues that refuse.


def test_one_queue_that_refuses_does_not_end_a_run() -> None:
    queues = Queues(2, config=BY_COUNT)
    queues.knows(LOW, refused=DENIED)
    queues.at(60.0)
    assert queues.is_in(PoolPhase.RUNNING)
    queues.knows(HIGH, refused=replace(DENIED, since=30.0))
    queues.at(89.9)
    assert queues.is_in(PoolPhase.RUNNING)
    assert 90.0 in denials.moments(queues.pool)
    queues.at(90.0)
    assert queues.pool.end == PoolEnd(QUEUE_UNUSABLE, "denied (for 60 s)")


@pytest.mark.parametrize("changes", [{"refused": DENIED}, {"denial": DENIED}])
def test_one_that_is_finished_does_not_keep_it_going(changes: dict[str, Any]) -> None:
    queues = Queues(2, config=UNTIL_EMPTY)
    probe = DeleteProbe(TryDelete("m", "h", LOW), is_waiting=True)
    queues.knows(LOW, probe=probe if "denial" in changes else None, **changes)
    queues.at(60.0)
    assert queues.is_in(PoolPhase.RUNNING)
    queues.knows(HIGH, emptiness=IS_EMPTY)
    queues.at(61.0)
    assert queues.pool.end == PoolEnd(QUEUE_UNUSABLE, "denied (for 60 s)")


def test_a_pool_that_serves_goes_on() -> None:
    queues = Queues(2)
    for place in (HIGH, LOW):
        queues.knows(place, refused=DENIED)
    queues.at(1000.0)
    assert queues.is_in(PoolPhase.RUNNING)


@pytest.mark.parametrize(("since", "code"), [(40.0, QUEUE_UNUSABLE), (40.1, DONE_CODE)])
def test_the_end_of_a_run_says_that_a_queue_could_not_be_used(since: float, code: int) -> None:
    queues = Queues(2, config=Config(max_seconds=100.0))
    queues.knows(LOW, refused=replace(DENIED, since=since))
    queues.pool = replace(queues.pool, ends_at=100.0)
    queues.at(100.0)
    queues.pool = replace(queues.pool, slots=())
    queues.at(100.0)
    assert queues.is_in(PoolPhase.STOPPED)
    assert queues.pool.end is not None
    assert queues.pool.end.code == code
    assert code == DONE_CODE or queues.pool.end.why == "denied"


def test_a_queue_that_is_found_gone_is_one_that_refuses() -> None:
    queues = Queues(1, config=UNTIL_EMPTY)
    for place in (HIGH, LOW):
        queues.happens(scout_says(Unusable(place, QUEUE_UNUSABLE, "it does not exist")))
    queues.at(30.0)
    queues.happens(scout_says(Usable(PLACE, [], "", HIGH)))
    queues.at(60.0)
    assert queues.is_in(PoolPhase.RUNNING)
    queues.happens(scout_says(Unusable(HIGH, QUEUE_UNUSABLE, "it does not exist")))
    queues.at(120.0)
    assert queues.pool.end == PoolEnd(QUEUE_UNUSABLE, "it does not exist (for 60 s)")
