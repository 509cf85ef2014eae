"""One slot of the pool: the life of its dispatcher as the master sees it.

    VACANT ─spawn─▶ SPAWNING ─pid─▶ BOOTING ─ready─▶ IDLE ─grant─▶ POLLING ─message─▶ WORKING
      ▲                                               ▲  ◀─empty, failed─┘   ╲          │ held
      │                                               └───────settled─────────╲──── HOLDING ┘
      └───────────────────────── died (from any state) ─────────────────────────────────┘

`leaving` says that the dispatcher was asked to go; it does so when it is idle. A slot's number is
stable. The pids of its dispatchers are not: `children.py` knows the present one.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Any

from fleet.core.records import replace
from fleet.core.slot_state import State

# A dispatcher is busy while it has a message in hand.
BUSY_STATES = (State.WORKING, State.HOLDING)


@dataclass(frozen=True, slots=True)
class Pending:
    """A message in hand whose delete is denied, and is asked for again."""

    place: int
    message_id: str
    handle: str = field(repr=False)


@dataclass(frozen=True)
class Slot:
    """The record of one slot.

    `since` is when the state began; `crashes` counts deaths in a row, `not_before` delays the next
    spawn.
    """

    number: int
    state: State = State.VACANT
    since: float = 0.0
    born: float = inf
    leaving: bool = False
    # Its grant ran out without a word; another dispatcher polls in its place.
    silent_since: float = inf
    look_at: float = inf  # when its heartbeat is to be looked at; finite while it holds a message
    suspected: float | None = None  # the heartbeat after which nothing more was seen
    killed: bool = False  # by us
    ended: bool = False  # its process is gone; not vacant before all that it left is gone too
    crashes: int = 0
    not_before: float = 0.0
    deaths: int = 0  # of its dispatchers, since the pool began
    queue: int = 0  # of its last grant
    longest: float = inf  # seconds that its last grant's poll may last
    asked: int = 0  # messages that its open poll may bring
    places: tuple[int, ...] = ()  # of the messages that it has in hand
    denied: tuple[Pending, ...] = ()  # of those, the ones whose delete is denied
    lost: tuple[int, ...] = ()  # of those, the ones whose lease is lost
    trouble: str = ""  # what a call about one of them met last, if it met something

    @property
    def is_vacant(self) -> bool:
        """Whether the slot has no dispatcher, and none is on its way."""
        return self.state is State.VACANT

    @property
    def has_process(self) -> bool:
        """Whether its dispatcher was named, or has introduced itself, and is not gone yet."""
        return self.state not in (State.VACANT, State.SPAWNING)

    @property
    def is_busy(self) -> bool:
        """Whether its dispatcher has a message in hand."""
        return self.state in BUSY_STATES

    @property
    def is_ending(self) -> bool:
        """Whether its process is gone, or was killed by us: nothing is expected of it any more."""
        return self.ended or self.killed

    @property
    def is_available(self) -> bool:
        """Whether its dispatcher is idle and stays, so that it can be given something to do."""
        return self.state is State.IDLE and not self.leaving and not self.is_ending


def change_state(slot: Slot, state: State, now: float, **more: Any) -> Slot:
    """The slot in another state of the same dispatcher, and with `more` of its fields changed."""
    return replace(
        slot, state=state, since=now, silent_since=inf, look_at=inf, suspected=None, **more
    )


def become_idle(slot: Slot, now: float) -> Slot:
    """The slot with nothing in hand."""
    return change_state(slot, State.IDLE, now, places=(), denied=(), lost=(), trouble="")


def begin_poll(slot: Slot, queue: int, most: int, longest: float, now: float) -> Slot:
    """The slot whose dispatcher was given leave to receive up to `most` messages of the queue.

    Its poll is `longest` seconds long at the most.
    """
    return change_state(slot, State.POLLING, now, queue=queue, asked=most, longest=longest)


def end_poll(slot: Slot, count: int, now: float) -> Slot:
    """The slot whose poll has brought `count` messages; without one it is idle."""
    state = State.WORKING if count else State.IDLE
    return change_state(slot, state, now, asked=0, places=tuple(range(count)))


def settle(slot: Slot, place: int, now: float) -> Slot:
    """The slot with one message fewer in hand; idle after the last one."""
    rest = tuple(each for each in slot.places if each != place)
    if not rest:
        return become_idle(slot, now)
    denied = tuple(each for each in slot.denied if each.place != place)
    lost = tuple(each for each in slot.lost if each != place)
    return replace(slot, places=rest, denied=denied, lost=lost)


def ask_to_leave(slot: Slot, now: float) -> Slot:
    """The slot whose dispatcher was asked to go; an idle one has its time to do so from now on."""
    idle = slot.state is State.IDLE
    return replace(change_state(slot, State.IDLE, now) if idle else slot, leaving=True)


def vacate(slot: Slot, now: float) -> Slot:
    """The slot after its dispatcher is gone; its record of crashes stays."""
    return Slot(
        slot.number, since=now, crashes=slot.crashes, not_before=slot.not_before, deaths=slot.deaths
    )
