"""A running pool of several queues, and what it asks for when something happens to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.pool import deadlines, machine, state
from fleet.core.pool.effects import Effect, Log, Send
from fleet.core.pool.events import DispatcherSaid, Event, Tick
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import HelperState, Pool, PoolPhase, with_queue
from fleet.core.protocol import Empty, Grant, Received, Report
from fleet.core.queue_config import QueueConfig
from fleet.core.scout_protocol import Sampled
from fleet.core.slot_state import State
from tests.core.pool.story import DONE, scout_says

HIGH, LOW, LAST = 0, 1, 2
Granted = tuple[int, int, float]  # to which slot, for which queue, for how long


def queues_of(config: Config, *given: dict[str, Any]) -> list[QueueConfig]:
    """Queues with these limits and weights, and options of their own as `config`."""
    names = ("high", "low", "last")
    return [
        QueueConfig(name, "app:job", **{"config": config, **one})
        for name, one in zip(names, given, strict=False)
    ]


@dataclass
class Queues:
    """A pool whose dispatchers are idle at second 0. `given`: of each queue, see `queues_of`."""

    workers: int
    given: Sequence[dict[str, Any]] = ({}, {})
    config: Config = field(default_factory=Config)
    now: float = 0.0
    logged: list[Log] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = replace(self.config, workers=self.workers)
        pool = state.new(self.config, queues_of(self.config, *self.given))
        ready = HelperState(alive=True, ready=True, proven=True, heard=inf)
        self.pool: Pool = replace(
            pool,
            phase=PoolPhase.RUNNING,
            template=ready,
            scout=ready,
            slots=tuple(Slot(number, State.IDLE) for number in range(self.workers)),
        )
        for place in range(len(self.given)):
            self.knows(place, usable=True, answered=True)

    # What happens.

    def knows(self, place: int, **changes: Any) -> None:
        """The pool's record of a queue is laid out."""
        self.pool = with_queue(self.pool, place, replace(self.pool.queues[place], **changes))

    def happens(self, event: Event) -> list[Effect]:
        self.pool, effects = machine.step(self.pool, event, self.now, 0.5)
        # A dispatcher's signs of life are no matter here.
        slots = tuple(replace(slot, look_at=inf) for slot in self.pool.slots)
        self.pool = replace(self.pool, slots=slots, scout=replace(self.pool.scout, heard=inf))
        self.logged += [effect for effect in effects if isinstance(effect, Log)]
        return [effect for effect in effects if not isinstance(effect, Log)]

    def grants(self, event: Event) -> list[Granted]:
        """The grants that follow."""
        sent = [effect for effect in self.happens(event) if isinstance(effect, Send)]
        orders = [(each.slot, each.order) for each in sent if isinstance(each.order, Grant)]
        return [(slot, order.queue, order.longest) for slot, order in orders]

    def at(self, moment: float) -> list[Granted]:
        """Time has passed."""
        self.now = moment
        return self.grants(Tick())

    def says(self, slot: int, report: Report) -> list[Granted]:
        return self.grants(DispatcherSaid(slot, report))

    def hit(self, slot: int, took: float = 0.1) -> list[Granted]:
        """The slot's poll brings a message."""
        return self.says(slot, Received(took))

    def empty(self, slot: int) -> list[Granted]:
        """The slot's poll has lasted as long as it was to, and comes home empty."""
        seen = self.pool.slots[slot]
        wait = self.pool.queues[seen.queue].config.wait_time
        return self.says(slot, Empty(min(wait, seen.longest)))

    def done(self, slot: int) -> list[Granted]:
        return self.says(slot, DONE)

    def sample(self, place: int, visible: int, in_flight: int = 0) -> list[Granted]:
        return self.grants(scout_says(Sampled(place, Depth(visible, in_flight))))

    # What it is then.

    def is_in(self, phase: PoolPhase) -> bool:
        """Asked anew each time: a type checker would take `phase` for unchanged."""
        return self.pool.phase is phase

    def wakes_at(self) -> float:
        return deadlines.wakes_at(self.pool, self.now)

    def states(self) -> list[State]:
        return [slot.state for slot in self.pool.slots]

    def polled(self) -> list[int]:
        """The queues of the open polls, by slot."""
        return [slot.queue for slot in self.pool.slots if slot.state is State.POLLING]

    def worked_on(self) -> list[int]:
        """The queues of the messages in hand, by slot."""
        return [slot.queue for slot in self.pool.slots if slot.is_busy]
