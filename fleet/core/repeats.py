"""Of lines that say the same one in ten seconds is logged, with how many were left out.

    note_line    the first line of its cause, or the first after EVERY seconds, is logged, with the
                 number left out since; every other one is left out, and counted
    end_causes   EVERY seconds after a cause's last line the number left out is logged, though
                 nothing has come since

A cause is any text; two lines of the same cause say the same to a reader, whichever message they
are about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

EVERY = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause: when it was logged last, and how many lines of it were left out since."""

    told_at: float
    left_out: int = 0


Causes = Mapping[str, Cause]


def note_line(causes: Causes, cause: str, now: float, times: int = 1) -> tuple[Causes, int | None]:
    """One more line, which stands for `times` lines.

    Returns how many lines were left out before it; None: it is left out too.
    """
    known = causes.get(cause)
    if known is not None and now < known.told_at + EVERY:
        return {**causes, cause: Cause(known.told_at, known.left_out + times)}, None
    return {**causes, cause: Cause(now)}, (known.left_out if known else 0) + times - 1


def end_causes(causes: Causes, now: float) -> tuple[Causes, list[tuple[str, int]]]:
    """The causes that go on, and those to log now, with how many lines of each were left out.

    A cause of which none was left out is forgotten.
    """
    old = {cause: known for cause, known in causes.items() if now >= known.told_at + EVERY}
    if not old:
        return causes, []
    due = [(cause, known.left_out) for cause, known in old.items() if known.left_out]
    rest = {cause: known for cause, known in causes.items() if cause not in old}
    return rest | {cause: Cause(now) for cause, _ in due}, due


def end_all_causes(causes: Causes) -> list[tuple[str, int]]:
    """The causes to log at the end, when no line comes any more."""
    return end_causes(causes, inf)[1]
