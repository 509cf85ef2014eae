"""Messages whose dispatchers died: who settles them, when, and how they are booked. Part of
`pool.py`'s machine.

The scout does it, by order: a `Will`. Orders are kept until acknowledged and given again to a
scout's successor; a drain waits for them. A release follows the release rule of the host (not while
an open poll could swallow the message), and is given once only: whether a dead scout has done it
nobody knows, and once more could hit a new owner.

A poll on a FIFO queue that lost its dispatcher is an order too: to repeat it when it must be over,
and to release what it brought. Repeating is safe, so that is given again. It counts as received
only when something came.

A few at a time: the channel holds so many, and what does not fit into it was not given. Then
nothing is given until the scout says something, or its successor is there.
"""

from dataclasses import replace

from fleet.core import polling
from fleet.core.exit_codes import KILLED
from fleet.core.outcomes import Settlement
from fleet.core.pool import denials, emptiness
from fleet.core.pool.effects import Effect, GiveWill, Log, Step
from fleet.core.pool.events import Died, Left, WillDone
from fleet.core.pool.orphan import Estate, settlement
from fleet.core.pool.releases import may_release
from fleet.core.pool.slot import Slot, State
from fleet.core.pool.state import Counts, Level, Pool, PoolEnd, Will

AT_ONCE = (
    32  # orders that the scout has not answered; some of them it may try for minutes, beside others
)
DEAD_POLL_MARGIN = 1.0  # seconds: by then the server has ended a long poll whose client is gone
BOOKS = {
    Settlement.DELETE: "deleted",
    Settlement.RELEASE: "released",
    Settlement.DEAD_LETTER: "dead_lettered",
    Settlement.LEAVE: "left",
}


def booked(counts: Counts, how: Settlement) -> Counts:
    """One message more that ended like that."""
    return replace(counts, **{BOOKS[how]: getattr(counts, BOOKS[how]) + 1})


def stays_open(pool: Pool, slot: Slot) -> Pool:
    """The slot's poll, to which nobody listens any more; the server does not know that."""
    return replace(pool, dead_polls=(*pool.dead_polls, _over(pool, slot)))


def _over(pool: Pool, slot: Slot) -> float:
    """When the server has ended the slot's poll, at the latest."""
    return slot.since + pool.config.wait_time + DEAD_POLL_MARGIN


def written(pool: Pool, slot: Slot, death: Died, now: float) -> Step:
    """What a dead dispatcher left: an open poll, messages in hand, or some that it had settled
    without saying so.
    """
    left = (Left(0, death.estate, death.settled), *death.others)
    effects: list[Effect] = []
    if slot.state is State.POLLING:
        if death.estate is None:
            pool = stays_open(pool, slot)
            return (_to_repeat(pool, slot, death.receive_id) if death.receive_id else pool), ()
        pool = replace(pool, counts=replace(pool.counts, polls=pool.counts.polls + 1))
        for each in left:  # its poll had come home, and it died before it could say so
            if each.estate is not None:
                pool, more = _inherited(_received(pool), slot, each.estate, now)
                effects += more
    elif slot.is_busy:
        known = {each.place: each for each in left}
        denied = {each.place: each for each in slot.denied}
        for place in slot.places:
            found = known.get(place, Left(place))
            if found.estate is not None:
                pool, more = _inherited(pool, slot, found.estate, now, denied=place in denied)
                effects += more
                continue
            how = found.settled or Settlement.LEAVE
            if place in denied and how is Settlement.LEAVE:
                pool, more = denials.given_up(
                    pool, slot.number, denied[place].message_id, denied[place].handle
                )
                effects += more
            pool = _book(pool, how, finished=place in denied)
    return pool, tuple(effects)


def _inherited(pool: Pool, slot: Slot, estate: Estate, now: float, *, denied: bool = False) -> Step:
    """A message that a dead dispatcher had in hand."""
    will = Will(pool.next_will, slot.number, estate, settlement(estate, now), denied=denied)
    pool = replace(pool, next_will=pool.next_will + 1)
    if will.settlement is Settlement.LEAVE or pool.level is Level.KILL:
        return _ended(pool, will, Settlement.LEAVE)
    return replace(pool, wills=(*pool.wills, will)), ()


def _received(pool: Pool) -> Pool:
    """A message that no dispatcher lived to tell of."""
    counts = replace(pool.counts, received=pool.counts.received + 1)
    return replace(pool, counts=counts, emptiness=emptiness.received())


