"""Trouble with the queue that no retry heals: polls that are refused, deletes that are not allowed.

Part of the machine in `machine.py`.

    a poll is refused, or the queue is gone   the pool polls on, at the pauses of any trouble, until
                                              a poll is answered
    a delete is denied                        nothing is received until a delete is allowed: each
                                              message more would be done and done again

A denied delete is asked for again by the process that has the message in hand: its dispatcher, or
the scout for a dead one. When that process gives it up, the message is left, in the ledger too, and
goes on as a probe: the master has the scout try the delete, at growing pauses, while the pool runs.
That is no settlement: what comes of it is only logged. One probe is enough; an answer that does not
deny ends it, whatever else it says (on a FIFO queue the handle is no good any more).

A pool that serves goes on like this for ever. A pool that ends by itself gives up after GIVE_UP
seconds of either.
"""

from collections.abc import Iterator

from fleet.core.backoff import pause_before_next
from fleet.core.exit_codes import QUEUE_UNUSABLE
from fleet.core.outcomes import Settlement
from fleet.core.pool.effects import Log, OrderScout, Step
from fleet.core.pool.shutdown import stop
from fleet.core.pool.slot import Pending, Slot
from fleet.core.pool.state import DeleteProbe, Level, Pool, PoolEnd, PoolPhase, Refusal, with_slot
from fleet.core.protocol import Denied, Settled
from fleet.core.records import replace
from fleet.core.scout_protocol import DeleteTried, TryDelete

GIVE_UP = 60.0  # seconds
PROBE_FIRST, PROBE_MOST = 1.0, 30.0  # seconds between two tries


def note_refused_poll(pool: Pool, why: str, now: float) -> Pool:
    """A poll met what does not heal by itself."""
    return replace(pool, refused=Refusal(pool.refused.since if pool.refused else now, why))


def note_denied_delete(pool: Pool, slot: Slot, report: Denied, now: float) -> Step:
    """A message in hand is done, and its delete is not allowed."""
    pending = Pending(report.place, report.message_id, report.handle)
    slot = replace(slot, denied=(*slot.denied, pending))
    return note_denial(with_slot(pool, slot), report.error, now)


def note_denial(pool: Pool, why: str, now: float) -> Step:
    """The first refusal is logged; all others are the same."""
    if pool.denial is not None:
        return pool, ()
    return replace(pool, denial=Refusal(now, why)), (Log("deletes.denied", {"error": why}),)


def note_settled(pool: Pool, slot: Slot, report: Settled) -> Step:
    """What a settlement says of the deletes. `slot` is as it was before."""
    if pool.denial is None:
        return pool, ()
    if report.settlement in (Settlement.DELETE, Settlement.DEAD_LETTER):
        return _hasten_probe(pool), ()
    pending = next((each for each in slot.denied if each.place == report.place), None)
    if pending is None:
        return pool, ()
    return give_up_delete(pool, slot.number, pending.message_id, pending.handle)


def _hasten_probe(pool: Pool) -> Pool:
    """Another delete was confirmed: the probe's may be, too."""
    return replace(pool, probe=pool.probe and replace(pool.probe, tries=0, at=0.0))


def give_up_delete(pool: Pool, slot: int, message_id: str, handle: str) -> Step:
    """A denied delete whose message is not in hand any more becomes the probe, if there is none."""
    why = pool.denial.why if pool.denial else ""
    log = Log("message.undeleted", {"slot": slot, "message_id": message_id, "error": why})
    probe = pool.probe or DeleteProbe(TryDelete(message_id, handle))
    return replace(pool, probe=probe), (log,)


def note_probe_answer(pool: Pool, answer: DeleteTried, now: float, jitter: float) -> Pool:
    """The scout has tried the probe."""
    probe = pool.probe
    if probe is None:
        return pool
    if not answer.denied:
        return replace(pool, probe=None, unconfirmed=max(0, pool.unconfirmed - answer.deleted))
    tries = probe.tries + 1
    pause = pause_before_next(tries, PROBE_FIRST, PROBE_MOST, jitter)
    return replace(pool, probe=replace(probe, tries=tries, at=now + pause, is_waiting=False))


def lose_scout(pool: Pool) -> Pool:
    """The scout is dead: its successor is asked."""
    return replace(pool, probe=pool.probe and replace(pool.probe, is_waiting=False))


# Rules of reconcile.


def end_denial(pool: Pool, _: float) -> Step:
    """No denied delete is left that could be denied again."""
    if pool.denial is None or pool.probe or _is_pending(pool):
        return pool, ()
    return replace(pool, denial=None), (Log("deletes.allowed", {}),)


def _is_pending(pool: Pool) -> bool:
    in_hand = any(slot.denied for slot in pool.slots)
    return in_hand or any(recovery.denied for recovery in pool.recoveries)


def send_probe(pool: Pool, now: float) -> Step:
    """Have the probe tried, when it is time."""
    probe = pool.probe
    if probe is None or not _may_be_sent(pool, probe) or now < probe.at:
        return pool, ()
    return replace(pool, probe=replace(probe, is_waiting=True)), (OrderScout(probe.order),)


def _may_be_sent(pool: Pool, probe: DeleteProbe) -> bool:
    return pool.phase is PoolPhase.RUNNING and pool.scout.ready and not probe.is_waiting


def give_up_pool(pool: Pool, now: float) -> Step:
    """A pool that ends by itself would never do so while a refusal lasts."""
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
    if pool.probe is not None and _may_be_sent(pool, pool.probe):
        yield pool.probe.at
