"""What a service says itself, made fit for a line of the log.

The line is for people, and it is the same when the service says the same.

docs/decisions/0016 has the reasons.
"""

import re

from fleet.sqs.server_clock import OFF, measure_lead

MOST_SAID = 300  # characters

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
    lead = measure_lead(date)
    if lead is None or abs(lead) < OFF:
        return ""
    seconds = -lead
    unit, size = "min", 60
    for larger, length in (("h", 3600), ("d", 86_400)):
        if abs(seconds) >= 2 * length:
            unit, size = larger, length
    way = "fast" if seconds > 0 else "slow"
    return f"; this host's clock is {abs(seconds) / size:.0f} {unit} {way}"
