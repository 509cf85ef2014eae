"""When the host has no process to give: nobody is started before a backoff has passed.

That is nobody's crash. A host that is short of processes, memory or descriptors heals without us,
so it delays dispatchers and helpers, and never ends the pool.
"""

from dataclasses import dataclass

from fleet.core.backoff import pause_before_next

BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Spawning:
    """Attempts in a row for which there was nothing, and when the next one is made."""

    failures: int = 0
    not_before: float = 0.0


def note_failure(spawning: Spawning, now: float, jitter: float) -> Spawning:
    """Nothing to be had. Those that fail while we wait were asked for before: they say nothing new."""
    if now < spawning.not_before:
        return spawning
    failures = spawning.failures + 1
    pause = pause_before_next(failures, BACKOFF_FIRST, BACKOFF_MOST, jitter)
    return Spawning(failures, now + pause)
