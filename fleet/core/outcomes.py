"""Wait status → exit → outcome → settlement: how a job ended, and what that means for its message.

| the job                          | outcome   | settlement                                        |
|----------------------------------|-----------|---------------------------------------------------|
| exited with 0, whatever it asked | succeeded | delete                                            |
| raised Retry, exited with 75     | retried   | release after the delay it asked for              |
| raised Reject, exited with 65    | rejected  | dead-letter; a failure without such a queue       |
| exited with anything else        | failed    | release after --retry-delay, else leave           |
| ran into --job-timeout           | timed_out | as failed                                         |
| died by a signal of its own      | signalled | release after --retry-delay, else                 |
|                                  |           | min(lease, 5·2ⁿ⁻¹) s                              |
| was stopped by fleet             | stopped   | release, so that others can have it               |
| ended by TERM, INT, HUP or QUIT  | stopped   | the same, if all stops within DOUBT seconds       |
| of others, or with 128 + its     |           | (interrupt.py); else signalled, or failed         |
| number                           |           |                                                   |
| was killed because its lease was | stopped   | leave: somebody else may have it                  |
| lost                             |           |                                                   |

On top of that: --delete-failed deletes what failed, timed out or was signalled, and what was
rejected where there is no dead-letter queue for certain. On the last attempt --dead-letter direct
dead-letters by hand whatever would be released or left. What follows is never done with a lost
lease, except delete: the work is done then. Delays end where SQS's limit of 12 hours from the
receive does.

docs/decisions/0010 has the reasons.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from fleet.core.backoff import longest_pause
from fleet.core.config import LONGEST_VISIBILITY, Config
from fleet.core.exit_codes import BY_SIGNAL, DONE, REJECT, RETRY
from fleet.core.reasons import Reason

CLD_EXITED = 1  # si_code of waitid(2): left by itself; si_status is its exit status
# CLD_KILLED = 2 and CLD_DUMPED = 3: si_status is the signal
CRASH_DELAY = 5.0  # seconds: a crashing message must not spin
JITTER = 0.1  # of a retry delay, both ways


# HUP, INT, QUIT, TERM: what supervisors and terminals end programs with.
STOPPING = frozenset({1, 2, 3, 15})


class Outcome(StrEnum):
    """What a job came to. Values are the last word of the log event `job.…`."""

    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    REJECTED = "rejected"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SIGNALLED = "signalled"
    INTERRUPTED = "stopped"


class Settlement(StrEnum):
    """What ends a delivery. Values are the last word of the log event `message.…`."""

    DELETE = "deleted"
    RELEASE = "released"
    DEAD_LETTER = "dead_lettered"
    LEAVE = "left"


class Stop(StrEnum):
    """Why fleet stops a job. Values are phrases for people."""

    INTERRUPTED = "interrupted"
    TIMED_OUT = "--job-timeout"
    LEASE_LOST = "its lease was lost"


_SAID = {DONE: Outcome.SUCCEEDED, RETRY: Outcome.RETRIED, REJECT: Outcome.REJECTED}
FAILURES = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.SIGNALLED})


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process: an exit status or the number of the signal that killed it."""

    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a delivery when it is to be settled.

    `limit` None: delivered without end, or not known.

    `room`: seconds for which SQS would still hide the message. `after`: what a Retry asked for.
    """

    attempt: int = 1
    limit: int | None = None
    has_dead_letter_queue: bool = False
    after: float | None = None
    room: float = LONGEST_VISIBILITY
    lost: bool = False
    # Whether there is a dead-letter queue, or one that takes letters: nobody knows, or it did not.
    unsure: bool = False

    @property
    def last(self) -> bool:
        """Whether the message is dead-lettered by SQS at its next receive."""
        return self.limit is not None and self.attempt >= self.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with the message, in how many seconds it may be seen again, and why.

    `why` is a phrase for people, `reason` the same for programs; nothing is decided by either.
    """

    settlement: Settlement
    why: str
    delay: int = 0
    reason: Reason = field(default=Reason.UNKNOWN, compare=False)


LOST = Verdict(Settlement.LEAVE, "its lease was lost", reason=Reason.LEASE_LOST)
REASONS = {
    Outcome.SUCCEEDED: Reason.SUCCEEDED,
    Outcome.RETRIED: Reason.RETRIED,
    Outcome.FAILED: Reason.FAILED,
    Outcome.TIMED_OUT: Reason.TIMED_OUT,
    Outcome.SIGNALLED: Reason.SIGNALLED,
    Outcome.INTERRUPTED: Reason.INTERRUPTED,
}


def from_siginfo(si_code: int, si_status: int) -> Exit:
    """The exit that waitid(2) reported."""
    return Exit(code=si_status) if si_code == CLD_EXITED else Exit(signal=si_status)


def was_stopped_from_outside(how: Exit) -> bool:
    """Whether a supervisor may have ended it: a stop of a control group reaches jobs too."""
    return how.signal in STOPPING or (how.code is not None and how.code - BY_SIGNAL in STOPPING)


def outcome_of(how: Exit, stop: Stop | None = None) -> Outcome:
    """What an exit means. A job that was told to stop and still says how it ended is believed."""
    if how.code in _SAID:
        return _SAID[how.code]
    if stop is not None:
        return Outcome.TIMED_OUT if stop is Stop.TIMED_OUT else Outcome.INTERRUPTED
    return Outcome.FAILED if how.signal is None else Outcome.SIGNALLED


