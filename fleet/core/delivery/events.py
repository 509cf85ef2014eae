"""What can happen to a delivery, and what can be asked for. `delivery.py` relates the two."""

from dataclasses import dataclass
from math import inf

from fleet.core.outcomes import Exit, Verdict


# What happens to a delivery. `now` is when, `luck` a number in [0, 1) for the jitter.
@dataclass(frozen=True, slots=True)
class Exited:
    """The job is gone, with everything it left behind."""

    now: float
    exit: Exit


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The host could not fork a job."""

    now: float


@dataclass(frozen=True, slots=True)
class Frozen:
    """Everything of the job is stopped, and it had not finished."""

    now: float


@dataclass(frozen=True, slots=True)
class HandlerExited:
    """The exit handler's process is gone, with everything it left behind."""

    now: float
    exit: Exit


@dataclass(frozen=True, slots=True)
class HookExited:
    """The --on-failure hook's process is gone, with everything it left behind. How it ended changes
    nothing.
    """

    now: float


@dataclass(frozen=True, slots=True)
class Known:
    """What the queue's redrive policy says, and the delay that the job asked for with a Retry
    (seconds).
    """

    now: float
    limit: int | None
    has_dead_letter_queue: bool
    after: float | None
    jitter: float


@dataclass(frozen=True, slots=True)
class NotKnown:
    """The queue's settings could not be read: what is known without them is the delay that a Retry
    asked for.

    `gone`: the queue does not exist. `ends_at`: when whoever is still there is killed, because the
    pool stops.
    """

    now: float
    jitter: float
    after: float | None = None
    gone: bool = False
    ends_at: float = inf


@dataclass(frozen=True, slots=True)
class Due:
    """A moment that `wakes_at` named has come, or any later one."""

    now: float


@dataclass(frozen=True, slots=True)
class Extended:
    """SQS confirmed, at `now`, an extend that was asked for at `before`: `seconds` from then on."""

    before: float
    now: float
    seconds: float
    jitter: float


@dataclass(frozen=True, slots=True)
class ExtendFailed:
    """It did not; `final` when asking again cannot help."""

    now: float
    jitter: float
    final: bool = False


@dataclass(frozen=True, slots=True)
class StopBy:
    """A running job has until `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """The dispatcher takes nothing more. `stops`: everything stops, not this dispatcher alone."""

    now: float
    stops: bool


@dataclass(frozen=True, slots=True)
class Freed:
    """What is released now cannot be swallowed."""

    now: float


@dataclass(frozen=True, slots=True)
class SettleDone:
    """SQS confirmed the settlement."""


@dataclass(frozen=True, slots=True)
class SettleFailed:
    """It did not; `final` when asking again cannot help, `denied` when it is not allowed.

    `visible_at`: of a release that was not answered, when others can have the message if it was
    done all the same. `ends_at`: when whoever is still there is killed, because the pool stops.
    """

    now: float
    jitter: float
    final: bool = False
    visible_at: float = inf
    denied: bool = False
    ends_at: float = inf


Event = (
    Exited
    | NotStarted
    | Frozen
    | HandlerExited
    | HookExited
    | Known
    | NotKnown
    | Due
    | Extended
    | ExtendFailed
    | StopBy
    | Leaving
    | Freed
    | SettleDone
    | SettleFailed
)


# What to do about it.
@dataclass(frozen=True, slots=True)
class Extend:
    """Ask SQS once to hide the message for `seconds` from now on."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Terminate:
    """SIGTERM to the job's group."""


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL to everything that belongs to the job."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """SIGSTOP to everything that belongs to the job; the answer is Frozen, or Exited if it had
    finished.
    """


@dataclass(frozen=True, slots=True)
class Doubt:
    """Look whether everything stops; the answer is Leaving, or nothing."""


@dataclass(frozen=True, slots=True)
class RunHandler:
    """Fork a process for the exit handler."""


@dataclass(frozen=True, slots=True)
class KillHandler:
    """SIGKILL to everything that belongs to the handler."""


@dataclass(frozen=True, slots=True)
class RunHook:
    """Fork a process for the --on-failure hook."""


@dataclass(frozen=True, slots=True)
class KillHook:
    """SIGKILL to everything that belongs to the hook."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Read the queue's redrive policy; the answer is Known."""


@dataclass(frozen=True, slots=True)
class LimitReached:
    """Say that SQS's limit ends the lease in `left` seconds."""

    left: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Tell the master that a message waits to be released."""


@dataclass(frozen=True, slots=True)
class Settle:
    """One request to SQS: delete, release after a delay, or send to the dead-letter queue."""

    what: Verdict


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Say so."""


@dataclass(frozen=True, slots=True)
class End:
    """The delivery is over."""


Action = (
    Extend
    | Terminate
    | Kill
    | Freeze
    | Doubt
    | RunHandler
    | KillHandler
    | RunHook
    | KillHook
    | Ask
    | Hold
    | Settle
    | LeaseLost
    | LimitReached
    | End
)
