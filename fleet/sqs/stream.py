"""A connection with one deadline and one size for all that a call sends and receives.

http.client takes it for a socket. A socket's own time-out is one for each read, and an answer that
comes at a byte a second never runs into it.
"""

import io
import select
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fleet.sqs.dns import Addresses, resolve
from fleet.sqs.transport import TooLong
from fleet.system.clock import now

LEAST = 0.1  # seconds for one of many addresses


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
    """What http.client takes for a socket."""

    def __init__(self, connected: socket.socket, clock: Callable[[], float] = now) -> None:
        self._socket, self._clock = connected, clock
        self._ends, self.left = 0.0, 0

    def begin(self, ends: float, left: int) -> None:
        """Begin a call that must be over at `ends`, and whose answer has at most `left` bytes."""
        self._ends, self.left = ends, left

    def sendall(self, data: bytes) -> None:
        """Send as a socket does. Raises TimeoutError, OSError.

        What TLS sends has a time-out for each record.
        """
        rest = memoryview(data)
        while rest:
            self._set_timeout()
            rest = rest[self._socket.send(rest) :]

    def receive(self, source: io.RawIOBase, into: Any) -> int | None:
        """Read once from the answer. Raises TimeoutError, TooLong, OSError."""
        self._set_timeout()
        count: int | None = source.readinto(into)
        self.left -= count or 0
        if self.left < 0:
            raise TooLong
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """A file of the answer. The socket is open as long as the file is, as with any socket."""
        return io.BufferedReader(AnswerBytes(self, self._socket.makefile("rb", buffering=0)))

    def is_readable(self) -> bool:
        """Whether something has come. Between two calls that can only be the connection's end."""
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

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


class AnswerBytes(io.RawIOBase):
    """The bytes of one answer, as they come."""

    def __init__(self, stream: BoundedStream, source: io.RawIOBase) -> None:
        self._stream, self._source = stream, source

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int | None:
        return self._stream.receive(self._source, into)

    def close(self) -> None:
        self._source.close()
        super().close()


def connect(
    host: str, port: int, tls: ssl.SSLContext | None, seconds: float, options: ConnectOptions
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
