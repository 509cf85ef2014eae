"""Whether a health file speaks of a pool that lives.

It imports next to nothing, because a probe runs every few seconds.
"""

import json
from datetime import datetime


def judge(text: str, now: float, max_age: float) -> tuple[bool, str]:
    """Whether the file's text speaks of a pool that lives, and a phrase that says why.

    `now` in seconds since 1970; `max_age` in seconds.
    """
    try:
        health = json.loads(text)
        written = datetime.fromisoformat(health["timestamp"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return False, "it is no health file: it is not JSON with a timestamp"
    if written.tzinfo is None:
        return False, "its timestamp names no time zone"
    age = now - written.timestamp()
    if abs(age) > max_age:
        when = f"{age:.0f} s ago" if age > 0 else f"{-age:.0f} s in the future"
        return False, f"it was written {when}; --max-age is {max_age:g} s"
    state = health.get("state", "alive")
    if state == "stopped":
        return False, "the pool has stopped"
    return (
        True,
        (
            f"{state}, {health.get('busy', '?')} of {health.get('size', '?')} busy, "
            f"written {age:.0f} s ago"
        ),
    )
