"""What children say, as far as it is about births: who was asked for, named, and introduced.

`children.py` has the theory. All other words are handed on to the pool.
"""

from collections.abc import Callable

from fleet.core.pool.children import (
    Children,
    ChildUpdate,
    KillChild,
    Source,
    distrust,
    without,
)
from fleet.core.pool.events import DispatcherSaid, Event, HelperSaid
from fleet.core.pool.reaping import end_dispatcher
from fleet.core.pool.state import Role
from fleet.core.protocol import (
    Forked,
    FromHelper,
    FromScout,
    FromTemplate,
    NotForked,
    Ready,
    Report,
    Word,
)
from fleet.core.records import replace
from fleet.core.scout_protocol import Served


class ImpossibleWord(Exception):
    """A child has said what cannot be."""


def ask_for_dispatcher(children: Children, slot: int) -> Children:
    """The template is asked for a dispatcher for the slot."""
    children = forget_slot(children, slot)
    return replace(children, asked=children.asked | {slot})


def forget_slot(children: Children, slot: int) -> Children:
    """The slot is vacant: a dispatcher that was asked for is given up."""
    if slot not in children.asked and slot not in children.distrusted:
        return children
    distrusted = children.distrusted - {slot}
    return replace(children, asked=children.asked - {slot}, distrusted=distrusted)


def add_helper(children: Children, role: Role, pid: int) -> Children:
    """A helper was started."""
    helpers = {**children.helpers, role: pid}
    return replace(children, helpers=helpers, distrusted=children.distrusted - {role})


def hear(
    children: Children, source: Source, word: Word, is_child: Callable[[int], bool]
) -> ChildUpdate:
    """A child has said a word. `is_child` tells whether a pid is that of a child, alive or dead."""
    try:
        if isinstance(source, Role):
            return _hear_helper(children, source, word, is_child)
        return _hear_dispatcher(children, source, word, is_child)
    except ImpossibleWord as error:
        return distrust(children, source, f"it said what cannot be: {error}")


def _hear_dispatcher(
    children: Children, slot: int, word: Word, is_child: Callable[[int], bool]
) -> ChildUpdate:
    if not isinstance(word, Report):
        raise ImpossibleWord(f"a dispatcher's {type(word).__name__}")
    said = DispatcherSaid(slot, word)
    if not isinstance(word, Ready) or any(death.slot == slot for death in children.pending):
        return ChildUpdate(children, (said,))
    pid = word.pid
    if slot in children.asked:
        children = replace(
            _add_dispatcher(children, slot, pid, is_child),
            introduced=children.introduced | {pid},
        )
    elif children.dispatchers.get(pid) != slot:
        raise ImpossibleWord(f"pid {pid} is not that of slot {slot}")
    return _end_if_dead(children, pid, said)


def _hear_helper(
    children: Children, role: Role, word: Word, is_child: Callable[[int], bool]
) -> ChildUpdate:
    of_template, of_scout = isinstance(word, FromTemplate), isinstance(word, FromScout)
    is_its_own = of_template if role is Role.TEMPLATE else of_scout
    if not isinstance(word, FromHelper) or not is_its_own:
        raise ImpossibleWord(f"the {role.value}'s {type(word).__name__}")
    queue = getattr(word, "queue", 0)
    if not 0 <= queue < children.queues:
        raise ImpossibleWord(f"the {role.value}'s {type(word).__name__} about queue {queue}")
    match word:
        case Forked():
            return _name_dispatcher(children, word, is_child)
        case NotForked(slot):
            if slot not in children.asked:
                # It was given up; or it has introduced itself, and only its name is lost.
                return ChildUpdate(children)
            children = replace(children, asked=children.asked - {slot})
        case Served(pid):
            # It becomes our child when the scout dies, and is not ours to end: others may use it.
            children = replace(children, others=children.others | {pid})
    return ChildUpdate(children, (HelperSaid(role, word),))


def _name_dispatcher(
    children: Children, word: Forked, is_child: Callable[[int], bool]
) -> ChildUpdate:
    """The template names a dispatcher; the dispatcher may be ready, or dead, already."""
    slot, pid = word.slot, word.pid
    if pid in children.introduced:
        return ChildUpdate(replace(children, introduced=children.introduced - {pid}))
    if slot not in children.asked:
        if slot in children.dispatchers.values():
            raise ImpossibleWord(f"slot {slot} was not asked for")
        # It was given up meanwhile, and leaves: its channel is closed.
        return ChildUpdate(replace(children, unnamed=without(children.unnamed, pid)))
    children = _add_dispatcher(children, slot, pid, is_child)
    update = _end_if_dead(children, pid, HelperSaid(Role.TEMPLATE, word))
    if slot in children.distrusted and not update.effects:
        # It has said too much before it was named.
        return replace(update, effects=(KillChild(pid),))
    return update


def _add_dispatcher(
    children: Children, slot: int, pid: int, is_child: Callable[[int], bool]
) -> Children:
    """Its pid must be that of a child that is new to us: it may be killed one day."""
    known = {*children.dispatchers, *children.helpers.values(), *children.others}
    if pid in known or not (pid in children.unnamed or is_child(pid)):
        raise ImpossibleWord(f"pid {pid} is no new dispatcher's")
    dispatchers = {**children.dispatchers, pid: slot}
    return replace(children, dispatchers=dispatchers, asked=children.asked - {slot})


def _end_if_dead(children: Children, pid: int, born: Event) -> ChildUpdate:
    """The birth of a dispatcher, and its end if it was reaped before anybody told its birth."""
    if pid not in children.unnamed:
        return ChildUpdate(children, (born,))
    how = children.unnamed[pid]
    children = replace(children, unnamed=without(children.unnamed, pid))
    update = end_dispatcher(children, pid, how)
    return replace(update, events=(born, *update.events))
