"""The time that requests are signed with: this host's, put right by what a refusal has told.

AWS takes no signature that is more than some minutes old, or of the future. It says so in a
refusal, whose Date is its own time. What was learned holds for the whole process, and for those
forked from it: it is about this host's clock, not about a connection.

docs/decisions/0015 has the reasons.
"""

import re
import time
from email.utils import parsedate_to_datetime

# Seconds: a difference that explains a refusal; AWS allows for five minutes.
OFF = 120.0

_ABOUT_TIME = re.compile(r"Signature|RequestExpired|InTheFuture|TooSkewed")
_offset = 0.0  # seconds that the server's clock is ahead


def timestamp() -> str:
    """The server's time as far as it is known, as in 20261130T081500Z."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + _offset))


def learn(code: str, date: str) -> None:
    """Take over the Date of a refusal, if the code may be about time and the clocks differ."""
    global _offset
    ahead = measure_lead(date)
    if ahead is not None and _ABOUT_TIME.search(code) and abs(ahead - _offset) >= OFF:
        _offset = ahead


def measure_lead(date: str) -> float | None:
    """Seconds by which a Date header is ahead of this host's clock; None if it is no date."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
