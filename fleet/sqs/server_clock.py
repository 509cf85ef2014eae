"""The time that requests are signed with: this host's, put right by what a refusal has told.

AWS takes no signature that is more than some minutes old, or of the future. It says so in a
refusal, whose Date is its own time. What was learned holds for the whole process, and for those
forked from it: it is about this host's clock, not about a connection.

docs/decisions/0015 has the reasons.
"""

import re
import time
from functools import lru_cache

# Seconds: a difference that explains a refusal; AWS allows for five minutes.
OFF = 120.0

_ABOUT_TIME = re.compile(r"Signature|RequestExpired|InTheFuture|TooSkewed")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# RFC 9110's one form of a date, which all servers send: as in Sun, 06 Nov 1994 08:49:37 GMT. What
# reads them in the standard library loads more than a dispatcher has.
_DATE = re.compile(
    rf"\w{{3}}, (0[1-9]|[12]\d|3[01]) ({'|'.join(MONTHS)}) (\d{{4}})"
    r" ([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60) GMT\Z",
    re.ASCII,
)
_offset = 0.0  # seconds that the server's clock is ahead


def timestamp() -> str:
    """The server's time as far as it is known, as in 20261130T081500Z."""
    return _write(int(time.time() + _offset))


@lru_cache(maxsize=1)
def _write(seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def learn(code: str, date: str) -> None:
    """Take over the Date of a refusal, if the code may be about time and the clocks differ."""
    global _offset
    ahead = measure_lead(date)
    if ahead is not None and _ABOUT_TIME.search(code) and abs(ahead - _offset) >= OFF:
        _offset = ahead


def measure_lead(date: str) -> float | None:
    """Seconds by which a Date header is ahead of this host's clock; None if it is no date."""
    told = _DATE.match(date)
    if told is None:
        return None
    day, month, year, hour, minute, second = told.groups()
    days = _days_until(int(year), MONTHS.index(month) + 1, int(day))
    return days * 86_400 + int(hour) * 3600 + int(minute) * 60 + int(second) - time.time()


def _days_until(year: int, month: int, day: int) -> int:
    """Days from 1970 on. A year begins in March here, so that the leap day is its last."""
    if month < 3:
        year, month = year - 1, month + 12
    leaps = year // 4 - year // 100 + year // 400
    return 365 * year + leaps + (153 * (month - 3) + 2) // 5 + day - 719_469
