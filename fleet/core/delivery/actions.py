"""What a delivery asks its dispatcher to do; machine.py says when.

The answer to an action, where it has one, is an event (events.py).
"""

from dataclasses import dataclass

from fleet.core.outcomes import Verdict


@dataclass(frozen=True, slots=True)
class RunJob:
    """Fork the job; the answer is JobNotStarted when the host has no process for it."""


@dataclass(frozen=True, slots=True)
class Extend:
    """Ask SQS once to hide the message for `seconds`; the answer is Extended or ExtendFailed."""

    seconds: int


@dataclass(frozen=True, slots=True)
class TerminateJob:
    """SIGTERM to the job's group."""


@dataclass(frozen=True, slots=True)
class KillJob:
    """SIGKILL to everything that belongs to the job."""


@dataclass(frozen=True, slots=True)
class FreezeJob:
    """SIGSTOP to everything of the job; the answer: JobFrozen, or JobExited if it had finished."""


@dataclass(frozen=True, slots=True)
class CheckForStop:
    """Look whether the dispatcher was told to leave; the answer is DispatcherLeaves, or nothing."""


@dataclass(frozen=True, slots=True)
class RunHandler:
    """Fork a process for the exit handler; the answer is HandlerExited when there is none."""


@dataclass(frozen=True, slots=True)
class KillHandler:
    """SIGKILL to everything that belongs to the handler."""


@dataclass(frozen=True, slots=True)
class RunHook:
    """Fork a process for the --on-failure hook; the answer is HookExited when there is none."""


@dataclass(frozen=True, slots=True)
class KillHook:
    """SIGKILL to everything that belongs to the hook."""


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """Read the queue's redrive policy; the answer is PolicyRead or PolicyNotRead."""


@dataclass(frozen=True, slots=True)
class TellLeaseLimit:
    """Tell that SQS's limit ends the lease in `left` seconds."""

    left: float


@dataclass(frozen=True, slots=True)
class AskForRelease:
    """Tell the master that a message waits to be released."""


@dataclass(frozen=True, slots=True)
class Settle:
    """One request to SQS: delete, release after a delay, or send to the dead-letter queue.

    The answer is SettleDone or SettleFailed.
    """

    what: Verdict


@dataclass(frozen=True, slots=True)
class TellLeaseLost:
    """Tell that the lease was lost."""


@dataclass(frozen=True, slots=True)
class EndDelivery:
    """The delivery is over."""


Action = (
    RunJob
    | Extend
    | TerminateJob
    | KillJob
    | FreezeJob
    | CheckForStop
    | RunHandler
    | KillHandler
    | RunHook
    | KillHook
    | ReadPolicy
    | AskForRelease
    | Settle
    | TellLeaseLost
    | TellLeaseLimit
    | EndDelivery
)
