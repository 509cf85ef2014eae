"""`step`: the next pool after an event, and what to do. The package has the theory of operation."""

from typing import assert_never

from fleet.core.exit_codes import DONE
from fleet.core.pool import denials, job_memory, recovery_orders, sizing
from fleet.core.pool.effects import AskStack, Step
from fleet.core.pool.events import (
    Died,
    DispatcherSaid,
    Ended,
    Event,
    HelperDied,
    HelperSaid,
    HelperSpawnFailed,
    LimitAsked,
    MemoryMeasured,
    OrderNotTaken,
    PauseAsked,
    RecordRead,
    ResizeAsked,
    ScaleAsked,
    SpawnFailed,
    StacksAsked,
    StopAsked,
    Tick,
)
from fleet.core.pool.helper_reports import note_helper_word
from fleet.core.pool.lifecycle import fail_helper_spawn, fail_spawn, note_death, note_helper_death
from fleet.core.pool.liveness import note_record
from fleet.core.pool.reconcile import reconcile
from fleet.core.pool.reports import note_report
from fleet.core.pool.resizing import limit_queue, nudge_size, pause, scale
from fleet.core.pool.shutdown import note_stop_signal, stop
from fleet.core.pool.state import (
    IllegalEvent,
    Pool,
    PoolEnd,
    PoolPhase,
    slot_of,
    with_slot,
)
from fleet.core.records import replace
from fleet.core.scout_protocol import DeleteTried, Recover, SampleDepth, ScoutOrder, TryDelete
from fleet.core.slot_state import State

__all__ = ["IllegalEvent", "step"]

# Seconds: a process that has not written its stack by then is stopped, or cannot be scheduled.
STACK_TIME = 0.5


def step(pool: Pool, event: Event, now: float, jitter: float) -> Step:
    """The next pool, and what to do. `now` in seconds, `jitter` in [0, 1).

    Raises IllegalEvent for an event that the state does not allow.
    """
    if isinstance(event, DispatcherSaid | Died) or (
        isinstance(event, Tick) and pool.phase is PoolPhase.RUNNING
    ):
        pool = sizing.pass_time(pool, now)
    pool, first = _apply(pool, event, now, jitter)
    pool, then = reconcile(pool, now, judge=isinstance(event, Tick))
    pool, last = (
        sizing.ask_for_sample(pool, now) if isinstance(event, DispatcherSaid | Tick) else (pool, ())
    )
    return pool, (*first, *then, *last)


def _apply(pool: Pool, event: Event, now: float, jitter: float) -> Step:
    match event:
        case Tick():
            return pool, ()
        case DispatcherSaid(number, report):
            return note_report(pool, slot_of(pool, number), report, now, jitter)
        case HelperSaid(role, word):
            return note_helper_word(pool, role, word, now, jitter)
        case OrderNotTaken(order):
            return _take_back(pool, order, now, jitter), ()
        case SpawnFailed(number, why):
            return fail_spawn(pool, slot_of(pool, number, State.SPAWNING), why, now, jitter)
        case HelperSpawnFailed(role, why):
            return fail_helper_spawn(pool, role, why, now, jitter)
        case Ended(number):
            return with_slot(pool, replace(slot_of(pool, number), ended=True)), ()
        case Died(number):
            return note_death(pool, slot_of(pool, number), event, now, jitter)
        case HelperDied(role, cause):
            return note_helper_death(pool, role, cause, now, jitter)
        case StacksAsked():
            return replace(pool, stacks_at=min(pool.stacks_at, now + STACK_TIME)), (AskStack(None),)
        case MemoryMeasured(available, total, taken):
            memory = replace(pool.memory, available=available, total=total, taken=taken, at=now)
            return job_memory.note_memory(replace(pool, memory=memory))
        case RecordRead(number):
            return note_record(pool, slot_of(pool, number), event, now)
        case StopAsked(level, why, by_signal):
            return (
                note_stop_signal(pool, level, why, now)
                if by_signal
                else stop(pool, level, PoolEnd(DONE, why), now)
            )
        case ResizeAsked(by):
            return nudge_size(pool, by)
        case ScaleAsked(to):
            return scale(pool, to)
        case PauseAsked(wanted, queue):
            return pause(pool, wanted, queue, now)
        case LimitAsked(place, limit):
            return limit_queue(pool, place, limit, now)
        case _:
            assert_never(event)


def _take_back(pool: Pool, order: ScoutOrder, now: float, jitter: float) -> Pool:
    """The scout was not given an order. A sample that it does not take is taken at its interval."""
    match order:
        case Recover():
            return recovery_orders.take_back_order(pool, order)
        case TryDelete():  # as good as denied
            tried = DeleteTried(denied=True, queue=order.queue)
            return denials.note_probe_answer(pool, tried, now, jitter)
        case SampleDepth():
            return pool
        case _:
            assert_never(order)