def verdict_for(what: Outcome, facts: Facts, config: Config, jitter: float) -> Verdict:
    """What to do with the message, by the table above.

    `jitter` in [0, 1) for the jitter of a retry delay.
    """
    if what is Outcome.SUCCEEDED:
        return Verdict(Settlement.DELETE, explain(what, facts, config), reason=Reason.SUCCEEDED)
    reason = _reason_for(what, facts)
    # A letter that could not be sent was meant for a dead-letter queue, and may be the last copy.
    is_letter = what is Outcome.REJECTED and facts.unsure
    if config.delete_failed and has_failed(what, facts) and not is_letter:
        return Verdict(
            Settlement.DELETE, f"{explain(what, facts, config)} (--delete-failed)", reason=reason
        )
    if facts.lost:
        return LOST
    if what is Outcome.REJECTED and facts.has_dead_letter_queue:
        return Verdict(Settlement.DEAD_LETTER, "its job rejected it", reason=Reason.REJECTED)
    if facts.last and config.dead_letters_directly and facts.has_dead_letter_queue:
        last = f"{explain(what, facts, config)} on its last attempt (--dead-letter direct)"
        return Verdict(Settlement.DEAD_LETTER, last, reason=reason)
    why = explain(what, facts, config)
    match what:
        case Outcome.INTERRUPTED:
            return Verdict(Settlement.RELEASE, why, reason=reason)
        case Outcome.RETRIED:
            return _release(why, reason, facts.after or 0.0, facts)
        case Outcome.SIGNALLED:
            return _release(why, reason, _crash_delay(facts, config, jitter), facts)
    if facts.last:
        why += " on its last attempt"
    if not config.retry_delay:
        return Verdict(Settlement.LEAVE, why, reason=reason)
    return _release(why, reason, _retry_delay(facts, config, jitter), facts)


def back_off(why: str, reason: Reason, facts: Facts, config: Config, jitter: float) -> Verdict:
    """Release a message whose job could not begin, by nobody's wish, as if its job had died."""
    return _release(why, reason, _crash_delay(facts, config, jitter), facts)


def explain(what: Outcome, facts: Facts, config: Config) -> str:
    """How the job ended, as the reason for what becomes of its message."""
    match what:
        case Outcome.TIMED_OUT:
            return f"its job ran into --job-timeout ({config.job_timeout:g} s)"
        case Outcome.INTERRUPTED:
            return "its job was stopped"
        case Outcome.RETRIED:
            return "its job asked for a retry"
        case Outcome.SIGNALLED:
            return "its job died by a signal"
        case Outcome.REJECTED:
            what_of_it = "nobody could send it to a" if facts.unsure else "there is no"
            return f"rejected, and {what_of_it} dead-letter queue"
        case Outcome.SUCCEEDED | Outcome.FAILED:
            return f"its job {what.value}"
        case _:
            assert_never(what)


def _reason_for(what: Outcome, facts: Facts) -> Reason:
    """Of a job that did not succeed, and whose message is not dead-lettered as it asked."""
    if what is Outcome.REJECTED:
        return Reason.LETTER_NOT_SENT if facts.unsure else Reason.NO_DEAD_LETTER_QUEUE
    return REASONS[what]


def _release(why: str, reason: Reason, delay: float, facts: Facts) -> Verdict:
    seconds = int(max(0.0, min(round(min(delay, facts.room)), facts.room)))
    return Verdict(Settlement.RELEASE, why, seconds, reason)


def _retry_delay(facts: Facts, config: Config, jitter: float) -> float:
    delay = config.retry_delay[min(facts.attempt, len(config.retry_delay)) - 1]
    return delay * (1 + JITTER * (2 * jitter - 1))


def _crash_delay(facts: Facts, config: Config, jitter: float) -> float:
    if config.retry_delay:
        return _retry_delay(facts, config, jitter)
    return longest_pause(facts.attempt, CRASH_DELAY, config.visibility_timeout)


def is_redriven(settlement: Settlement, facts: Facts) -> bool:
    """Whether the queue dead-letters the message by itself, at its next receive."""
    return (
        settlement in (Settlement.LEAVE, Settlement.RELEASE)
        and facts.last
        and facts.has_dead_letter_queue
    )


def has_failed(what: Outcome | None, facts: Facts | None) -> bool:
    """Whether the job failed, timed out or died by a signal, or rejected its message where there
    is no dead-letter queue.
    """
    no_letters = facts is not None and not facts.has_dead_letter_queue
    return what in FAILURES or (what is Outcome.REJECTED and no_letters)


def has_ended_badly(
    what: Outcome | None, settlement: Settlement, facts: Facts, *, was_sent: bool = False
) -> bool:
    """Whether this message came to a bad end here (exit 6 of --until-empty).

    `was_sent`: to the dead-letter queue, whatever became of the message itself.
    """
    if was_sent or settlement is Settlement.DEAD_LETTER or what is Outcome.REJECTED:
        return True
    if what is None or what in (Outcome.SUCCEEDED, Outcome.INTERRUPTED):
        return False
    return settlement is Settlement.DELETE or facts.last
