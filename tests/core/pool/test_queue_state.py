"""What is of one queue touches no other: a pool of two, whose dispatchers work for both.

The states are laid out; which queue a grant is for is no matter here.
"""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.exit_codes import DONE as DONE_CODE
from fleet.core.exit_codes import QUEUE_UNUSABLE, UNCONFIRMED
from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.core.polling import Polling
from fleet.core.pool import machine, state
from fleet.core.pool.deadlines import wakes_at
from fleet.core.pool.effects import Effect, Log, OrderScout, Send
from fleet.core.pool.events import Died, DispatcherSaid, Event, OrderNotTaken, PauseAsked, Tick
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.queue_state import Counts, DeleteProbe, Refusal
from fleet.core.pool.receive_size import receive_size
from fleet.core.pool.shutdown import stop
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import HelperState, Level, Pool, PoolEnd, PoolPhase
from fleet.core.protocol import (
    Denied,
    Empty,
    Free,
    Grant,
    Healed,
    PollFailed,
    Received,
    Settled,
)
from fleet.core.queue_config import QueueConfig
from fleet.core.queue_place import QueuePlace
from fleet.core.scout_protocol import (
    DeleteTried,
    Recovered,
    RecoveryDenied,
    Sampled,
    TryDelete,
    Usable,
)
from fleet.core.sizing.workload import Workload
from fleet.core.slot_state import State
from fleet.core.view import status
from tests.core.pool.story import recovery_orders, scout_says
from tests.support.queues import change_queue

NOW = 100.0
HIGH, LOW = Config(2, wait_time=10.0), Config(2, wait_time=4.0, visibility_timeout=8.0)
DONE = Settled(Settlement.DELETE, Outcome.SUCCEEDED, 1.0, bad=False, max_rss_mib=50.0)
NOTHING = "; nothing is received until a delete is allowed"
FAILING = Polling(failures=9)
UNDELETED = replace(DONE, settlement=Settlement.LEAVE, unconfirmed=True)


class Host:
    """Slots 0 and 1, each of the queue of that place; the state of both is told."""

    def __init__(self, high: State, low: State, **options: Any) -> None:
        self.now = NOW
        configs = (replace(HIGH, **options), replace(LOW, **options))
        names = zip(("high", "low"), configs, strict=True)
        queues = [QueueConfig(name, "app:job", config) for name, config in names]
        busy = (State.WORKING, State.HOLDING)
        slots = tuple(
            Slot(
                place,
                each,
                NOW,
                queue=place,
                asked=1,
                places=(0,) if each in busy else (),
            )
            for place, each in enumerate((high, low))
        )
        self.pool: Pool = replace(
            state.new(configs[0], queues),
            phase=PoolPhase.RUNNING,
            slots=slots,
            template=HelperState(alive=True, ready=True, proven=True),
            scout=HelperState(alive=True, ready=True, proven=True, heard=NOW),
        )
        for place in (0, 1):
            self.pool = change_queue(
                self.pool,
                place,
                usable=True,
                answered=True,
                counts=Counts(received=int(slots[place].state in busy)),
                work=Workload(NOW),
            )
        self.before = self.pool

    def take(self, event: Event) -> list[Effect]:
        self.pool, effects = machine.step(self.pool, event, self.now, 0.5)
        return list(effects)

    def says(self, slot: int, report: Any) -> list[Effect]:
        return self.take(DispatcherSaid(slot, report))

    def stops(self) -> None:
        self.pool = replace(self.pool, phase=PoolPhase.DRAINING, level=Level.DRAIN, jobs_until=inf)


REPORTS = [
    (State.POLLING, Received(0.1)),
    (State.POLLING, Empty(4.0)),
    (State.POLLING, PollFailed("no", unanswered=True, refused=True, took=3.0)),
    (State.WORKING, replace(DONE, gone="gone", unconfirmed=True, hidden_for=9.0)),
    (State.WORKING, Denied("denied")),
]


@pytest.mark.parametrize(("before", "report"), REPORTS, ids=lambda each: type(each).__name__)
def test_what_a_dispatcher_says_is_of_its_queue(before: State, report: Any) -> None:
    host = Host(State.WORKING, before)
    host.says(1, report)
    high, low = host.pool.queues
    before_it = host.before.queues[0]
    granted = replace(before_it.evidence, granted_at=high.evidence.granted_at)
    assert replace(high, work=before_it.work) == replace(before_it, evidence=granted)
    assert replace(low, work=host.before.queues[1].work) != host.before.queues[1]


