"""An app on a host whose names cannot be looked up while a test says so: whoever asks waits for ever.

Verbs as in jobs.py.
"""

import signal
import socket
from typing import Any

import jobs
from jobs import SHARED

OUTAGE = SHARED / "outage"  # there while the outage lasts
_getaddrinfo = socket.getaddrinfo


def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
    """As the resolver does it when no name server answers; numbers need none."""
    if not flags & socket.AI_NUMERICHOST and OUTAGE.exists():
        while True:
            signal.pause()
    return _getaddrinfo(host, port, family, type, proto, flags)


socket.getaddrinfo = getaddrinfo

job = jobs.job
