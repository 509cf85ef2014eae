"""When a dead dispatcher is replaced, and when replacing it any further is pointless.

A slot's first crash is answered at once, the next ones after a delay that doubles, with jitter. The
pool gives up when more than `limit` crashes fall within WINDOW seconds in which no job was settled:
a pool that still gets work done is not broken, however often one kind of message kills its
dispatcher.
"""

from dataclasses import dataclass

from fleet.core.backoff import pause_before_next

WINDOW = 60.0  # seconds
STABLE = 60.0  # seconds: a dispatcher that lived this long starts with a clean record
DELAY_FIRST, DELAY_MOST = 0.5, 30.0  # seconds
# Seconds at most for a helper that has done its part before and does not say that it cannot now.
DELAY_PROVEN = 2.0
LIMIT_LEAST = 5


@dataclass(frozen=True, slots=True)
class Crash:
    """One death, when and why (a phrase for people)."""

    at: float
    cause: str


@dataclass(frozen=True, slots=True)
class Restarts:
    """The crashes since the last settled job, none older than WINDOW."""

    crashes: tuple[Crash, ...] = ()


def limit(size: int) -> int:
    """How many crashes within WINDOW a pool of this size survives."""
    return max(LIMIT_LEAST, 2 * size)


def note_crash(restarts: Restarts, now: float, cause: str) -> Restarts:
    """The record with one more crash; crashes older than WINDOW are forgotten."""
    recent = tuple(crash for crash in restarts.crashes if now - crash.at < WINDOW)
    return Restarts((*recent, Crash(now, cause)))


def is_hopeless(restarts: Restarts, size: int) -> bool:
    """Whether the pool cannot keep its dispatchers alive."""
    return len(restarts.crashes) > limit(size)


def causes(restarts: Restarts) -> str:
    """The causes, each once, most frequent first: `SIGSEGV × 9, exit 1 × 2`."""
    counted: dict[str, int] = {}
    for crash in restarts.crashes:
        counted[crash.cause] = counted.get(crash.cause, 0) + 1
    ordered = sorted(counted.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{cause} × {count}" for cause, count in ordered)


def delay(crashes_in_a_row: int, jitter: float) -> float:
    """Seconds before the slot is filled again after its n-th crash in a row (n ≥ 1)."""
    if crashes_in_a_row <= 1:
        return 0.0
    return pause_before_next(crashes_in_a_row - 1, DELAY_FIRST, DELAY_MOST, jitter)
