"""What can happen to a delivery; machine.py says what follows from it."""

from dataclasses import dataclass
from math import inf

from fleet.core.outcomes import Exit, Verdict


# What happens to a delivery. `now` is when (seconds on the dispatcher's clock), `jitter` a number
# in [0, 1) that spreads pauses.
@dataclass(frozen=True, slots=True)
class Arrived:
    """The message is the next one to be worked on, and nobody has decided yet whether it is.

    `leaving`: the dispatcher takes nothing more; `drain`: how many seconds a running job has then,
    as far as is known. `orphan`: the master is gone. `is_last_attempt` matters only if the
    dispatcher leaves and has a master.
    """

    now: float
    leaving: bool = False
    orphan: bool = False
    drain: float | None = None
    is_last_attempt: bool = False


@dataclass(frozen=True, slots=True)
class TurnCame:
    """The message is to be worked on now; its job must have ended at `stop_at`."""

    now: float
    stop_at: float = inf


@dataclass(frozen=True, slots=True)
class SentBack:
    """The message is not to be worked on here: `verdict` is its release."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class FoundUnusable:
    """The message is not what was sent: nobody may work on it, and `why` says how that is known."""

    why: str


@dataclass(frozen=True, slots=True)
class JobExited:
    """The job is gone, with everything it left behind."""

    now: float
    exit: Exit


@dataclass(frozen=True, slots=True)
class JobNotStarted:
    """The host could not fork a job."""

    now: float


@dataclass(frozen=True, slots=True)
class JobFrozen:
    """Everything of the job is stopped, and it had not finished."""

    now: float


@dataclass(frozen=True, slots=True)
class HandlerExited:
    """The exit handler's process is gone, with everything that it left behind."""

    now: float
    exit: Exit


@dataclass(frozen=True, slots=True)
class HookExited:
    """The --on-failure hook's process is gone, with all that it left; how it ended is no matter."""

    now: float


@dataclass(frozen=True, slots=True)
class PolicyRead:
    """What the queue's redrive policy says; `after`: the delay of a Retry, in seconds."""

    now: float
    limit: int | None
    has_dead_letter_queue: bool
    after: float | None
    jitter: float


@dataclass(frozen=True, slots=True)
class PolicyNotRead:
    """The queue's redrive policy could not be read: only the delay that a Retry asked for is known.

    `gone`: the queue does not exist. `ends_at`: when the dispatcher is killed, because the pool
    stops.
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
    """SQS confirmed at `now` an extend by `seconds`, counted from `before`, when it was asked."""

    before: float
    now: float
    seconds: float
    jitter: float


@dataclass(frozen=True, slots=True)
class ExtendFailed:
    """SQS did not confirm an extend; `final` when asking again cannot help."""

    now: float
    jitter: float
    final: bool = False


@dataclass(frozen=True, slots=True)
class StopBy:
    """A running job must have ended at `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class DispatcherLeaves:
    """The dispatcher takes nothing more. `stops`: the whole pool stops, not this one alone."""

    now: float
    stops: bool


@dataclass(frozen=True, slots=True)
class ReleaseAllowed:
    """What is released now cannot be swallowed by an open poll of this host."""

    now: float


@dataclass(frozen=True, slots=True)
class SettleDone:
    """SQS confirmed the settlement."""


@dataclass(frozen=True, slots=True)
class SettleFailed:
    """SQS did not confirm the settlement; `final` when asking again cannot help.

    `denied`: it is not allowed. `visible_at`: of a release that was not answered, when others can
    have the message if it was done all the same. `ends_at`: when the dispatcher is killed, because
    the pool stops.
    """

    now: float
    jitter: float
    final: bool = False
    visible_at: float = inf
    denied: bool = False
    ends_at: float = inf


Event = (
    Arrived
    | TurnCame
    | SentBack
    | FoundUnusable
    | JobExited
    | JobNotStarted
    | JobFrozen
    | HandlerExited
    | HookExited
    | PolicyRead
    | PolicyNotRead
    | Due
    | Extended
    | ExtendFailed
    | StopBy
    | DispatcherLeaves
    | ReleaseAllowed
    | SettleDone
    | SettleFailed
)
