"""One slot of the pool: the life of its dispatcher as the master sees it.

    VACANT ──spawn──▶ SPAWNING ──pid──▶ BOOTING ──ready──▶ IDLE ──grant──▶ POLLING ──message──▶ WORKING
      ▲                                                      ▲  ◀──empty, failed──┘   ╲           │ held
      │                                                      └────────settled──────────╲── HOLDING ┘
      └──────────────────────────── died (from any state) ─────────────────────────────────────────┘

`leaving` says that the dispatcher was asked to go; it does so when it is idle. A slot number is stable, its
pids are not.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from math import inf


class State(Enum):
    """What the dispatcher of a slot does; see the diagram above."""

    VACANT = auto()
    SPAWNING = auto()
    BOOTING = auto()
    IDLE = auto()
    POLLING = auto()
    WORKING = auto()
    HOLDING = auto()


@dataclass(frozen=True, slots=True)
class Slot:
    """`since` is when the state began; `crashes` counts deaths in a row, `not_before` delays the next spawn."""

    number: int
    state: State = State.VACANT
    since: float = 0.0
    pid: int | None = None
    born: float = inf
    leaving: bool = False
    silent_since: float = inf  # its grant ran out without a word; another dispatcher polls in its place
    look_at: float = inf  # when its beat is to be looked at; finite while it holds a message
    suspected: float | None = None  # the beat after which nothing more was seen
    killed: bool = False  # by us
    ended: bool = False  # its process is gone; not vacant before all that it left is gone too
    crashes: int = 0
    not_before: float = 0.0
    deaths: int = 0  # of its dispatchers, since the pool began


# A dispatcher with a message in hand, and one that has a process.
HOLDS_MESSAGE = frozenset({State.WORKING, State.HOLDING})
ALIVE = frozenset(State) - {State.VACANT}


def to(slot: Slot, state: State, now: float) -> Slot:
    """The slot in another state of the same dispatcher."""
    return replace(slot, state=state, since=now, silent_since=inf, look_at=inf, suspected=None)


def vacated(slot: Slot, now: float) -> Slot:
    """The slot after its dispatcher is gone; its record of crashes stays."""
    return Slot(slot.number, since=now, crashes=slot.crashes, not_before=slot.not_before, deaths=slot.deaths)
