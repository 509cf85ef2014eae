"""A message that comes when the pool stops, or waits behind others of its batch."""

from dataclasses import replace

import pytest

from fleet.core.config import Config
from fleet.core.delivery import Rules
from fleet.core.outcomes import Exit, Outcome, Settlement, Verdict
from fleet.core.protocol import Held
from fleet.core.queue import Trouble
from tests.dispatcher.conftest import deliver, run
from tests.support.dispatcher_world import MESSAGE, RETRY, World


def test_one_that_comes_late_goes_back_untouched(world: World) -> None:
    world.inbox.drains(40.0)
    world.queue.limit = 3
    delivery = run(world)
    assert world.only("job", "max_receive_count", "say", "release", "log") == [
        "max_receive_count",
        "say Held",
        "release message-1 0",
        "say Settled",
        "log message.released",
    ]
    assert world.told("message.released")[0]["why"] == "it came too late to be worked on"
    assert delivery.attempt == 1
    assert world.settled.outcome is None
    assert not world.settled.bad
    assert world.inbox.drain is None


def test_the_lease_of_one_that_goes_back_is_kept_meanwhile(world: World) -> None:
    world.inbox.drains(40.0)
    world.inbox.deaf = True
    world.at(100.0, lambda: setattr(world.inbox, "freed", True))
    run(world)
    assert len(world.only("extend")) == 5
    assert world.settled.settlement is Settlement.RELEASE


@pytest.mark.parametrize(
    ("drain", "until"),
    [(40.0, 41.0), (50.0, 51.0), (5.0, 31.0)],
    ids=["drain", "longer", "at least the exit timeout"],
)
def test_one_on_its_last_attempt_is_run_all_the_same(
    world: World, drain: float, until: float
) -> None:
    """To give it back would dead-letter it unworked."""
    world.inbox.drains(drain)
    world.queue.limit = 3
    world.at(until - 0.1, lambda: world.did("still"))
    world.ends(until + 1, Exit(signal=15))
    run(world, message=replace(MESSAGE, attempt=3))
    assert world.only("job", "still", "terminate") == [
        "job message-1 below 5",
        "still",
        "terminate 11",
    ]
    assert world.told("job.stopped")[0]["duration"] == until


def test_one_on_its_last_attempt_when_nobody_has_said_how_long(world: World) -> None:
    """SIGTERM came, and the master's word has not come yet; when it does it counts."""
    world.inbox.leaving = True
    world.queue.limit = 3
    world.at(50.0, lambda: world.inbox.drains(10.0))
    world.at(59.9, lambda: world.did("still"))
    world.ends(61.0, Exit(signal=15))
    run(world, message=replace(MESSAGE, attempt=4))
    assert world.only("still", "terminate") == ["still", "terminate 11"]
    assert world.told("job.stopped")[0]["duration"] == 60.0


def test_an_unreadable_policy_is_no_last_attempt(world: World) -> None:
    world.inbox.drains(40.0)
    world.queue.fails["max_receive_count"] = [Trouble.SESSION]
    run(world, message=replace(MESSAGE, attempt=9))
    assert not world.processes
    assert world.only("release") == ["release message-1 0"]
    assert world.renewed == 1


def test_one_that_an_orphan_gets_is_run_within_the_drain(world: World) -> None:
    """Nobody will restart anything here: to give it back gains nothing, and costs an attempt."""
    world.inbox.loses_its_master(40.0)
    world.at(40.9, lambda: world.did("still"))
    world.ends(42.0, Exit(signal=15))
    run(world)
    assert world.only("max_receive_count", "still", "terminate")[:2] == ["still", "terminate 11"]
    assert world.inbox.drain is None


def test_the_master_is_heard_before_any_user_code_runs(world: World) -> None:
    """What was said while the poll was open."""
    world.at(1.0, lambda: world.inbox.drains(40.0))
    run(world)
    assert not world.processes


# One of a batch.


def test_one_that_waits_keeps_its_lease(world: World) -> None:
    one = deliver(world)
    assert one.wakes_at() == pytest.approx(20 / 3)
    world.time = one.wakes_at()
    assert not one.look_after()
    assert world.only("extend") == ["extend message-1 60"]
    assert one.wakes_at() == pytest.approx(20 / 3 + 20)
    assert not world.inbox.said


def test_one_that_waits_has_its_attempt(world: World) -> None:
    world.queue.limit = 2
    one = deliver(world, message=replace(MESSAGE, attempt=2))
    assert one.is_last_attempt(one.read_limit())
    one.take_turn(100.0)
    (told,) = world.told("job.stopped")
    assert told["attempt"] == 2


@pytest.mark.parametrize(
    ("attempt", "limit", "last"), [(1, 3, False), (2, 3, False), (3, 3, True), (4, 3, True)]
)
def test_the_last_attempt(world: World, attempt: int, limit: int, last: bool) -> None:
    world.queue.limit = limit
    one = deliver(world, message=replace(MESSAGE, attempt=attempt))
    assert one.is_last_attempt(one.read_limit()) is last


def test_without_a_limit_no_attempt_is_the_last(world: World) -> None:
    one = deliver(world, message=replace(MESSAGE, attempt=9))
    assert not one.is_last_attempt(one.read_limit())


def test_one_that_is_let_go_waits_for_leave(world: World) -> None:
    one = deliver(world)
    one.send_back(Verdict(Settlement.RELEASE, "its group goes back"))
    assert isinstance(world.inbox.said[-1], Held)
    assert not one.look_after()
    world.inbox.freed = True
    assert one.look_after()
    assert world.only("release") == ["release message-1 0"]
    assert world.told("message.released")[0]["why"] == "its group goes back"
    assert one.settlement is Settlement.RELEASE


def test_one_whose_lease_was_lost_while_it_waited_has_ended(world: World) -> None:
    world.queue.fails["extend"] = [Trouble.PASSING] * 99
    one = deliver(world)
    for _ in range(99):
        world.time = one.wakes_at()
        if one.look_after():
            break
    assert world.time == 20.0
    assert one.settlement is Settlement.LEAVE
    assert world.settled.lease_lost
    assert world.told("message.left")[0]["why"] == "its lease was lost"


def test_its_turn_is_a_job_like_any_other(world: World) -> None:
    """With a page of its own, and the limit of its pool's stop."""
    world.page.write(after=99.0)
    world.page.ask_to_stop()
    one = deliver(world)
    world.time = 5.0
    world.ends(6.0, RETRY)
    one.take_turn(50.0)
    assert world.only("job", "release") == ["job message-1 below 5", "release message-1 0"]
    assert world.settled.job_seconds == 1.0
    assert not world.page.stop_asked


def test_its_turn_ends_with_its_pools_stop(world: World) -> None:
    one = deliver(world, Rules(Config(exit_timeout=2.0)))
    world.time = 5.0
    one.take_turn(9.0)
    assert world.settled.job_seconds == 6.0
    assert world.settled.outcome is Outcome.INTERRUPTED


def test_an_undecided_message_counts_as_left(world: World) -> None:
    """A delivery that was ended from outside, by a fault of ours, claims nothing."""
    assert deliver(world).settlement is Settlement.LEAVE