def test_a_queues_own_options_count() -> None:
    host = Host(State.WORKING, State.POLLING)
    host.says(1, Received(0.1))
    assert host.pool.slots[1].look_at == NOW + LOW.first_lease / 2
    host = Host(State.WORKING, State.POLLING)
    host.now = NOW + LOW.wait_time + 12.0
    host.take(Tick())
    assert host.pool.slots[1].silent_since == host.now
    assert Host(State.POLLING, State.POLLING).pool.polls_until == NOW + HIGH.wait_time
    assert Host(State.IDLE, State.POLLING).pool.polls_until == NOW + LOW.wait_time


def test_a_job_keeps_its_own_queues_dispatchers_busy() -> None:
    host = Host(State.WORKING, State.IDLE)
    host.now += 3.0
    host.says(0, DONE)
    high, low = host.pool.queues
    assert (high.work.worked_total, low.work.worked_total) == (3.0, 0.0)
    assert (high.jobs_mib, low.jobs_mib) == ((50.0,), ())


def test_the_pools_counts_are_those_of_its_queues() -> None:
    host = Host(State.WORKING, State.WORKING)
    host.says(0, DONE)
    host.says(1, replace(DONE, settlement=Settlement.RELEASE, outcome=Outcome.FAILED))
    high, low = (queue.counts for queue in host.pool.queues)
    assert (high.deleted, high.released, high.in_hand) == (1, 0, 0)
    assert (low.deleted, low.released, low.in_hand) == (0, 1, 0)
    pool = host.pool.counts
    assert (pool.received, pool.deleted, pool.released, pool.succeeded, pool.failed) == (
        2,
        1,
        1,
        1,
        1,
    )


def test_a_sample_is_of_one_queue() -> None:
    host = Host(State.WORKING, State.WORKING)
    host.take(scout_says(Sampled(1, Depth(5, 1))))
    high, low = host.pool.queues
    assert (high.depth, high.sampled_at) == (None, None)
    assert (low.depth, low.sampled_at, low.sampled_received) == (Depth(5, 1), NOW, 1)
    assert (high.polling.allowed, low.polling.allowed) == (1, 2)


# Releases.


@pytest.mark.parametrize(("polling", "is_free"), [(1, False), (0, True)])
def test_a_poll_on_another_queue_holds_back_no_release(polling: int, is_free: bool) -> None:
    host = Host(State.HOLDING, State.POLLING)
    slots = host.pool.slots
    host.pool = replace(host.pool, slots=(slots[0], replace(slots[1], queue=1 - polling)))
    host.stops()
    assert (Send(0, Free()) in host.take(Tick())) is is_free


