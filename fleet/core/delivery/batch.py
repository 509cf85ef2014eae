"""Several messages of one receive: whose turn it is, and which of them go back to the queue.

    waiting ──its turn──▶ running ──▶ ended
       │                     └── to be released ──▶ waits for leave ──▶ ended
       └── a stop, a denied delete, no process, its group ──▶ waits for leave ──▶ ended

They run one after another, in the order in which the receive brought them. Each has a delivery of
its own (machine.py), which keeps its lease meanwhile. `step_batch` decides between them:

- When the pool stops, nothing is begun any more, but for a message on its last attempt, which a
  release would dead-letter unworked: it is kept, and its job begins and ends before `last_call`,
  a deadline that all kept messages share, so that several do not make the stop longer than one.
- When a delete is denied, what were done now would be done again, so the others go back. A release
  costs nothing but on a last attempt.
- Where the host has no process for one message, it has none for those behind it.
- On a FIFO queue no message of a group may run before another one of it that goes back.

The master is asked for leave to release once at a time: its answer is for every message that waits
for it then.

docs/decisions/0026 has the reasons.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import inf
from typing import assert_never

from fleet.core.delivery.arrival import LATE, NO_PROCESS
from fleet.core.delivery.batch_events import (
    AllowRelease,
    AskForReleases,
    BatchAction,
    BatchEvent,
    DeletesDenied,
    DrainHeard,
    MessageEnded,
    ReleasesAllowed,
    ReleaseWanted,
    RunMessage,
    SendBack,
    StopGoesOn,
    TurnFree,
)
from fleet.core.delivery.state import Rules
from fleet.core.outcomes import Settlement, Verdict
from fleet.core.reasons import Reason
from fleet.core.records import replace

DENIED = Verdict(Settlement.RELEASE, "deletes are not allowed", reason=Reason.DELETE_DENIED)
BEFORE_IT = Verdict(
    Settlement.RELEASE, "a message of its group goes back before it", reason=Reason.GROUP_WAITS
)


@dataclass(frozen=True, slots=True)
class BatchMessage:
    """What the rules need to know of one message; `place` is where in the receive it came.

    `group`: of a FIFO queue, empty when it could not be read. `is_kept`: its job may begin though
    the pool stops. `returns`: it is to be released, and waits for leave to be.
    """

    place: int
    attempt: int = 1
    group: str = ""
    is_kept: bool = False
    returns: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """The messages of one receive that have not ended. Times are seconds on one clock.

    `asks`: the master was asked for leave to release and has not answered. `last_call`: when the
    last job of a pool that stops must have ended.
    """

    waiting: tuple[BatchMessage, ...]
    running: BatchMessage | None = None
    asks: bool = False
    last_call: float = inf


BatchStep = tuple[Batch, tuple[BatchAction, ...]]


def step_batch(batch: Batch, event: BatchEvent, rules: Rules) -> BatchStep:
    """The next state of the batch, and what to do."""
    match event:
        case TurnFree(leaving):
            return _begin_next(batch, leaving)
        case DrainHeard(now, seconds):
            last_call = min(batch.last_call, now + max(seconds, rules.config.exit_timeout))
            return replace(batch, last_call=last_call), ()
        case StopGoesOn(now, limit):
            return _send_back_late(batch, now, limit, rules)
        case DeletesDenied(limit):
            others = {each.place for each in batch.waiting if not _is_last(each, limit)}
            return _send_back(batch, others, DENIED, rules)
        case ReleaseWanted(place):
            return _ask(_mark_returning(batch, place))
        case ReleasesAllowed():
            allowed = tuple(AllowRelease(each.place) for each in _in_hand(batch) if each.returns)
            return replace(batch, asks=False), allowed
        case MessageEnded(place, settlement, starved):
            return _end_message(batch, place, settlement, starved, rules)
        case _:
            assert_never(event)


def needs_limit(batch: Batch, now: float) -> bool:
    """Whether StopGoesOn decides something by the queue's limit, which has to be asked for."""
    return now < batch.last_call and any(
        not each.returns and not each.is_kept for each in batch.waiting
    )


