"""An app on a host whose names cannot be looked up while a test says so: whoever asks waits for
ever.

What an import changes in the standard library does not reach fleet's processes; this changes
fleet's own look-up. Verbs as in jobs.py.
"""

import signal

import jobs
from jobs import SHARED

from fleet.sqs import dns
from fleet.sqs.dns import Addresses

OUTAGE = SHARED / "outage"  # there while the outage lasts
_plainly = dns.resolve


def plainly(host: str, port: int, _seconds: float) -> Addresses:
    """As the resolver does it when no name server answers."""
    while OUTAGE.exists():
        signal.pause()
    return _plainly(host, port, _seconds)


dns.resolve = plainly

job = jobs.job
