"""Datagrams to the service manager (sd_notify(3)), if it listens.

The variables that name its socket are taken out of the environment: a job does not speak for the
pool.
"""

import contextlib
import os
import socket

MICROSECONDS = 1_000_000


class Notifier:
    """Sends fields to the service manager; sends nothing without one.

    `watchdog`: seconds between signs of life, None if it wants none.
    """

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        for_us = os.environ.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.watchdog: float | None = None
        if self._socket is not None and for_us and microseconds.isdecimal():
            self.watchdog = int(microseconds) / MICROSECONDS or None

    @property
    def has_listener(self) -> bool:
        """Whether there is a service manager to send to."""
        return self._socket is not None

    def send(self, **fields: str | int) -> None:
        """Send one datagram. A manager that is not there, or too slow, is not waited for."""
        if self._socket is None:
            return
        text = "\n".join(f"{name}={value}" for name, value in fields.items())
        with contextlib.suppress(OSError):
            self._socket.sendto(text.encode(), self._address)
