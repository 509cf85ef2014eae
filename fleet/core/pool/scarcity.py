"""A host that has no process to give: nothing is started before a backoff has passed.

That counts as no crash. A host that is short of processes, memory or descriptors heals without the
pool, so the shortage delays dispatchers and helpers, and never ends the pool.
"""

from dataclasses import dataclass

from fleet.core.backoff import pause_before_next

BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Spawning:
    """Attempts in a row that got no process, and when the next one may be made."""

    failures: int = 0
    not_before: float = 0.0


def note_failure(spawning: Spawning, now: float, jitter: float) -> Spawning:
    """An attempt got no process. One that fails during the backoff was made before it: no news."""
    if now < spawning.not_before:
        return spawning
    failures = spawning.failures + 1
    pause = pause_before_next(failures, BACKOFF_FIRST, BACKOFF_MOST, jitter)
    return Spawning(failures, now + pause)
