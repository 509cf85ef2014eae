"""A connection with one deadline for all that a call sends and receives.

A socket's own time-out is one for each read, and an answer that comes at a byte a second never runs
into it.

docs/decisions/0015 has the reasons.
"""

import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleet.sqs.dns import Addresses, resolve
from fleet.system.clock import now

if TYPE_CHECKING:
    from ssl import SSLContext

LEAST = 0.1  # seconds for one of many addresses
PIECE = 1 << 14  # bytes: most answers are one piece, and no more memory is touched for them


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """How a connection is made: what resolves names, what is called between the steps, the clock.

    Making a connection has a time-out, and so has using it: with a heartbeat between the two, a
    process that does both is not silent for longer than one of them.
    """

    resolve: Callable[[str, int, float], Addresses] = field(default=resolve)
    heartbeat: Callable[[], object] = field(default=lambda: None)
    clock: Callable[[], float] = field(default=now)


class BoundedStream:
    """A connected socket, plain or TLS, for one call after another."""

    def __init__(self, connected: socket.socket, clock: Callable[[], float] = now) -> None:
        self._socket, self._clock, self._ends = connected, clock, 0.0
        self._poll = select.poll()
        self._poll.register(connected.fileno(), select.POLLIN)

    def begin(self, ends: float) -> None:
        """Begin a call that must be over at `ends` (seconds on the clock)."""
        self._ends = ends

    def send(self, data: bytes) -> None:
        """Send all of it. Raises TimeoutError, OSError.

        What TLS sends has a time-out for each record.
        """
        rest = memoryview(data)
        while rest:
            self._set_timeout()
            rest = rest[self._socket.send(rest) :]

    def receive(self) -> bytes:
        """Read once; nothing is read at the connection's end. Raises TimeoutError, OSError."""
        self._set_timeout()
        return self._socket.recv(PIECE)

    def is_readable(self) -> bool:
        """Whether something has come. Between two calls that can only be the connection's end."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        self._socket.close()

    def detach(self) -> None:
        self._socket.detach()

    def fileno(self) -> int:
        return self._socket.fileno()

    def _set_timeout(self) -> None:
        """Give the next operation what is left of the call's time. Raises TimeoutError."""
        seconds = self._ends - self._clock()
        if seconds <= 0:
            raise TimeoutError
        self._socket.settimeout(seconds)


def connect(
    host: str, port: int, tls: "SSLContext | None", seconds: float, options: ConnectOptions
) -> BoundedStream:
    """Connect to one of the host's addresses; all that it takes has one time-out together.

    Raises OSError, also when there is no such host or its certificate is not to be trusted, and
    UnicodeError for a host that is no name.
    """
    ends = options.clock() + seconds
    options.heartbeat()
    addresses = options.resolve(host, port, seconds)
    options.heartbeat()
    left = max(LEAST, ends - options.clock())
    connected = connect_to_first(addresses, left, options.clock)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if tls is not None:
            options.heartbeat()
            connected.settimeout(max(LEAST, ends - options.clock()))  # of the whole handshake
            connected = tls.wrap_socket(connected, server_hostname=host)
    except BaseException:  # whatever it is, it goes on; only the socket must not be left open
        connected.close()
        raise
    options.heartbeat()
    return BoundedStream(connected, options.clock)


def connect_to_first(
    addresses: Addresses, seconds: float, clock: Callable[[], float] = now
) -> socket.socket:
    """Connect to the first address that answers; each has its share of the time that is left.

    Raises OSError.
    """
    ends, failed = clock() + seconds, OSError("no address")
    for index, (family, address) in enumerate(addresses):
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            connected.settimeout(max(LEAST, (ends - clock()) / (len(addresses) - index)))
            connected.connect(address)
            connected.settimeout(seconds)
            return connected
        except OSError as error:
            connected.close()
            failed = error
        except BaseException:  # whatever it is, it goes on; only the socket must not be left open
            connected.close()
            raise
    raise failed
