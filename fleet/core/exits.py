"""Wait status → exit → outcome → settlement: how a job ended, and what that means for its message.

| the job                              | outcome     | settlement                          |
|--------------------------------------|-------------|-------------------------------------|
| exited with 0 (whatever was asked)   | succeeded   | delete                              |
| was stopped by fleet and did not     | interrupted | release, so that others can have it |
| exited with another status           | failed      | leave: the lease runs out           |
| died by a signal of its own          | signalled   | leave                               |
"""

from dataclasses import dataclass
from enum import StrEnum

CLD_EXITED = 1  # si_code of waitid(2): left by itself; si_status is its exit status
# CLD_KILLED = 2 and CLD_DUMPED = 3: si_status is the signal


class Outcome(StrEnum):
    """What a job came to. Values are the last word of the log event `job.…`."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SIGNALLED = "signalled"
    INTERRUPTED = "stopped"


class Settlement(StrEnum):
    """What ends a delivery. Values are the last word of the log event `message.…`."""

    DELETE = "deleted"
    RELEASE = "released"
    LEAVE = "left"


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process: an exit status or the number of the signal that killed it."""

    code: int | None = None
    signal: int | None = None


def from_siginfo(si_code: int, si_status: int) -> Exit:
    """The exit that waitid(2) reported."""
    return Exit(code=si_status) if si_code == CLD_EXITED else Exit(signal=si_status)


def outcome(how: Exit, *, stopped: bool) -> Outcome:
    """What the exit means. A job that still finished with 0 after it was told to stop has succeeded."""
    if how.code == 0:
        return Outcome.SUCCEEDED
    if stopped:
        return Outcome.INTERRUPTED
    return Outcome.FAILED if how.signal is None else Outcome.SIGNALLED


def settlement(what: Outcome, *, lease_lost: bool) -> Settlement:
    """What to do with the message. Deleting after a lost lease is still right: the work is done.

    Releasing is not: on a standard queue it would cut the lease of whoever has the message now.
    """
    match what:
        case Outcome.SUCCEEDED:
            return Settlement.DELETE
        case Outcome.INTERRUPTED:
            return Settlement.LEAVE if lease_lost else Settlement.RELEASE
        case Outcome.FAILED | Outcome.SIGNALLED:
            return Settlement.LEAVE


def ended_badly(what: Outcome, attempt: int, max_receive_count: int | None) -> bool:
    """Whether this delivery was the message's last and its work was not done (exit 6 of --until-empty)."""
    if what is not Outcome.FAILED and what is not Outcome.SIGNALLED:
        return False
    return max_receive_count is not None and attempt >= max_receive_count
