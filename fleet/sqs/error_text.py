"""What a service says itself, made fit for a line of the log.

The line is for people, and it is the same when the service says the same.
"""

import re
import time
from email.utils import parsedate_to_datetime

MOST_SAID = 300  # characters
# Seconds by which a clock is off before that is worth a word; AWS allows for five minutes.
OFF = 120.0

# Differs from call to call: times, request ids, an encoded copy of the request.
_VARYING = re.compile(
    r"\b\d{8}T\d{6}Z\b"
    r"|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|(?<=failure message: )\S{64,}",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """One line, bounded, without control characters and without what differs from call to call."""
    head = text[: 8 * MOST_SAID]
    line = " ".join("".join(each if each.isprintable() else " " for each in head).split())
    return _VARYING.sub("…", line)[:MOST_SAID]


def clock_difference(date: str) -> str:
    """By how much this host's clock differs from the Date of an answer, if that is much.

    Empty if it is not, or if there is no date.
    """
    try:
        seconds = time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):  # none, or not a date
        return ""
    if abs(seconds) < OFF:
        return ""
    unit, size = "min", 60
    for larger, length in (("h", 3600), ("d", 86_400)):
        if abs(seconds) >= 2 * length:
            unit, size = larger, length
    way = "fast" if seconds > 0 else "slow"
    return f"; this host's clock is {abs(seconds) / size:.0f} {unit} {way}"
