"""Lines that say the same again and again: one in ten seconds for each cause, and how many were
left out.

    heard ── first of its cause, or the first after EVERY seconds ──▶ told, with the number left out since
       └──── else ──▶ left out, and counted
    over ──── what was left out, EVERY seconds after the last line, though nothing has come since: a line too

A cause is any text; two lines of the same cause say the same to a reader, whichever message they
are about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

EVERY = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause: when it was told last, and how many lines of it were left out since."""

    told_at: float
    left_out: int = 0


Causes = Mapping[str, Cause]


def note_line(causes: Causes, cause: str, now: float, times: int = 1) -> tuple[Causes, int | None]:
    """One more line, that stands for so many. Returns how many were left out before it; None: it is
    left out too.
    """
    known = causes.get(cause)
    if known is not None and now < known.told_at + EVERY:
        return {**causes, cause: Cause(known.told_at, known.left_out + times)}, None
    return {**causes, cause: Cause(now)}, (known.left_out if known else 0) + times - 1


def end_causes(causes: Causes, now: float) -> tuple[Causes, list[tuple[str, int]]]:
    """Causes whose time is over, and how many lines of them were left out: told now; without any,
    forgotten.
    """
    old = {cause: known for cause, known in causes.items() if now >= known.told_at + EVERY}
    if not old:
        return causes, []
    due = [(cause, known.left_out) for cause, known in old.items() if known.left_out]
    rest = {cause: known for cause, known in causes.items() if cause not in old}
    return rest | {cause: Cause(now) for cause, _ in due}, due


def end_all_causes(causes: Causes) -> list[tuple[str, int]]:
    """The same of every cause: nothing more will come."""
    return end_causes(causes, inf)[1]
