"""Trouble with the queue that no retry heals: polls that are refused, deletes that are not allowed.
Part of `pool.py`'s machine.

    a poll is refused, or the queue is gone   it is polled on, at the pauses of any trouble, until a poll is answered
    a delete is denied                        nothing is received until a delete is allowed: each message more would be
                                              done and done again

A denied delete is asked for again by whoever has the message in hand: its dispatcher, or the scout
for a dead one. Given up by them it is left, in the ledger too, and goes on as a probe: the master
has the scout try it, at growing pauses, while the pool runs. That is no settlement: what comes of
it is only told. One probe is enough; an answer that does not deny ends it, whatever else it says
(on a FIFO queue the handle is no good any more).

A pool that serves goes on like this for ever. One that ends by itself gives up after GIVE_UP
seconds of either.
"""

from collections.abc import Iterator
from dataclasses import replace

from fleet.core.backoff import pause_before_next
from fleet.core.exit_codes import QUEUE_UNUSABLE
from fleet.core.outcomes import Settlement
from fleet.core.pool.effects import GiveProbe, Log, Step
from fleet.core.pool.events import Probed
from fleet.core.pool.shutdown import stop
from fleet.core.pool.slot import Pending, Slot
from fleet.core.pool.state import DeleteProbe, Level, Pool, PoolEnd, PoolPhase, Refusal, with_slot
from fleet.core.protocol import Denied, Settled

GIVE_UP = 60.0  # seconds
PROBE_FIRST, PROBE_MOST = 1.0, 30.0  # seconds between two tries


def poll_refused(pool: Pool, why: str, now: float) -> Pool:
    """A poll met what does not heal by itself."""
    return replace(pool, refused=Refusal(pool.refused.since if pool.refused else now, why))


def delete_denied(pool: Pool, slot: Slot, report: Denied, now: float) -> Step:
    """A message in hand is done, and its delete is not allowed."""
    slot = replace(
        slot, denied=(*slot.denied, Pending(report.place, report.message_id, report.handle))
    )
    return denied(with_slot(pool, slot), report.error, now)


def denied(pool: Pool, why: str, now: float) -> Step:
    """The first refusal is told; all others are the same."""
    if pool.denial is not None:
        return pool, ()
    return replace(pool, denial=Refusal(now, why)), (Log("deletes.denied", {"error": why}),)


def settled(pool: Pool, slot: Slot, report: Settled) -> Step:
    """What a settlement says of the deletes. `slot` is as it was before."""
    if pool.denial is None:
        return pool, ()
    if report.settlement in (Settlement.DELETE, Settlement.DEAD_LETTER):
        return _looked_at_soon(pool), ()
    pending = next((each for each in slot.denied if each.place == report.place), None)
    return (
        (pool, ())
        if pending is None
        else given_up(pool, slot.number, pending.message_id, pending.handle)
    )


def _looked_at_soon(pool: Pool) -> Pool:
    """Somebody's delete was confirmed: so may be the one that is tried here."""
    return replace(pool, probe=pool.probe and replace(pool.probe, tries=0, at=0.0))


def given_up(pool: Pool, slot: int, message_id: str, handle: str) -> Step:
    """A denied delete that nobody has in hand any more: it becomes the probe, if there is none."""
    why = pool.denial.why if pool.denial else ""
    said = Log("message.undeleted", {"slot": slot, "message_id": message_id, "error": why})
    return replace(pool, probe=pool.probe or DeleteProbe(message_id, handle)), (said,)


def probed(pool: Pool, answer: Probed, now: float, jitter: float) -> Pool:
    """The scout has tried the probe; or could not be asked to, which is as good as denied."""
    probe = pool.probe
    if probe is None:
        return pool
    if not answer.denied:
        return replace(pool, probe=None, unconfirmed=max(0, pool.unconfirmed - answer.deleted))
    tries = probe.tries + 1
    pause = pause_before_next(tries, PROBE_FIRST, PROBE_MOST, jitter)
    return replace(pool, probe=replace(probe, tries=tries, at=now + pause, waiting=False))


def unanswered(pool: Pool) -> Pool:
    """The scout is dead: its successor is asked."""
    return replace(pool, probe=pool.probe and replace(pool.probe, waiting=False))


# Rules of reconcile.


def allowed(pool: Pool, _: float) -> Step:
    """No denied delete is left that could be denied again."""
    if pool.denial is None or pool.probe or _pending(pool):
        return pool, ()
    return replace(pool, denial=None), (Log("deletes.allowed", {}),)


def _pending(pool: Pool) -> bool:
    return any(slot.denied for slot in pool.slots) or any(will.denied for will in pool.wills)


def asked(pool: Pool, now: float) -> Step:
    """Have the probe tried, when it is time."""
    probe = pool.probe
    if probe is None or not _may_be_asked(pool, probe) or now < probe.at:
        return pool, ()
    return replace(pool, probe=replace(probe, waiting=True)), (
        GiveProbe(probe.message_id, probe.handle),
    )


def _may_be_asked(pool: Pool, probe: DeleteProbe) -> bool:
    return pool.phase is PoolPhase.RUNNING and pool.scout.ready and not probe.waiting


def hopeless(pool: Pool, now: float) -> Step:
    """A pool that ends by itself would never do so."""
    if pool.phase is not PoolPhase.RUNNING or not pool.config.ends_by_itself:
        return pool, ()
    for refusal in (pool.denial, pool.refused):
        if refusal is not None and now >= refusal.since + GIVE_UP:
            why = f"{refusal.why} (for {GIVE_UP:g} s)"
            return stop(pool, Level.DRAIN, PoolEnd(QUEUE_UNUSABLE, why), now, pool.config.own_drain)
    return pool, ()


def moments(pool: Pool) -> Iterator[float]:
    """When time alone changes something."""
    if pool.phase is PoolPhase.RUNNING and pool.config.ends_by_itself:
        yield from (
            each.since + GIVE_UP for each in (pool.denial, pool.refused) if each is not None
        )
    if pool.probe is not None and _may_be_asked(pool, pool.probe):
        yield pool.probe.at
