"""Trouble that no retry heals: a pool that serves goes on, one that ends by itself gives up."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.core.pool.effects import Effect, OrderScout
from fleet.core.pool.events import (
    Died,
    HelperDied,
    PauseAsked,
)
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.state import PoolPhase, Role
from fleet.core.protocol import (
    Denied,
    Empty,
    Healed,
    LeaseLost,
    PollFailed,
    Received,
    Settled,
    Troubled,
)
from fleet.core.scout_protocol import DeleteTried, Recovered, RecoveryDenied, TryDelete
from fleet.core.view import status
from tests.core.pool.story import (
    DONE,
    FAILED,
    GRANT,
    KILLED,
    RELEASED,
    Story,
    helper_ready,
    recovery_orders,
    running,
    scout_says,
    sends,
    working,
)

GONE = PollFailed("queue 'q' does not exist", refused=True)
BUSY = PollFailed("queue 'q': SQS answers 503")
DENIED = Denied("queue 'q': the role needs sqs:DeleteMessage", 0, "id", "handle")
GIVEN_UP = Settled(Settlement.LEAVE, Outcome.SUCCEEDED, 1.0, bad=False, unconfirmed=True)
BOUNDED = ({"until_empty": True, "empty_for": 60.0}, {"max_jobs": 100}, {"max_seconds": 1000.0})


def state(story: Story) -> str:
    return status.state(story.pool)


def probes(effects: Sequence[Effect]) -> list[OrderScout]:
    return [
        effect
        for effect in effects
        if isinstance(effect, OrderScout) and isinstance(effect.order, TryDelete)
    ]


# Polls that are refused.


def refused(story: Story, until: float, how: PollFailed = GONE) -> None:
    """Every poll is, from now on, until that time."""
    while story.is_in(PoolPhase.RUNNING) and story.now < until:
        for slot in story.pool.slots:
            if slot.asked:
                story.says(slot.number, how)
        story.tick(min(until, story.wakes_at()))


def poller(story: Story) -> int:
    """The slot that polls, or will next."""
    while not any(slot.asked for slot in story.pool.slots):
        story.tick(story.wakes_at())
    return next(slot.number for slot in story.pool.slots if slot.asked)


@pytest.mark.parametrize("bound", BOUNDED)
def test_a_pool_that_ends_by_itself_gives_up_after_a_minute(bound: dict[str, float]) -> None:
    story = running(2, **bound)
    story.says(0, GONE)
    refused(story, 59.9)
    assert story.is_in(PoolPhase.RUNNING)
    story.tick(60.0)
    assert story.is_in(PoolPhase.DRAINING)
    assert (story.code, story.why) == (5, "queue 'q' does not exist (for 60 s)")


def test_what_runs_when_it_gives_up_has_its_own_time() -> None:
    """A refused poll is nothing that a running job could help, and its message can still be
    deleted.
    """
    story = working(2, busy=1, max_jobs=9, job_timeout=600, drain_timeout=30)
    story.says(1, GONE)
    story.tick(60.0)
    assert story.is_in(PoolPhase.DRAINING)
    assert story.pool.jobs_until == 660.0
    assert story.log("drain.started").fields["seconds"] == 600


def test_one_that_serves_goes_on() -> None:
    story = running(2)
    story.says(0, GONE)
    refused(story, 3600.0)
    assert story.is_in(PoolPhase.RUNNING)
    assert (state(story), status.reason(story.pool)) == ("degraded", GONE.error)


def test_passing_trouble_ends_nothing() -> None:
    story = running(2, until_empty=True, empty_for=60.0)
    refused(story, 3600.0, how=BUSY)
    assert story.is_in(PoolPhase.RUNNING)


@pytest.mark.parametrize("answer", [Empty(10.0), Received(0.5)])
def test_a_poll_that_is_answered_starts_the_minute_anew(answer: Empty | Received) -> None:
    story = running(2, max_jobs=100)
    refused(story, 20.0)
    story.says(poller(story), answer)
    story.tick(70.0)
    assert story.is_in(PoolPhase.RUNNING)


def test_a_pause_starts_the_minute_anew() -> None:
    """Nothing is polled, so nobody knows whether it is refused still."""
    story = running(2, max_jobs=100)
    refused(story, 20.0)
    story.happens(PauseAsked(True))
    story.tick(100.0)
    story.happens(PauseAsked(False))
    assert story.is_in(PoolPhase.RUNNING)
    refused(story, 159.0)
    assert story.is_in(PoolPhase.RUNNING)
    refused(story, 190.0)
    assert story.code == 5


def test_passing_trouble_in_between_heals_nothing() -> None:
    story = running(2, until_empty=True, empty_for=60.0)
    story.says(0, GONE)
    refused(story, 30.0, how=BUSY)
    story.tick(60.0)
    assert story.code == 5


# Deletes that are denied.


def test_from_the_first_refusal_on_nothing_is_received() -> None:
    story = working(3, 1)
    assert not sends(story.says(0, DENIED), GRANT)
    assert story.log("deletes.denied").fields == {"queue": "jobs", "error": DENIED.error}
    assert not sends(story.says(1, Empty(10.0)), GRANT)
    assert not sends(story.tick(30.0), GRANT)
    assert state(story) == "degraded"
    assert str(status.reason(story.pool)).startswith(DENIED.error)


def test_the_delete_that_was_denied_is_what_ends_it() -> None:
    story = working(2, 1)
    story.says(0, DENIED)
    story.says(1, Empty(10.0))
    assert sends(story.says(0, DONE), GRANT)
    assert "deletes.allowed" in story.events()
    assert state(story) == "running"


def test_each_of_several_is_waited_for() -> None:
    story = working(3, 2)
    story.says(0, DENIED)
    story.says(1, DENIED)
    story.says(2, Empty(10.0))
    assert story.events().count("deletes.denied") == 1
    assert not sends(story.says(0, DONE), GRANT)
    assert sends(story.says(1, DONE), GRANT)


def denied_for_good(**options: float) -> Story:
    """The only message in hand is left; nothing is polled."""
    story = working(2, 1, **options)
    story.says(0, DENIED)
    story.says(1, Empty(10.0))
    story.tick(59.0)
    assert probes(story.says(0, GIVEN_UP)) == [OrderScout(TryDelete("id", "handle"))]
    return story


def test_one_that_is_given_up_is_left_and_told_and_goes_on_as_the_probe() -> None:
    story = denied_for_good()
    assert story.log("message.undeleted").fields == {
        "slot": 0,
        "queue": "jobs",
        "message_id": "id",
        "error": DENIED.error,
    }
    assert story.pool.counts.left == 1
    pauses = []
    for _ in range(8):
        before = story.now
        assert not probes(story.happens(scout_says(DeleteTried(denied=True))))
        assert probes(story.tick(story.wakes_at())) == [OrderScout(TryDelete("id", "handle"))]
        pauses.append(story.now - before)
    assert pauses == sorted(pauses)
    assert 1 > pauses[0] > 0
    assert 30 >= pauses[-1] >= 15
    assert sends(story.happens(scout_says(DeleteTried(denied=False))), GRANT)
    assert story.pool.counts.left == 1, "a late success is no settlement"
    assert story.pool.counts.deleted == 0


@pytest.mark.parametrize(("deleted", "code"), [(True, 0), (False, 8)])
def test_a_message_that_is_deleted_late_is_confirmed(deleted: bool, code: int) -> None:
    """One whose handle is no good any more is not."""
    story = denied_for_good(max_jobs=100)
    story.happens(scout_says(DeleteTried(denied=False, deleted=deleted)))
    story.stop()
    leave(story)
    assert story.code == code


def test_one_probe_is_enough_and_a_confirmed_delete_has_it_tried_at_once() -> None:
    story = working(4, 3)
    for slot in (0, 1):
        story.says(slot, replace(DENIED, message_id=f"id {slot}"))
    story.tick(59.0)
    assert probes(story.says(0, GIVEN_UP)) == [OrderScout(TryDelete("id 0", "handle"))]
    assert not probes(story.says(1, GIVEN_UP))
    for _ in range(8):
        story.happens(scout_says(DeleteTried(denied=True)))
        story.tick(max(story.now, story.queue.probe.at if story.queue.probe else 0))
    story.happens(scout_says(DeleteTried(denied=True)))
    assert probes(story.says(2, DONE)) == [OrderScout(TryDelete("id 0", "handle"))]


def test_a_scout_that_dies_is_followed_by_one_that_goes_on() -> None:
    story = denied_for_good()
    story.happens(HelperDied(Role.SCOUT, "SIGKILL"))
    story.tick(70.0)
    assert probes(story.happens(helper_ready(Role.SCOUT))) == [
        OrderScout(TryDelete("id", "handle"))
    ]


def test_what_a_dead_dispatcher_left_is_denied_to_the_scout_too() -> None:
    story = working(2, 1)
    story.says(0, DENIED)
    story.says(1, Empty(10.0))
    orphan = Orphan("id", 1, "handle", story.now + 60, 0, Settlement.DELETE, Exit(code=0))
    effects = story.happens(Died(0, KILLED, "SIGKILL", (orphan,)))
    (order,) = recovery_orders(effects)
    assert not sends(effects, GRANT)
    assert probes(story.happens(scout_says(Recovered(order.number, Settlement.LEAVE)))) == [
        OrderScout(TryDelete("id", "handle"))
    ]
    assert story.pool.counts.left == 1


def test_what_is_denied_to_the_scout_alone_counts_as_well() -> None:
    story = working(2, 1)
    story.says(1, Empty(10.0))
    orphan = Orphan("id", 1, "handle", story.now + 60, 0, Settlement.DELETE, Exit(code=0))
    effects = story.happens(Died(0, KILLED, "SIGKILL", (orphan,)))
    (order,) = recovery_orders(effects)
    story.happens(scout_says(RecoveryDenied(order.number, "denied")))
    assert not sends(story.says(poller(story), Empty(10.0)), GRANT)
    assert sends(story.happens(scout_says(Recovered(order.number, Settlement.DELETE))), GRANT)


def test_a_dispatcher_that_dies_after_it_gave_up_leaves_its_probe() -> None:
    """It had said nothing of it yet."""
    story = working(2, 1)
    story.says(0, DENIED)
    effects = story.happens(Died(0, KILLED, "SIGKILL", (), {0: Settlement.LEAVE}))
    assert probes(effects) == [OrderScout(TryDelete("id", "handle"))]


@pytest.mark.parametrize("bound", BOUNDED)
def test_a_pool_that_ends_by_itself_gives_up_deletes_too(bound: dict[str, float]) -> None:
    story = working(2, 1, **bound)
    story.says(0, DENIED)
    story.tick(59.9)
    assert story.is_in(PoolPhase.RUNNING)
    story.tick(60.0)
    assert story.is_in(PoolPhase.DRAINING)
    story.says(0, replace(GIVEN_UP, bad=True))
    leave(story)
    assert story.code == 5, "it beats 6, and 8"


def test_the_last_job_s_denied_delete_is_waited_for() -> None:
    """--max-jobs is reached, and whether its last delete will be allowed is to be seen."""
    story = working(2, 1, max_jobs=1)
    story.says(0, DENIED)
    story.tick(30.0)
    story.says(0, GIVEN_UP)
    assert story.is_in(PoolPhase.RUNNING)
    story.happens(scout_says(DeleteTried(denied=False)))
    assert story.is_in(PoolPhase.DRAINING)


def test_the_end_of_max_seconds_does_not_hide_a_denied_delete() -> None:
    """It comes within the minute: what is denied by its end stays so."""
    story = working(2, 1, max_seconds=20.0)
    story.says(0, DENIED)
    story.tick(20.0)
    assert story.is_in(PoolPhase.DRAINING)
    story.says(0, replace(GIVEN_UP, bad=True))
    leave(story)
    assert (story.code, story.why) == (5, DENIED.error)


def test_one_that_is_allowed_after_the_end_of_max_seconds_is_no_trouble() -> None:
    story = working(2, 1, max_seconds=20.0)
    story.says(0, DENIED)
    story.tick(20.0)
    story.says(0, DONE)
    leave(story)
    assert story.code == 0


LEFT_WITHOUT_QUEUE = Settled(Settlement.LEAVE, Outcome.SUCCEEDED, 1.0, bad=False, gone=GONE.error)


@pytest.mark.parametrize(
    ("bound", "code"), [({"max_jobs": 1}, 5), ({"max_seconds": 20.0}, 5), ({}, 0)]
)
def test_the_last_delete_may_race_the_end_of_the_queue(bound: dict[str, float], code: int) -> None:
    """Who asked for one job is told that there is no queue any more; a stop has what it wanted."""
    story = working(2, 1, **bound)
    story.says(0, LEFT_WITHOUT_QUEUE)
    story.tick(20.0)
    if not bound:
        story.stop()
    for slot in story.pool.slots:
        if slot.asked:
            story.says(slot.number, GONE)
    leave(story)
    assert story.code == code


def test_a_queue_that_answers_a_poll_is_there_again() -> None:
    story = working(2, 1, max_seconds=20.0)
    story.says(0, LEFT_WITHOUT_QUEUE)
    story.says(poller(story), Empty(10.0))
    story.tick(20.0)
    leave(story)
    assert story.code == 0


def leave(story: Story) -> None:
    """Everybody does, when they are told to."""
    for slot in story.pool.slots:
        if slot.asked:
            story.says(slot.number, Empty(1.0))
    for slot in story.pool.slots:
        if slot.has_process:
            story.dies(slot.number, Exit(code=0))
    assert story.is_in(PoolPhase.STOPPED)


def test_a_stop_meanwhile_waits_for_no_probe() -> None:
    story = denied_for_good()
    story.stop()
    leave(story)
    assert (story.code, story.why) == (8, "DRAIN; 1 finished, their deletes not confirmed")


# Deletes that nobody has confirmed.


def test_a_stop_tells_how_many_deletes_were_not_confirmed() -> None:
    story = working(3, 2)
    story.stop()
    story.says(0, GIVEN_UP)
    story.says(1, GIVEN_UP)
    leave(story)
    assert (story.code, story.why) == (8, "DRAIN; 2 finished, their deletes not confirmed")


@pytest.mark.parametrize("how", [FAILED, RELEASED, DONE])
def test_what_is_not_finished_is_not_counted(how: Settled) -> None:
    story = working(2, 1)
    story.stop()
    story.says(0, how)
    leave(story)
    assert story.code == 0


@pytest.mark.parametrize(
    ("bound", "code"), [({}, 0), ({"max_jobs": 3}, 8), ({"max_seconds": 100.0}, 8)]
)
def test_a_queue_that_answers_again_has_it_done_again(bound: dict[str, float], code: int) -> None:
    """In the ordinary course; but who asked for three jobs is told."""
    story = working(2, 1, **bound)
    story.says(0, GIVEN_UP)
    story.says(1, Empty(10.0))
    story.stop()
    leave(story)
    assert story.code == code


# What status says of it.


def test_trouble_with_a_message_in_hand_shows_with_the_leases_that_it_costs() -> None:
    story = working(3, 2)
    story.says(0, Troubled("queue 'q': no usable answer"))
    assert (state(story), status.reason(story.pool)) == ("degraded", "queue 'q': no usable answer")
    story.says(0, LeaseLost())
    assert status.reason(story.pool) == "queue 'q': no usable answer; 1 lease lost"
    story.says(1, LeaseLost())
    assert status.reason(story.pool) == "queue 'q': no usable answer; 2 leases lost"
    story.says(0, Healed())
    assert state(story) == "running"


@pytest.mark.parametrize("how", [DONE, FAILED])
def test_it_ends_with_the_message(how: Settled) -> None:
    story = working(2, 1)
    story.says(0, Troubled("no answer"))
    story.says(0, how)
    assert state(story) == "running"
