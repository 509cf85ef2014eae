"""What can happen to the pool. `effects.py` has what the pool asks for, `machine.py` relates the two."""

from dataclasses import dataclass

from fleet.core.depth import Depth
from fleet.core.outcomes import Exit, Settlement
from fleet.core.pool.orphan import Estate
from fleet.core.pool.state import Level, Role
from fleet.core.protocol import Report


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Said:
    """The dispatcher of a slot reported."""

    slot: int
    report: Report


@dataclass(frozen=True, slots=True)
class Spawned:
    """The template forked a dispatcher for the slot."""

    slot: int
    pid: int


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """There is no dispatcher for the slot: the host had no process, memory or descriptor for it."""

    slot: int
    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The dispatcher of a slot has ended; what it said before, and its death, are still to come."""

    slot: int


@dataclass(frozen=True, slots=True)
class Left:
    """What the scoreboard says of one more message of a batch: it was in hand, or it had been
    settled like that.
    """

    place: int
    estate: Estate | None = None
    settled: Settlement | None = None


@dataclass(frozen=True, slots=True)
class Died:
    """The dispatcher of a slot is gone, and so is its job. `cause` is a phrase: `SIGKILL`, `exit
    1`.

    `estate` is the message that the scoreboard says it had in hand; `settled` what it had done with
    its last one; `receive_id` the id of its open poll on a FIFO queue. Those are of its first
    message; `others` are of a batch.
    """

    slot: int
    exit: Exit
    cause: str
    estate: Estate | None = None
    settled: Settlement | None = None
    receive_id: str = ""
    others: tuple[Left, ...] = ()


@dataclass(frozen=True, slots=True)
class HelperSpawnFailed:
    """There is no helper: the host had no process, memory or descriptor for it."""

    role: Role
    why: str


@dataclass(frozen=True, slots=True)
class HelperReady:
    """The template has imported the app; or the scout has found the queue usable."""

    role: Role


@dataclass(frozen=True, slots=True)
class HelperFailed:
    """A helper says that it cannot do its part: the exit status that this means, and one line why."""

    role: Role
    code: int
    why: str


@dataclass(frozen=True, slots=True)
class HelperDied:
    """A helper is gone."""

    role: Role
    cause: str


@dataclass(frozen=True, slots=True)
class Heard:
    """The scout lives: it said something that changes nothing else."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The scout read the queue's counts."""

    depth: Depth


@dataclass(frozen=True, slots=True)
class Measured:
    """This host's memory in MiB: what is available of how much, and what each running job has of
    it.
    """

    available: float
    total: float
    taken: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class WillDone:
    """The scout has settled the message of a dead dispatcher, or could not (LEAVE).

    `message_id`, `attempt`: what a poll that was repeated has brought; empty when it was nothing.
    """

    number: int
    settlement: Settlement
    message_id: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class WillNotTaken:
    """The scout's channel has no room for the order: it was not given."""

    number: int


@dataclass(frozen=True, slots=True)
class WillDenied:
    """The scout is not allowed to delete the message of a dead dispatcher, and tries it again."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class Probed:
    """The scout has tried the probe; `denied`: it is still not allowed, or nobody knows. `deleted`:
    the message is.
    """

    denied: bool
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class ProbeNotTaken:
    """The scout's channel has no room for the probe."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the scoreboard says: the last beat, and the lease, until when and how long (seconds).

    `in_hand`: there is a message; else the last one was settled, and only the word of it has not
    come.
    """

    slot: int
    beat: float
    lease_until: float
    lease: float
    in_hand: bool = True


@dataclass(frozen=True, slots=True)
class StacksAsked:
    """An operator wants to see what every process does."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """An end is asked for, at least this hard. A signal that comes again asks for more; a command
    does not.
    """

    level: Level
    why: str
    by_signal: bool = True


@dataclass(frozen=True, slots=True)
class Resized:
    """A signal asks for that many dispatchers more, or fewer."""

    by: int


@dataclass(frozen=True, slots=True)
class Scaled:
    """An operator wants that many dispatchers; None: as many as the pool finds right."""

    to: int | None


@dataclass(frozen=True, slots=True)
class Paused:
    """An operator wants that nothing more is received, or that it is again."""

    paused: bool


Event = (
    Tick
    | Said
    | Spawned
    | SpawnFailed
    | Ended
    | Died
    | HelperSpawnFailed
    | HelperReady
    | HelperFailed
    | HelperDied
    | Heard
    | Sampled
    | Measured
    | WillDone
    | WillNotTaken
    | WillDenied
    | Probed
    | ProbeNotTaken
    | Seen
    | StacksAsked
    | StopAsked
    | Resized
    | Scaled
    | Paused
)
