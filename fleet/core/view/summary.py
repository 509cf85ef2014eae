"""What a pool has done, in one phrase for its last line."""

from fleet.core.outcomes import Outcome
from fleet.core.pool import Counts

WORDS = {
    Outcome.SUCCEEDED: "succeeded",
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.SIGNALLED: "died by a signal",
    Outcome.RETRIED: "asked for a retry",
    Outcome.REJECTED: "rejected",
    Outcome.INTERRUPTED: "stopped",
}


def ledger(counts: Counts) -> dict[str, int]:
    """What became of every message. `received` is the sum of the others when nothing is in hand."""
    return {
        name: getattr(counts, name)
        for name in ("received", "deleted", "released", "dead_lettered", "left")
    }


def redrive_note(counts: Counts, dead_letters: str) -> str:
    """How many of the messages left or released the queue itself moves to its dead-letter queue."""
    many = counts.left_last + counts.released_last
    if not many:
        return ""
    which = "of them" if not counts.released_last else "of these and of the released"
    verb = "goes" if many == 1 else "go"
    return f" ({many} {which} {verb} to {dead_letters or 'the dead-letter queue'})"


def totals(counts: Counts) -> dict[str, int]:
    """How many jobs ended how, by the name of the outcome."""
    return {outcome.value: getattr(counts, outcome.value) for outcome in Outcome}


def phrase(counts: Counts) -> str:
    """The totals for people: what never happened is left out, but for successes."""
    counted = totals(counts)
    if not any(counted.values()):
        # A job that was killed may have begun.
        return "no job ended" if counts.received else "no job ran"
    said = [
        f"{counted[each.value]} {WORDS[each]}"
        for each in Outcome
        if counted[each.value] or each is Outcome.SUCCEEDED
    ]
    return "jobs: " + ", ".join(said)
