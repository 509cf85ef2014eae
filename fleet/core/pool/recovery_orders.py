"""When the scout is given the orders to settle what dead dispatchers leave (recovery.py).

Part of the machine in `machine.py`.

An order is kept until the scout has answered it, and is given again to a scout's successor; a drain
waits for the orders. A release follows the release rule of the host (not while an open poll could
swallow the message), and is ordered once only: nobody knows whether a scout that died has done it,
and a second one could hit a new owner.

A few orders at a time: the channel holds so many, and what does not fit into it was not given. Then
no order is given until the scout says something, or its successor is there.
"""

from collections.abc import Iterator

from fleet.core.outcomes import Settlement
from fleet.core.pool import denials
from fleet.core.pool.effects import Effect, OrderScout, Step
from fleet.core.pool.recovery import note_recovered, with_recovery
from fleet.core.pool.releases import may_release
from fleet.core.pool.state import Level, Pool, Recovery
from fleet.core.records import replace
from fleet.core.scout_protocol import Recover, Recovered

# Orders that the scout has not answered. Some of them it may try for minutes, beside others.
AT_ONCE = 32


def take_back_order(pool: Pool, order: Recover) -> Pool:
    """The scout's channel had no room for the order: it was not given.

    An order that is not open any more needs none.
    """
    recoveries = tuple(
        replace(each, is_waiting=False, given=each.given - 1)
        if each.order.number == order.number and each.is_waiting
        else each
        for each in pool.recoveries
    )
    return replace(pool, recoveries=recoveries, scout=replace(pool.scout, full=True))


def lose_scout(pool: Pool) -> Pool:
    """The scout is dead: its orders wait for its successor."""
    pool = denials.lose_scout(pool)
    queues = tuple(replace(queue, answered=False) for queue in pool.queues)
    pool = replace(pool, queues=queues)
    recoveries = tuple(replace(each, is_waiting=False) for each in pool.recoveries)
    return replace(pool, recoveries=recoveries)


# Rules of reconcile.


def give_orders(pool: Pool, now: float) -> Step:
    """Give the scout the orders that it can take now; leave a message that is too late."""
    effects: list[Effect] = []
    waiting = sum(each.is_waiting for each in pool.recoveries)
    for recovery in pool.recoveries:
        if recovery.is_waiting and pool.level is not Level.KILL:
            continue
        if _is_too_late(pool, recovery, now):
            pool, more = note_recovered(pool, Recovered(recovery.order.number, Settlement.LEAVE))
            effects += more
        elif _may_be_given(pool, recovery) and waiting < AT_ONCE:
            after = replace(recovery, is_waiting=True, given=recovery.given + 1)
            pool = with_recovery(pool, recovery, after)
            effects.append(OrderScout(recovery.order))
            if not waiting:  # from now on a word of the scout is waited for
                pool = replace(pool, scout=replace(pool.scout, heard=now))
            waiting += 1
    return pool, tuple(effects)


def _may_be_given(pool: Pool, recovery: Recovery) -> bool:
    queue = pool.queues[recovery.order.queue]
    if not (pool.scout.ready and queue.usable and queue.answered) or pool.scout.full:
        return False
    return recovery.order.settlement is not Settlement.RELEASE or may_release(
        pool, recovery.order.queue
    )


def _is_too_late(pool: Pool, recovery: Recovery, now: float) -> bool:
    if pool.level is Level.KILL:
        return True
    if recovery.order.settlement is not Settlement.RELEASE:
        return False
    was_given = recovery.given > 0 and not recovery.order.receive_id
    return was_given or now >= recovery.last_moment


def moments(pool: Pool) -> Iterator[float]:
    """When time alone changes something: a release comes too late from then on."""
    for recovery in pool.recoveries:
        if recovery.order.settlement is Settlement.RELEASE:
            yield recovery.last_moment
