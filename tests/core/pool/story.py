"""A pool and its clock, told what happens: the stories of test_pool.py are written with it.

Every verb returns what the pool asks for, without the log lines; those are kept in `logged`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.core.pool import deadlines, machine, state
from fleet.core.pool.effects import Effect, Log, LogHung, OrderScout, Send
from fleet.core.pool.events import (
    Died,
    DispatcherSaid,
    Ended,
    Event,
    HelperSaid,
    ResizeAsked,
    StopAsked,
    Tick,
)
from fleet.core.pool.queue_state import QueueState
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import Level, Pool, PoolPhase, Role
from fleet.core.protocol import (
    Failed,
    Forked,
    Free,
    FromScout,
    Grant,
    Imported,
    Ready,
    Received,
    Report,
    Settled,
)
from fleet.core.queue_place import QueuePlace
from fleet.core.scout_protocol import Recover, Sampled, Usable
from fleet.core.slot_state import State
from tests.support.queues import one_queue

GRANT, FREE = Grant(), Free()
DONE = Settled(Settlement.DELETE, Outcome.SUCCEEDED, 1.0, bad=False)
FAILED = Settled(Settlement.LEAVE, Outcome.FAILED, 1.0, bad=False)
BAD = Settled(Settlement.LEAVE, Outcome.FAILED, 1.0, bad=True)
SEGFAULT = Settled(Settlement.LEAVE, Outcome.SIGNALLED, 1.0, bad=False)
RELEASED = Settled(Settlement.RELEASE, None, None, bad=False)
INTERRUPTED = Settled(Settlement.RELEASE, Outcome.INTERRUPTED, 1.0, bad=False)
STARVED = Settled(Settlement.RELEASE, None, None, bad=False, starved=True)
LEFT_AS_TOLD, KILLED, CRASHED = Exit(code=0), Exit(signal=9), Exit(code=1)


def helper_ready(role: Role) -> HelperSaid:
    """The template has imported the app; or the scout has found the queue usable."""
    return HelperSaid(
        role,
        Imported(0.1, [])
        if role is Role.TEMPLATE
        else Usable(QueuePlace("jobs", "http://127.0.0.1:1/", "x"), []),
    )


def helper_failed(role: Role, code: int, why: str) -> HelperSaid:
    """It cannot do its part."""
    return HelperSaid(role, Failed(code, why))


def scout_says(word: FromScout) -> HelperSaid:
    return HelperSaid(Role.SCOUT, word)


def named(slot: int, pid: int) -> HelperSaid:
    """The template has forked the slot's dispatcher."""
    return HelperSaid(Role.TEMPLATE, Forked(slot, pid))


@dataclass
class Story:
    """One pool. Times are seconds since the story began."""

    config: Config
    now: float = 0.0
    jitter: float = 0.5
    logged: list[Log] = field(default_factory=list)
    pids: dict[int, int] = field(default_factory=dict)  # of the dispatchers that came up, by slot

    def __post_init__(self) -> None:
        self.pool: Pool = state.new(self.config, one_queue(self.config))

    # What happens.

    def happens(self, event: Event) -> list[Effect]:
        """One event, now."""
        self.pool, effects = machine.step(self.pool, event, self.now, self.jitter)
        # Silence is judged in stories of their own: the scout's in test_scout_liveness.py, that of
        # a dispatcher with a message in test_liveness.py.
        slots = tuple(replace(slot, look_at=inf) for slot in self.pool.slots)
        self.pool = replace(self.pool, slots=slots, scout=replace(self.pool.scout, heard=inf))
        self.logged += [_line(effect) for effect in effects if isinstance(effect, Log | LogHung)]
        return [effect for effect in effects if not isinstance(effect, Log | LogHung)]

    def tick(self, at: float | None = None) -> list[Effect]:
        """Time has passed."""
        self.now = self.now if at is None else at
        return self.happens(Tick())

    def says(self, slot: int, report: Report) -> list[Effect]:
        """The dispatcher of the slot reports."""
        return self.happens(DispatcherSaid(slot, report))

    def dies(self, slot: int, how: Exit = KILLED) -> list[Effect]:
        """The dispatcher of the slot is gone, with all that it left."""
        return [
            *self.happens(Ended(slot)),
            *self.happens(Died(slot, how, f"{how.signal or how.code}")),
        ]

    def stop(self, level: Level = Level.DRAIN) -> list[Effect]:
        """A signal."""
        return self.happens(StopAsked(level, level.name))

    def resize(self, by: int) -> list[Effect]:
        """TTIN, TTOU."""
        return self.happens(ResizeAsked(by))

    def sample(self, visible: int, in_flight: int = 0, delayed: int = 0) -> list[Effect]:
        """The scout counted."""
        return self.happens(scout_says(Sampled(0, Depth(visible, in_flight, delayed))))

    # Stretches that many stories begin with.

    def helpers_ready(self) -> list[Effect]:
        """The pool has just begun; both helpers come up."""
        self.tick()
        return [*self.happens(helper_ready(Role.SCOUT)), *self.happens(helper_ready(Role.TEMPLATE))]

    def comes_up(self, slot: int) -> list[Effect]:
        """The slot's dispatcher is named, and ready."""
        pid = self.pids[slot] = 100 * (slot + 1)
        return [*self.happens(named(slot, pid)), *self.says(slot, Ready(pid))]

    # What it is then.

    def states(self) -> list[State]:
        return [slot.state for slot in self.pool.slots]

    def slot(self, number: int) -> Slot:
        return self.pool.slots[number]

    def wakes_at(self) -> float:
        """The next moment at which something is due."""
        return deadlines.wakes_at(self.pool, self.now)

    def is_in(self, phase: PoolPhase) -> bool:
        """Asked anew each time: a type checker would take `phase` for unchanged."""
        return self.pool.phase is phase

    @property
    def queue(self) -> QueueState:
        """The pool's only one."""
        (queue,) = self.pool.queues
        return queue

    @property
    def phase(self) -> PoolPhase:
        return self.pool.phase

    @property
    def code(self) -> int | None:
        return self.pool.end.code if self.pool.end else None

    @property
    def why(self) -> str:
        return self.pool.end.why if self.pool.end else ""

    def events(self) -> list[str]:
        return [log.event for log in self.logged]

    def log(self, event: str) -> Log:
        """The newest log line of that event."""
        return next(log for log in reversed(self.logged) if log.event == event)


def _line(effect: Log | LogHung) -> Log:
    """The log line that the master makes of it."""
    if isinstance(effect, Log):
        return effect
    return Log("dispatcher.hung", {"slot": effect.slot, "why": effect.why})


def running(workers: int = 2, **options: Any) -> Story:
    """A pool whose dispatchers are all up; the first of them polls."""
    story = Story(Config(workers, **options))
    story.helpers_ready()
    for slot in range(workers):
        story.comes_up(slot)
    return story


def working(workers: int, busy: int, **options: Any) -> Story:
    """A pool whose first `busy` dispatchers work, and the next one, if any, polls."""
    story = running(workers, **options)
    for slot in range(busy):
        if story.slot(slot).state is State.IDLE:
            raise ValueError(f"slot {slot} has no grant")
        story.says(slot, Received(5.0))
    return story


def sends(effects: list[Effect], order: object) -> list[int]:
    """The slots to which the order goes."""
    return [effect.slot for effect in effects if isinstance(effect, Send) and effect.order == order]


def recovery_orders(effects: Iterable[Effect]) -> list[Recover]:
    """What the scout is to do for dead dispatchers."""
    return [
        effect.order
        for effect in effects
        if isinstance(effect, OrderScout) and isinstance(effect.order, Recover)
    ]
