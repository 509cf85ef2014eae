"""The master's child processes: what it knows of each, and what a word, a death or a sweep changes.

Pure: every function returns the next record. Those about births and words are in `births.py`, those
about deaths and sweeps in `reaping.py`. `fleet/master/children.py` starts, kills, reaps and
listens, and tells them what it has met; the model of the pool does the same with a host on paper.

Three parties tell the master of a dispatcher's birth and death, in any order: the template names
its pid (Forked), the dispatcher introduces itself (Ready), and the kernel tells its death. So

    a pid that nobody has named is a stranger, and is killed by the next sweep; hence nothing is
    swept while the template owes an answer (`asked`)
    a death before the name is kept until the name comes (`unnamed`)
    the first of name and introduction counts, the second is no news (`introduced`)

A dispatcher's death is news for the pool only when nothing of it is alive any more: its job could
still work on the message. Until then the death is pending, and a sweep is needed; the dispatcher
has ended meanwhile (`Ended`), and what it had said before is heard first.

What cannot be (a pid that is no new child's, a word that is not the speaker's to say) is answered
by distrust: the speaker is killed and not listened to any more.

docs/decisions/0029 has the reasons.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TypeVar

from fleet.core.outcomes import Exit
from fleet.core.pool.effects import Log
from fleet.core.pool.events import DispatcherSaid, Event, HelperSaid
from fleet.core.pool.state import Role
from fleet.core.records import replace

MOST_WHY = 300  # characters of a reason for distrust in the log

Source = int | Role  # whose channel: a slot's dispatcher, or a helper


@dataclass(frozen=True, slots=True)
class PendingDeath:
    """A dispatcher that has ended, while something that it left may still be alive."""

    slot: int
    pid: int
    exit: Exit


@dataclass(frozen=True)
class Children:
    """What the master knows of its child processes. `app` is only named in a reason for people.

    `queues`: how many the pool has.
    """

    app: str = ""
    dispatchers: Mapping[int, int] = field(default_factory=dict)  # pid → slot, of the living
    helpers: Mapping[Role, int] = field(default_factory=dict)  # role → pid
    asked: frozenset[int] = frozenset()  # slots whose dispatcher the template has still to name
    introduced: frozenset[int] = frozenset()  # pids that the template has still to name
    unnamed: Mapping[int, Exit] = field(default_factory=dict)  # ended before they were named
    pending: tuple[PendingDeath, ...] = ()
    is_sweep_needed: bool = False  # a helper has died, and what it left may still be alive
    distrusted: frozenset[Source] = frozenset()
    exits: Mapping[int, Exit] = field(default_factory=dict)  # of strangers: jobs of the dead
    others: frozenset[int] = frozenset()  # children that are not ours to end
    # Resource trackers that are not waited for any more; they end with their last user.
    spared: frozenset[int] = frozenset()
    spared_at: float = inf  # when those that are still there will be
    queues: int = 1

    @property
    def kept(self) -> set[int]:
        """The pids that a sweep must not touch."""
        return {*self.dispatchers, *self.helpers.values(), *self.others, *self.spared}

    @property
    def may_sweep(self) -> bool:
        """Whether there is something to sweep, and no dispatcher that would pass for a stranger."""
        return (self.is_sweep_needed or bool(self.pending)) and not self.asked

    @property
    def pids(self) -> dict[int, int]:
        """slot → pid, of the living and of those whose death is pending."""
        ended = {death.slot: death.pid for death in self.pending}
        return ended | {slot: pid for pid, slot in self.dispatchers.items()}


# What the master is to do, besides telling the pool the events.
@dataclass(frozen=True, slots=True)
class KillChild:
    """SIGKILL to a child."""

    pid: int


@dataclass(frozen=True, slots=True)
class KillJobs:
    """SIGKILL to the jobs that the records of the slot's ended dispatcher name."""

    slot: int


@dataclass(frozen=True, slots=True)
class HearLast:
    """Hear what the slot's ended dispatcher has still said."""

    slot: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the channel of a child that is gone."""

    source: Source


@dataclass(frozen=True, slots=True)
class Mute:
    """Neither hear nor say anything more on the channel; it stays open."""

    source: Source


ChildEffect = KillChild | KillJobs | HearLast | HangUp | Mute | Log


@dataclass(frozen=True, slots=True)
class ChildUpdate:
    """The next record, what to tell the pool, and what to do."""

    children: Children
    events: tuple[Event, ...] = ()
    effects: tuple[ChildEffect, ...] = ()


def distrust(children: Children, source: Source, why: str) -> ChildUpdate:
    """Kill a child that says what makes no sense, and listen to it no more.

    Its death is a death like others. Whatever it had in hand is settled by its record.
    """
    if source in children.distrusted:
        return ChildUpdate(children)
    why = why[:MOST_WHY]
    if isinstance(source, Role):
        log = Log("helper.failed", {"role": source.value, "why": why})
        pids = [pid for role, pid in children.helpers.items() if role is source]
    else:
        log = Log("dispatcher.failed", {"slot": source, "error": why})
        pids = [pid for pid, slot in children.dispatchers.items() if slot == source]
    children = replace(children, distrusted=children.distrusted | {source})
    return ChildUpdate(children, (), (log, *map(KillChild, pids), Mute(source)))


def source_of(event: Event) -> Source | None:
    """Whose word an event is; None when it is nobody's word."""
    match event:
        case DispatcherSaid(slot):
            return slot
        case HelperSaid(role):
            return role
        case _:
            return None


Value = TypeVar("Value")


def without(mapping: Mapping[int, Value], pid: int) -> dict[int, Value]:
    """The mapping without that pid."""
    return {each: value for each, value in mapping.items() if each != pid}
