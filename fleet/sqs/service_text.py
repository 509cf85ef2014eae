"""What a service says itself, made fit for a line that people read, and that is the same when it
says the same.
"""

import re
import time
from email.utils import parsedate_to_datetime

MOST_SAID = 300  # characters
# Seconds by which a clock is off before that is worth a word; AWS allows for five minutes.
OFF = 120.0

# Differs from call to call: times, request ids, an encoded copy of the request.
_VARYING = re.compile(
    r"\b\d{8}T\d{6}Z\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|(?<=failure message: )\S{64,}",
    re.IGNORECASE,
)


def cleaned(text: str) -> str:
    """One line, bounded, without control characters and without what differs from call to call."""
    line = " ".join(
        "".join(each if each.isprintable() else " " for each in text[: 8 * MOST_SAID]).split()
    )
    return _VARYING.sub("…", line)[:MOST_SAID]


def behind(date: str) -> str:
    """By how much this host's clock differs from the Date of an answer, if that is much; else
    nothing.
    """
    try:
        seconds = time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):  # none, or not a date
        return ""
    if abs(seconds) < OFF:
        return ""
    unit, size = next(
        (each for each in (("d", 86_400), ("h", 3600)) if abs(seconds) >= 2 * each[1]), ("min", 60)
    )
    return f"; this host's clock is {abs(seconds) / size:.0f} {unit} {'fast' if seconds > 0 else 'slow'}"