@pytest.mark.parametrize(("holding", "dead"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_nor_does_a_dead_poll_on_another_queue(holding: int, dead: int) -> None:
    states = [State.WORKING, State.WORKING]
    states[holding] = State.HOLDING
    host = Host(*states)
    host.pool = change_queue(host.pool, dead, dead_polls=(NOW + 5.0,))
    assert (Send(holding, Free()) in host.take(Tick())) is (holding != dead)
    assert wakes_at(host.pool, NOW) == NOW + 5.0
    host.now += 5.0
    host.take(Tick())
    assert host.pool.queues[dead].dead_polls == ()


def test_the_poll_of_a_dead_dispatcher_is_open_on_its_queue_as_long_as_it_lasts() -> None:
    host = Host(State.WORKING, State.POLLING)
    host.take(Died(1, Exit(signal=9), "SIGKILL"))
    assert [queue.dead_polls for queue in host.pool.queues] == [(), (NOW + LOW.wait_time + 1.0,)]


# Recoveries.


def orphan(queue: int, how: Exit | None = None) -> Orphan:
    return Orphan("m", 1, "handle", NOW + 60.0, 0, None, how, 0, queue)


def test_an_order_is_for_the_queue_of_the_message() -> None:
    host = Host(State.WORKING, State.WORKING)
    (order,) = recovery_orders(host.take(Died(1, Exit(signal=9), "SIGKILL", (orphan(1),))))
    assert (order.queue, order.settlement) == (1, Settlement.RELEASE)
    host.take(scout_says(Recovered(order.number, Settlement.RELEASE)))
    high, low = (queue.counts for queue in host.pool.queues)
    assert (high.released, low.released, low.in_hand) == (0, 1, 0)


@pytest.mark.parametrize("how", [None, Exit(code=0)])
def test_a_message_whose_record_names_another_queue_is_left(how: Exit | None) -> None:
    """Nobody knows where it belongs: its lease runs out."""
    host = Host(State.WORKING, State.WORKING)
    effects = host.take(Died(1, Exit(signal=9), "SIGKILL", (orphan(0, how),)))
    assert recovery_orders(effects) == []
    assert next(each.event for each in effects if isinstance(each, Log)) == "message.left"
    high, low = (queue.counts for queue in host.pool.queues)
    assert (high.left, low.left, low.in_hand) == (0, 1, 0)


def test_a_message_that_a_dead_poll_had_brought_came_from_its_queue() -> None:
    host = Host(State.WORKING, State.POLLING)
    host.take(Died(1, Exit(signal=9), "SIGKILL", (orphan(1),)))
    high, low = (queue.counts for queue in host.pool.queues)
    assert (high.received, high.polls, low.received, low.polls) == (1, 0, 1, 1)


def test_a_fifo_poll_is_repeated_on_its_queue() -> None:
    host = Host(State.WORKING, State.POLLING)
    host.take(Died(1, Exit(signal=9), "SIGKILL", receive_id="call"))
    (recovery,) = host.pool.recoveries
    assert (recovery.order.queue, recovery.order.receive_id) == (1, "call")
    assert recovery.order.lease_until == NOW + LOW.wait_time + 1.0 + LOW.first_lease


# What is denied, or answers, or does not.


def test_a_denied_delete_is_tried_on_its_queue_until_it_is_allowed() -> None:
    host = Host(State.WORKING, State.WORKING)
    host.says(1, Denied("denied", 0, "m", "handle"))
    (probe,) = (each.order for each in host.says(1, UNDELETED) if isinstance(each, OrderScout))
    assert probe == TryDelete("m", "handle", 1)
    host.take(OrderNotTaken(probe))
    tried = host.pool.queues[1].probe
    assert tried is not None
    assert (tried.tries, tried.is_waiting) == (1, False)
    assert wakes_at(host.pool, NOW) <= tried.at
    host.take(scout_says(DeleteTried(denied=False, deleted=True, queue=1)))
    assert host.pool.queues[1].probe == tried, "nobody has asked"
    host.now = tried.at
    assert OrderScout(probe) in host.take(Tick())
    host.take(scout_says(DeleteTried(denied=False, deleted=True, queue=0)))
    assert host.pool.queues[1].denial is not None, "of the other one"
    effects = host.take(scout_says(DeleteTried(denied=False, deleted=True, queue=1)))
    assert Log("deletes.allowed", {"queue": "low"}) in effects
    assert [(each.denial, each.unconfirmed) for each in host.pool.queues] == [(None, 0)] * 2


def test_a_recovery_that_is_denied_denies_its_queue() -> None:
    host = Host(State.WORKING, State.WORKING)
    (order,) = recovery_orders(
        host.take(Died(1, Exit(signal=9), "SIGKILL", (orphan(1, Exit(code=0)),)))
    )
    host.take(scout_says(RecoveryDenied(order.number, "denied")))
    assert [each.denial is not None for each in host.pool.queues] == [False, True]


def test_an_answer_ends_the_backoff_of_its_own_queue() -> None:
    host = Host(State.WORKING, State.WORKING)
    for place in (0, 1):
        queue = host.pool.queues[place]
        failing = replace(queue.polling, failures=1, not_before=NOW + 30, free_at=NOW + 1)
        host.pool = change_queue(host.pool, place, polling=failing)
    host.says(1, Healed())
    assert [each.polling.not_before for each in host.pool.queues] == [NOW + 30, NOW + 1]


def test_a_host_without_processes_polls_no_queue() -> None:
    host = Host(State.WORKING, State.WORKING)
    host.says(1, replace(DONE, settlement=Settlement.RELEASE, outcome=None, starved=True))
    assert [each.polling.starved for each in host.pool.queues] == [1, 1]
    assert [each.counts.pauses for each in host.pool.queues] == [0, 1], "one pause, of the pool"
    host.says(0, DONE)
    assert [each.polling.starved for each in host.pool.queues] == [0, 0]


def test_to_pause_forgets_that_polls_were_refused() -> None:
    host = Host(State.POLLING, State.POLLING)
    for place in (0, 1):
        host.says(place, PollFailed("denied", refused=True))
    assert all(queue.refused for queue in host.pool.queues)
    host.take(PauseAsked(True))
    assert not any(queue.refused for queue in host.pool.queues)


@pytest.mark.parametrize(
    ("what_is", "trouble"),
    [
        ({"trouble": "no answer", "polling": FAILING}, "no answer"),
        ({"polling": FAILING}, "its polls fail"),
        ({"denial": Refusal(NOW, "denied"), "polling": FAILING}, f"denied{NOTHING}"),
        ({"denial": Refusal(NOW, "")}, NOTHING),
        ({"trouble": "it was"}, ""),
        ({"trouble": "it does not exist", "usable": False}, "it does not exist"),
        ({"usable": False}, ""),
    ],
)
def test_the_trouble_of_the_second_queue_is_its_own(what_is: dict[str, Any], trouble: str) -> None:
    """It is the pool's where the pool works for no other queue."""
    host = Host(State.WORKING, State.WORKING)
    pool = change_queue(host.pool, 1, **what_is)
    assert status.trouble(pool) == ""
    named = f"queue 'low': {trouble}" if trouble else ""
    assert status.trouble(change_queue(pool, 0, paused=True)) == named


# Whether anything is received at all.

PLACE = QueuePlace("high", "http://127.0.0.1:1/", "x")


def sent(host: Host) -> int:
    return sum(isinstance(each, Send) for each in host.take(Tick()))


def test_a_queue_is_not_polled_before_it_is_usable() -> None:
    host = Host(State.IDLE, State.WORKING)
    for place in (0, 1):
        host.pool = change_queue(host.pool, place, usable=False)
    assert sent(host) == 0
    effects = host.take(scout_says(Usable(PLACE, [], "", 1)))
    grants = [each.order for each in effects if isinstance(each, Send)]
    assert [each.queue for each in grants if isinstance(each, Grant)] == [1]


def test_a_poll_on_another_queue_brings_nothing_of_what_a_sample_has_counted() -> None:
    host = Host(State.POLLING, State.IDLE, batch_size=10)
    for place in (0, 1):
        host.pool = change_queue(host.pool, place, depth=Depth(10, 0))
    asking = replace(host.pool.slots[0], asked=8)
    host.pool = replace(host.pool, slots=(asking, host.pool.slots[1]))
    assert [receive_size(host.pool, place) for place in (0, 1)] == [1, 5]


# How it ends.


def test_max_jobs_waits_for_the_denial_of_any_queue() -> None:
    """Whether it ends, or the denial ends the pool."""
    host = Host(State.IDLE, State.IDLE, max_jobs=1)
    probe = DeleteProbe(TryDelete("m", "handle", 1), is_waiting=True)
    counts = Counts(received=1, left=1)
    denial = Refusal(NOW, "denied")
    host.pool = change_queue(host.pool, 1, counts=counts, denial=denial, probe=probe)
    host.take(Tick())
    assert host.pool.level is None
    host.take(scout_says(DeleteTried(denied=False, queue=1)))
    assert host.pool.level is Level.DRAIN


def last_step(host: Host) -> PoolEnd | None:
    """The end of a drain of whose dispatchers none is left."""
    host.stops()
    end = PoolEnd(DONE_CODE, "--max-jobs 1 is reached", counted=True)
    host.pool = replace(host.pool, slots=(), end=end)
    host.take(Tick())
    assert host.pool.phase is PoolPhase.STOPPED
    return host.pool.end


def test_a_run_whose_second_queue_is_gone_is_not_to_be_started_anew() -> None:
    host = Host(State.IDLE, State.IDLE)
    host.pool = change_queue(host.pool, 1, gone="'low' does not exist")
    assert last_step(host) == PoolEnd(QUEUE_UNUSABLE, "'low' does not exist")


def test_what_nobody_has_confirmed_is_counted_over_all_queues() -> None:
    host = Host(State.IDLE, State.IDLE)
    for place, count in ((0, 1), (1, 2)):
        host.pool = change_queue(host.pool, place, unconfirmed=count)
    why = "--max-jobs 1 is reached; 3 finished, their deletes not confirmed"
    assert last_step(host) == PoolEnd(UNCONFIRMED, why)


def test_a_stop_says_the_longest_exit_timeout() -> None:
    host = Host(State.WORKING, State.WORKING)
    host.pool = change_queue(host.pool, 1, config=replace(LOW, exit_timeout=300.0))
    _, effects = stop(host.pool, Level.NOW, PoolEnd(DONE_CODE, "TERM"), NOW)
    (log,) = (each for each in effects if isinstance(each, Log))
    assert log.fields["waits"] == "waits for 2 jobs to stop (--exit-timeout 300 s)"


def test_it_is_empty_when_all_are() -> None:
    host = Host(State.WORKING, State.WORKING, until_empty=True, empty_for=10.0)
    for slot in (0, 1):
        host.says(slot, DONE)
    for moment in (0.0, 20.0):
        host.now = NOW + moment
        for place in (0, 1):
            host.take(scout_says(Sampled(place, Depth(0, 0))))
    emptied = [replace(queue.emptiness, poll_agreed=True) for queue in host.pool.queues]
    host.pool = change_queue(host.pool, 0, emptiness=emptied[0])
    host.take(Tick())
    assert host.pool.level is None
    host.pool = change_queue(host.pool, 1, emptiness=emptied[1])
    host.take(Tick())
    assert host.pool.level is Level.DRAIN


def test_a_stop_may_take_as_long_as_the_slowest_queues() -> None:
    host = Host(State.WORKING, State.WORKING)
    host.pool = change_queue(host.pool, 1, config=replace(LOW, exit_timeout=300.0))
    assert host.pool.longest_stop == replace(LOW, exit_timeout=300.0).longest_stop
    assert host.pool.longest_stop > HIGH.longest_stop
    host.pool = change_queue(host.pool, 1, config=replace(LOW, job_timeout=90.0))
    assert host.pool.own_drain == 90.0
