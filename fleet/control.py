"""The control socket: clients of the same user ask the master for something, one JSON line each way.

It belongs to the master's loop and never waits: what a client sends and takes is buffered within bounds, and who is
slow is hung up on. core/requests.py says what can be asked; the master answers.
"""

import os
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from fleet.core.requests import BadRequest, Request, answer, read
from fleet.system.clock import now

MOST_CLIENTS = 16  # one more hangs up on the oldest
LARGEST_REQUEST = 4096  # bytes
PATIENCE = 5.0  # seconds from the connection to the last byte of the answer
DEAF = 1.0  # seconds without accepting when there is no descriptor to be had
_CREDENTIALS = struct.Struct("iII")  # of SO_PEERCRED: pid, uid, gid

Answer = Callable[[Request], bytes]


@dataclass(slots=True)
class Client:
    """One connection: until when, what came, and what is still to be said."""

    end: socket.socket
    until: float
    came: bytearray = field(default_factory=bytearray)
    left: bytes = b""


class Control:
    """The listening socket and its clients, in the master's poll."""

    def __init__(self, listener: socket.socket, poll: select.poll, answered: Answer) -> None:
        """`answered` gives the line for a request; it may raise BadRequest."""
        self._listener, self._poll, self._answered = listener, poll, answered
        self._clients: dict[int, Client] = {}  # by descriptor, oldest first
        self._hears_at = -inf
        poll.register(listener.fileno(), select.POLLIN)

    def wakes_at(self) -> float:
        """The next moment at which time alone changes something, or infinity."""
        again = inf if self._hears_at == -inf else self._hears_at
        return min([again, *(client.until for client in self._clients.values())])

    def owns(self, fd: int) -> bool:
        """Whether the descriptor is ours to look at."""
        return fd == self._listener.fileno() or fd in self._clients

    def look(self, fd: int) -> None:
        """Something has happened on a descriptor of ours."""
        if fd == self._listener.fileno():
            self._accept()
        elif client := self._clients.get(fd):
            self._serve(client)

    def tidy(self) -> None:
        """Hang up on who was too slow; hear again after a pause."""
        moment = now()
        for client in [client for client in self._clients.values() if client.until <= moment]:
            self._hang_up(client)
        if self._hears_at != -inf and moment >= self._hears_at:
            self._hears_at = -inf
            self._poll.register(self._listener.fileno(), select.POLLIN)

    def close(self) -> None:
        """Hang up on all, and on the name."""
        for client in list(self._clients.values()):
            self._hang_up(client)
        self._listener.close()

    def _accept(self) -> None:
        try:
            end, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):  # gone before we came
            return
        except OSError:  # no descriptor to be had: asking again at once would be a hot loop
            self._hears_at = now() + DEAF
            self._poll.unregister(self._listener.fileno())
            return
        end.setblocking(False)
        if not _is_ours(end):
            end.close()
            return
        if len(self._clients) >= MOST_CLIENTS:
            self._hang_up(next(iter(self._clients.values())))
        self._clients[end.fileno()] = Client(end, now() + PATIENCE)
        self._poll.register(end.fileno(), select.POLLIN)

    def _serve(self, client: Client) -> None:
        try:
            if not client.left:
                self._hear(client)
            if client.left:
                client.left = client.left[client.end.send(client.left) :]
                if not client.left:
                    self._hang_up(client)
        except BlockingIOError:
            return
        except OSError:  # the client is gone
            self._hang_up(client)

    def _hear(self, client: Client) -> None:
        came = client.end.recv(LARGEST_REQUEST)
        client.came += came
        line, end, _ = client.came.partition(b"\n")
        if end or len(client.came) > LARGEST_REQUEST:
            client.left = self._answer(bytes(line) if end else b"")
            self._poll.modify(client.end.fileno(), select.POLLOUT)
        elif not came:
            self._hang_up(client)

    def _answer(self, line: bytes) -> bytes:
        try:
            return self._answered(read(line))
        except BadRequest as error:
            return answer(ok=False, error=str(error))

    def _hang_up(self, client: Client) -> None:
        self._poll.unregister(client.end.fileno())
        del self._clients[client.end.fileno()]
        client.end.close()


def _is_ours(end: socket.socket) -> bool:
    """Whether the other side runs as our user, or as root."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the socket's mode and directory have let it in
    _, uid, _ = _CREDENTIALS.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return uid in (0, os.getuid())
