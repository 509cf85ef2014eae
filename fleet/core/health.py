"""The health file: what is in it, and whether it speaks of a pool that lives.

The first eight keys are those of other workers' health files (Relay's `process_emails_from_sqs`), so that what reads
those can read this; the rest is ours.
"""

import json
from datetime import datetime
from typing import Any

from fleet.core import status
from fleet.core.books import Phase, Pool
from fleet.core.slots import HOLDS_MESSAGE


def snapshot(pool: Pool, timestamp: str, version: str) -> dict[str, Any]:
    """What the pool is and has done. Queue counts are null before the first sample."""
    counts, depth = pool.counts, pool.depth
    return {
        "timestamp": timestamp,
        "cycles": counts.polls,
        "total_messages": counts.received - counts.in_hand,
        "failed_messages": counts.failed + counts.timed_out + counts.signalled + counts.rejected,
        "pause_count": counts.pauses,
        "queue_count": depth and depth.visible,
        "queue_count_delayed": depth and depth.delayed,
        "queue_count_not_visible": depth and depth.in_flight,
        "state": "stopped" if pool.phase is Phase.STOPPED else status.state(pool),
        "size": pool.size,
        "busy": sum(slot.state in HOLDS_MESSAGE for slot in pool.slots),
        "desired": pool.desired,
        "version": version,
    }


def judged(text: str, now: float, max_age: float) -> tuple[bool, str]:
    """Whether the file's text speaks of a pool that lives at `now` (seconds since 1970), and a phrase that says why."""
    try:
        found = json.loads(text)
        written = datetime.fromisoformat(found["timestamp"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return False, "it is no health file: it is not JSON with a timestamp"
    if written.tzinfo is None:
        return False, "its timestamp names no time zone"
    age = now - written.timestamp()
    if abs(age) > max_age:
        when = f"{age:.0f} s ago" if age > 0 else f"{-age:.0f} s in the future"
        return False, f"it was written {when}; --max-age is {max_age:g} s"
    state = found.get("state", "alive")
    if state == "stopped":
        return False, "the pool has stopped"
    return True, f"{state}, {found.get('busy', '?')} of {found.get('size', '?')} busy, written {age:.0f} s ago"
