"""Deaths of children, and the sweeps after them. `children.py` has the theory."""

from collections.abc import Collection, Mapping
from math import inf

from fleet.core.exit_codes import APP_UNUSABLE, CUT_OFF
from fleet.core.outcomes import Exit
from fleet.core.pool.children import (
    Children,
    ChildUpdate,
    HangUp,
    HearLast,
    KillJobs,
    PendingDeath,
    without,
)
from fleet.core.pool.events import Ended, Event, HelperDied, HelperSaid
from fleet.core.pool.state import Role
from fleet.core.protocol import Failed
from fleet.core.records import replace

MOST_EXITS = 256  # of strangers, that are kept


def reap(children: Children, pid: int, how: Exit, cause: str) -> ChildUpdate:
    """A child has ended. `cause` is its exit as a phrase.

    What a helper has said before is to be heard before this is told: the template's last names too.
    """
    children = replace(children, spared=children.spared - {pid}, others=children.others - {pid})
    if pid in children.dispatchers:
        return end_dispatcher(children, pid, how)
    children = note_strangers(children, {pid: how})
    for role, helper in children.helpers.items():
        if helper == pid:
            return _end_helper(children, role, how, cause)
    if children.asked:
        return ChildUpdate(replace(children, unnamed={**children.unnamed, pid: how}))
    return ChildUpdate(children)


def end_reaping(children: Children) -> Children:
    """No child is left that has ended: what nobody will ask for any more is forgotten."""
    if not children.asked and children.unnamed:
        children = replace(children, unnamed={})
    if len(children.exits) > MOST_EXITS and not children.pending:
        children = replace(children, exits={})
    return children


def end_dispatcher(children: Children, pid: int, how: Exit) -> ChildUpdate:
    """A dispatcher has ended; its death is pending."""
    slot = children.dispatchers[pid]
    children = replace(
        children,
        dispatchers=without(children.dispatchers, pid),
        pending=(*children.pending, PendingDeath(slot, pid, how)),
    )
    return ChildUpdate(children, (Ended(slot),), (KillJobs(slot), HearLast(slot), HangUp(slot)))


def _end_helper(children: Children, role: Role, how: Exit, cause: str) -> ChildUpdate:
    helpers = {each: pid for each, pid in children.helpers.items() if each is not role}
    children = replace(children, helpers=helpers, is_sweep_needed=True)
    events: list[Event] = []
    if role is Role.TEMPLATE:  # what it was asked for dies with it
        children = replace(children, asked=frozenset(), introduced=frozenset())
        if how.code == CUT_OFF:
            why = (
                f"{children.app}: its import closes descriptors that are not its own (--no-preload)"
            )
            events.append(HelperSaid(role, Failed(APP_UNUSABLE, why)))
    return ChildUpdate(children, (*events, HelperDied(role, cause)), (HangUp(role),))


def drop_dispatcher(children: Children, pid: int) -> Children:
    """A dispatcher is gone, and nobody is to hear of it any more."""
    return replace(children, dispatchers=without(children.dispatchers, pid))


def note_strangers(children: Children, ended: Mapping[int, Exit]) -> Children:
    """Children have ended that we have not started, by pid: jobs of dead dispatchers, say."""
    return replace(children, exits={**children.exits, **ended}) if ended else children


def end_sweep(
    children: Children, left: Collection[int], *, only_trackers: bool, now: float, grace: float
) -> tuple[Children, tuple[PendingDeath, ...]]:
    """What a sweep has not ended yet: the pids, and whether they are all resource trackers.

    Those have `grace` seconds more, and are not waited for any longer. Returns the deaths that are
    news now, because nothing is alive any more that the dead have left.
    """
    if left:
        if not only_trackers:
            return children, ()
        if children.spared_at == inf:
            children = replace(children, spared_at=now + grace)
        if now < children.spared_at:
            return children, ()
        children = replace(children, spared=children.spared | frozenset(left))
    news = children.pending
    return replace(children, pending=(), is_sweep_needed=False, spared_at=inf), news


def keep_exits(children: Children, jobs: Collection[int]) -> Children:
    """Forget the exits of all strangers but `jobs`, whose dispatchers are not reaped yet."""
    kept = {pid: how for pid, how in children.exits.items() if pid in jobs}
    return replace(children, exits=kept)