def keeps_its_group(settlement: Settlement) -> bool:
    """Whether the next message of its FIFO group may run: this one is not in the queue any more."""
    return settlement in (Settlement.DELETE, Settlement.DEAD_LETTER)


def _begin_next(batch: Batch, leaving: bool) -> BatchStep:
    """The first one that does not go back."""
    following = next((each for each in batch.waiting if not each.returns), None)
    if following is None:
        return batch, ()
    waiting = tuple(each for each in batch.waiting if each is not following)
    stop_at = batch.last_call if leaving else inf
    return replace(batch, waiting=waiting, running=following), (
        RunMessage(following.place, stop_at),
    )


def _send_back_late(batch: Batch, now: float, limit: int | None, rules: Rules) -> BatchStep:
    """Keep what a release would dead-letter, while there is time to run it; the rest goes back."""
    in_time = now < batch.last_call
    waiting = tuple(
        replace(
            each,
            is_kept=in_time and (each.is_kept or (not each.returns and _is_last(each, limit))),
        )
        for each in batch.waiting
    )
    late = {each.place for each in waiting if not each.is_kept}
    return _send_back(replace(batch, waiting=waiting), late, LATE, rules)


def _end_message(
    batch: Batch, place: int, settlement: Settlement, starved: bool, rules: Rules
) -> BatchStep:
    """What the end of one message means for those behind it."""
    waiting = tuple(each for each in batch.waiting if each.place != place)
    (ended,) = (each for each in _in_hand(batch) if each.place == place)
    running = None if batch.running is ended else batch.running
    batch = replace(batch, waiting=waiting, running=running)
    if starved:
        return _send_back(batch, {each.place for each in waiting}, NO_PROCESS, rules)
    if keeps_its_group(settlement):
        return batch, ()
    return _send_back(batch, (), BEFORE_IT, rules, blocking=(ended,))


def _send_back(
    batch: Batch,
    places: Collection[int],
    verdict: Verdict,
    rules: Rules,
    *,
    blocking: tuple[BatchMessage, ...] = (),
) -> BatchStep:
    """The messages of these places go back, and on a FIFO queue those that they block.

    `blocking`: messages that block others beside those that go back now.
    """
    blocks, waiting, actions = list(blocking), list[BatchMessage](), list[BatchAction]()
    for each in batch.waiting:
        is_blocked = rules.is_fifo and any(_blocks(other, each) for other in blocks)
        if not each.returns and (is_blocked or each.place in places):
            blocks.append(each)
            actions.append(SendBack(each.place, BEFORE_IT if is_blocked else verdict))
            waiting.append(replace(each, returns=True))
        else:
            waiting.append(each)
    return replace(batch, waiting=tuple(waiting)), tuple(actions)


def _blocks(before: BatchMessage, after: BatchMessage) -> bool:
    """Whether `after` must not run before `before`.

    A message that cannot be used may not tell its group: then it blocks all behind it.
    """
    return after.place > before.place and before.group in (after.group, "")


def _ask(batch: Batch) -> BatchStep:
    """Ask the master, if it is not asked already."""
    return (batch, ()) if batch.asks else (replace(batch, asks=True), (AskForReleases(),))


def _mark_returning(batch: Batch, place: int) -> Batch:
    if batch.running and batch.running.place == place:
        return replace(batch, running=replace(batch.running, returns=True))
    waiting = tuple(
        replace(each, returns=True) if each.place == place else each for each in batch.waiting
    )
    return replace(batch, waiting=waiting)


def _in_hand(batch: Batch) -> tuple[BatchMessage, ...]:
    return (*((batch.running,) if batch.running else ()), *batch.waiting)


def _is_last(message: BatchMessage, limit: int | None) -> bool:
    """Whether to release the message is to dead-letter it."""
    return limit is not None and message.attempt >= limit
