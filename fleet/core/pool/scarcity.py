"""When the host has no process to give: nobody is started before a backoff has passed.

That is nobody's crash. A host that is short of processes, memory or descriptors heals without us,
so it delays dispatchers and helpers, and never ends the pool.
"""

from dataclasses import dataclass

BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Spawning:
    """Attempts in a row for which there was nothing, and when the next one is made."""

    failures: int = 0
    not_before: float = 0.0


def failed(spawning: Spawning, now: float, jitter: float) -> Spawning:
    """Nothing to be had. Those that fail while we wait were asked for before: they say nothing new."""
    if now < spawning.not_before:
        return spawning
    failures = spawning.failures + 1
    most = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(failures - 1, 16))
    return Spawning(failures, now + most * (0.5 + jitter / 2))
