"""One slot of the pool: the life of its dispatcher as the master sees it.

    VACANT ──spawn──▶ SPAWNING ──pid──▶ BOOTING ──ready──▶ IDLE ──grant──▶ POLLING ──message──▶ WORKING
      ▲                                                      ▲  ◀──empty, failed──┘   ╲           │ held
      │                                                      └────────settled──────────╲── HOLDING ┘
      └──────────────────────────── died (from any state) ─────────────────────────────────────────┘

`leaving` says that the dispatcher was asked to go; it does so when it is idle. A slot number is
stable, its pids are not.
"""

from dataclasses import dataclass, field, replace
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
class Pending:
    """A message in hand whose delete is denied, and is asked for again."""

    place: int
    message_id: str
    handle: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Slot:
    """`since` is when the state began; `crashes` counts deaths in a row, `not_before` delays the
    next spawn.
    """

    number: int
    state: State = State.VACANT
    since: float = 0.0
    pid: int | None = None
    born: float = inf
    leaving: bool = False
    silent_since: float = (
        inf  # its grant ran out without a word; another dispatcher polls in its place
    )
    look_at: float = inf  # when its beat is to be looked at; finite while it holds a message
    suspected: float | None = None  # the beat after which nothing more was seen
    killed: bool = False  # by us
    ended: bool = False  # its process is gone; not vacant before all that it left is gone too
    crashes: int = 0
    not_before: float = 0.0
    deaths: int = 0  # of its dispatchers, since the pool began
    asked: int = 0  # messages that its open poll may bring
    places: tuple[int, ...] = ()  # of the messages that it has in hand
    denied: tuple[Pending, ...] = ()  # of those, the ones whose delete is denied
    lost: tuple[int, ...] = ()  # of those, the ones whose lease is lost
    trouble: str = ""  # what a call about one of them met last, if it met something


# A dispatcher with a message in hand, and one that has a process.
HOLDS_MESSAGE = frozenset({State.WORKING, State.HOLDING})
ALIVE = frozenset(State) - {State.VACANT}


def to(slot: Slot, state: State, now: float) -> Slot:
    """The slot in another state of the same dispatcher."""
    return replace(slot, state=state, since=now, silent_since=inf, look_at=inf, suspected=None)


def idle(slot: Slot, now: float) -> Slot:
    """The slot with nothing in hand."""
    return replace(to(slot, State.IDLE, now), places=(), denied=(), lost=(), trouble="")


def polls(slot: Slot, most: int, now: float) -> Slot:
    """The slot whose dispatcher was given leave to receive up to `most` messages."""
    return replace(to(slot, State.POLLING, now), asked=most)


def holds(slot: Slot, count: int, now: float) -> Slot:
    """The slot whose poll has brought `count` messages; without one it is idle."""
    state = State.WORKING if count else State.IDLE
    return replace(to(slot, state, now), asked=0, places=tuple(range(count)))


def settled(slot: Slot, place: int, now: float) -> Slot:
    """The slot with one message fewer in hand; idle after the last one."""
    rest = tuple(each for each in slot.places if each != place)
    if not rest:
        return idle(slot, now)
    denied = tuple(each for each in slot.denied if each.place != place)
    return replace(
        slot, places=rest, denied=denied, lost=tuple(each for each in slot.lost if each != place)
    )


def leaves(slot: Slot, now: float) -> Slot:
    """The slot whose dispatcher was asked to go; from now on if it has nothing to do."""
    return replace(to(slot, State.IDLE, now) if slot.state is State.IDLE else slot, leaving=True)


def vacated(slot: Slot, now: float) -> Slot:
    """The slot after its dispatcher is gone; its record of crashes stays."""
    return Slot(
        slot.number, since=now, crashes=slot.crashes, not_before=slot.not_before, deaths=slot.deaths
    )