def _to_repeat(pool: Pool, slot: Slot, receive_id: str) -> Pool:
    """What the poll brings at its very end is hidden for a first lease from then on."""
    unknown = Estate("", 0, "", _over(pool, slot) + pool.config.first_lease, receive_id=receive_id)
    will = Will(pool.next_will, slot.number, unknown, Settlement.RELEASE)
    return replace(pool, next_will=pool.next_will + 1, wills=(*pool.wills, will))


def done(pool: Pool, answer: WillDone) -> Step:
    """The scout's answer; one for an order that is not open any more says nothing new."""
    will = next((will for will in pool.wills if will.number == answer.number), None)
    if will is None:
        return pool, ()
    pool = replace(pool, wills=tuple(each for each in pool.wills if each is not will))
    if answer.settlement is not Settlement.LEAVE:
        pool = replace(pool, polling=polling.answered(pool.polling))
    if will.estate.receive_id:
        if not answer.message_id:  # the poll had brought nothing
            return pool, ()
        found = replace(will.estate, message_id=answer.message_id, attempt=answer.attempt)
        pool, will = _received(pool), replace(will, estate=found)
    return _ended(pool, will, answer.settlement)


def _ended(pool: Pool, will: Will, how: Settlement) -> Step:
    fields = {
        "slot": will.slot,
        "message_id": will.estate.message_id,
        "attempt": will.estate.attempt,
        "why": "its dispatcher died while receiving it"
        if will.estate.receive_id
        else "its dispatcher died",
        "delay": will.estate.delay if how is Settlement.RELEASE else 0,
    }
    effects: tuple[Effect, ...] = (Log(f"message.{how.value}", fields),)
    if will.denied and how is Settlement.LEAVE:
        pool, more = denials.given_up(pool, will.slot, will.estate.message_id, will.estate.handle)
        effects = (*effects, *more)
    return _book(pool, how, finished=will.settlement is Settlement.DELETE), effects


def _book(pool: Pool, how: Settlement, *, finished: bool = False) -> Pool:
    """What is left because everything was killed has a price, exit 7; what was finished has a
    smaller one.
    """
    if how is Settlement.LEAVE and finished:
        pool = replace(pool, unconfirmed=pool.unconfirmed + 1)
    elif how is Settlement.LEAVE and pool.level is Level.KILL:
        pool = replace(pool, end=PoolEnd(KILLED, "killed with work in hand"))
    return replace(pool, counts=booked(pool.counts, how))


def not_taken(pool: Pool, number: int) -> Pool:
    """There was no room for the order: it was not given. One that is not open any more needs none."""
    back = (
        replace(will, waiting=False, given=will.given - 1)
        if will.number == number and will.waiting
        else will
        for will in pool.wills
    )
    return replace(pool, wills=tuple(back), scout=replace(pool.scout, full=True))


def denied(pool: Pool, number: int, why: str, now: float) -> Step:
    """The scout is not allowed to do what it was ordered."""
    will = next((will for will in pool.wills if will.number == number), None)
    if will is None:
        return pool, ()
    after = replace(will, denied=True)
    pool = replace(pool, wills=tuple(after if each is will else each for each in pool.wills))
    return denials.denied(pool, why, now)


def orphaned(pool: Pool) -> Pool:
    """The scout is dead: its orders wait for the next one."""
    pool = denials.unanswered(pool)
    if not pool.wills:
        return pool
    return replace(pool, wills=tuple(replace(will, waiting=False) for will in pool.wills))


def given(pool: Pool, now: float) -> Step:
    """Give the scout what it can be given now; what has become too late is left."""
    if not pool.wills:
        return pool, ()
    effects: list[Effect] = []
    waiting = sum(will.waiting for will in pool.wills)
    for will in pool.wills:
        if will.waiting and pool.level is not Level.KILL:
            continue
        if _too_late(pool, will, now):
            pool, more = done(pool, WillDone(will.number, Settlement.LEAVE))
            effects += more
        elif (
            pool.scout.ready
            and not pool.scout.full
            and waiting < AT_ONCE
            and (will.settlement is not Settlement.RELEASE or may_release(pool))
        ):
            after = replace(will, waiting=True, given=will.given + 1)
            pool = replace(
                pool, wills=tuple(after if each is will else each for each in pool.wills)
            )
            effects.append(GiveWill(after))
            if not waiting:  # from now on a word is waited for
                pool = replace(pool, scout=replace(pool.scout, heard=now))
            waiting += 1
    return pool, tuple(effects)


def _too_late(pool: Pool, will: Will, now: float) -> bool:
    if pool.level is Level.KILL:
        return True
    if will.settlement is not Settlement.RELEASE:
        return False
    given_once = will.given > 0 and not will.estate.receive_id
    return given_once or now >= will.estate.last_moment
