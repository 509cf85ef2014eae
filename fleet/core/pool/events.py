"""What can happen to the pool. `effects.py` has what it asks for, `machine.py` relates the two."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.core.outcomes import Exit, Settlement
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.state import Level, Role
from fleet.core.protocol import FromHelper, Report
from fleet.core.scout_protocol import ScoutOrder


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class DispatcherSaid:
    """The dispatcher of a slot reported."""

    slot: int
    report: Report


@dataclass(frozen=True, slots=True)
class HelperSaid:
    """The template or the scout said something."""

    role: Role
    word: FromHelper


@dataclass(frozen=True, slots=True)
class OrderNotTaken:
    """The scout's channel has no room for the order: it was not given."""

    order: ScoutOrder


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The template could not be asked for the slot's dispatcher.

    The master had no descriptor for a channel, or no room in the template's.
    """

    slot: int
    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The dispatcher of a slot has ended; what it said before, and its death, are still to come."""

    slot: int


@dataclass(frozen=True, slots=True)
class Died:
    """The dispatcher of a slot is gone, and so is its job. `cause` is a phrase such as `exit 1`.

    `orphans` are the messages that the scoreboard says it had in hand; `settled` tells by place
    what it had done with its last ones; `receive_id` is the id of its open poll on a FIFO queue.
    `pid` was its process, for the log.
    """

    slot: int
    exit: Exit
    cause: str
    orphans: tuple[Orphan, ...] = ()
    settled: Mapping[int, Settlement] = field(default_factory=dict)
    receive_id: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True)
class HelperSpawnFailed:
    """There is no helper: the host had no process, memory or descriptor for it."""

    role: Role
    why: str


@dataclass(frozen=True, slots=True)
class HelperDied:
    """A helper is gone."""

    role: Role
    cause: str


@dataclass(frozen=True, slots=True)
class MemoryMeasured:
    """This host's memory in MiB: available, in all, and what the running job of each slot has."""

    available: float
    total: float
    taken: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordRead:
    """What the scoreboard says: the last heartbeat, the lease's end and its length (seconds).

    `in_hand`: there is a message; else the last one was settled, and only the word of it has not
    come.
    """

    slot: int
    heartbeat: float
    lease_until: float
    lease: float
    in_hand: bool = True


@dataclass(frozen=True, slots=True)
class StacksAsked:
    """An operator wants to see what every process does."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """An end is asked for, at least this hard.

    A signal that comes again asks for more; a command does not.
    """

    level: Level
    why: str
    by_signal: bool = True


@dataclass(frozen=True, slots=True)
class ResizeAsked:
    """A signal asks for that many dispatchers more, or fewer."""

    by: int


@dataclass(frozen=True, slots=True)
class ScaleAsked:
    """An operator wants that many dispatchers; None: as many as the pool finds right."""

    to: int | None


@dataclass(frozen=True, slots=True)
class PauseAsked:
    """An operator wants that nothing more is received, or that it is again.

    `queue`: of which queue; None is of all.
    """

    paused: bool
    queue: int | None = None


@dataclass(frozen=True, slots=True)
class LimitAsked:
    """An operator wants that no more than `limit` jobs of a queue run; infinity is any number."""

    queue: int
    limit: float


Event = (
    Tick
    | DispatcherSaid
    | HelperSaid
    | OrderNotTaken
    | SpawnFailed
    | Ended
    | Died
    | HelperSpawnFailed
    | HelperDied
    | MemoryMeasured
    | RecordRead
    | StacksAsked
    | StopAsked
    | ResizeAsked
    | ScaleAsked
    | PauseAsked
    | LimitAsked
)
