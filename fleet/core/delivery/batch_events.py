"""What can happen to the messages of one receive, and what to do; batch.py relates the two."""

from dataclasses import dataclass

from fleet.core.outcomes import Settlement, Verdict


# What happens to a batch. `limit`: how often the queue delivers a message, None if that is unknown.
@dataclass(frozen=True, slots=True)
class TurnFree:
    """No job runs. `leaving`: the dispatcher takes nothing more."""

    leaving: bool


@dataclass(frozen=True, slots=True)
class DrainHeard:
    """The master gives running jobs `seconds` from now on."""

    now: float
    seconds: float


@dataclass(frozen=True, slots=True)
class StopGoesOn:
    """The dispatcher takes nothing more: it was told so now, or earlier."""

    now: float
    limit: int | None


@dataclass(frozen=True, slots=True)
class DeletesDenied:
    """A delete of one of the messages was not allowed."""

    limit: int | None


@dataclass(frozen=True, slots=True)
class ReleaseWanted:
    """The message of that place is to be released."""

    place: int


@dataclass(frozen=True, slots=True)
class ReleasesAllowed:
    """The master has answered: what is released now cannot be swallowed by a poll of this host."""


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """The delivery of that place is over. `starved`: the host had no process for its job."""

    place: int
    settlement: Settlement
    starved: bool = False


BatchEvent = (
    TurnFree
    | DrainHeard
    | StopGoesOn
    | DeletesDenied
    | ReleaseWanted
    | ReleasesAllowed
    | MessageEnded
)


# What to do about it.
@dataclass(frozen=True, slots=True)
class RunMessage:
    """Begin the job of that place; it must have ended at `stop_at`."""

    place: int
    stop_at: float


@dataclass(frozen=True, slots=True)
class SendBack:
    """Tell the delivery of that place that it is to be released, unworked."""

    place: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class AskForReleases:
    """Ask the master for leave to release."""


@dataclass(frozen=True, slots=True)
class AllowRelease:
    """Tell the delivery of that place that it may be released."""

    place: int


BatchAction = RunMessage | SendBack | AskForReleases | AllowRelease
