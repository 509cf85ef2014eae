"""On the control socket clients of the same user ask the master, one JSON line each way.

It belongs to the master's loop and never waits: what a client sends and takes is buffered within
bounds, and a slow client is hung up on. `core/control.py` says what can be asked; the master
answers.
"""

import os
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from fleet.core.control import BadRequest, Request, encode_answer, read_request
from fleet.system.clock import now

MOST_CLIENTS = 16  # for one more the oldest is hung up on
LARGEST_REQUEST = 4096  # bytes
PATIENCE = 5.0  # seconds from the connection to the last byte of the answer
ACCEPT_PAUSE = 1.0  # seconds without accepting when there is no descriptor to be had
_CREDENTIALS = struct.Struct("iII")  # of SO_PEERCRED: pid, uid, gid

Answer = Callable[[Request], bytes]


@dataclass(slots=True)
class ControlClient:
    """One connection: until when it may last, what came, and what is still to be sent."""

    end: socket.socket
    until: float
    came: bytearray = field(default_factory=bytearray)
    unsent: bytes = b""


class ControlSocket:
    """The listening socket and its clients, registered in the master's poll."""

    def __init__(
        self,
        listener: socket.socket,
        held: socket.socket | None,
        poll: select.poll,
        answer: Answer,
    ) -> None:
        """`answer` gives the line for a request; it may raise BadRequest.

        `held`: the socket that holds the pool's name. A client that connects to it asks for
        nothing: `on_knock` is called, then it is hung up on.
        """
        self._listener, self._held, self._poll, self._answer = listener, held, poll, answer
        self.on_knock: Callable[[], None] = lambda: None
        self._clients: dict[int, ControlClient] = {}  # by descriptor, oldest first
        self._accepts_at = -inf
        self._accept_again()

    def _listeners(self) -> list[socket.socket]:
        return [self._listener] if self._held is None else [self._listener, self._held]

    def _accept_again(self) -> None:
        self._accepts_at = -inf
        for each in self._listeners():
            self._poll.register(each.fileno(), select.POLLIN)

    def replace_listener(self, listener: socket.socket) -> None:
        """Accept clients by this one from now on."""
        if self._accepts_at == -inf:
            self._poll.unregister(self._listener.fileno())
            self._poll.register(listener.fileno(), select.POLLIN)
        self._listener.close()
        self._listener = listener

    def wakes_at(self) -> float:
        """The next moment at which time alone changes something, or infinity."""
        again = inf if self._accepts_at == -inf else self._accepts_at
        return min([again, *(client.until for client in self._clients.values())])

    def owns(self, fd: int) -> bool:
        """Whether the descriptor is one of the control socket's."""
        return fd in self._clients or any(fd == each.fileno() for each in self._listeners())

    def handle(self, fd: int) -> None:
        """Do what is due on a descriptor on which something has happened."""
        if self._held is not None and fd == self._held.fileno():
            self._take_knock(self._held)
        elif fd == self._listener.fileno():
            self._accept()
        elif client := self._clients.get(fd):
            self._serve(client)

    def tidy(self) -> None:
        """Hang up on clients that were too slow; accept again after a pause."""
        moment = now()
        for client in [client for client in self._clients.values() if client.until <= moment]:
            self._hang_up(client)
        if self._accepts_at != -inf and moment >= self._accepts_at:
            self._accept_again()

    def close(self) -> None:
        """Hang up on all clients, and close the listening sockets."""
        for client in list(self._clients.values()):
            self._hang_up(client)
        for each in self._listeners():
            each.close()

    def _accept(self) -> None:
        end = self._accept_from(self._listener)
        if end is None:
            return
        if len(self._clients) >= MOST_CLIENTS:
            self._hang_up(next(iter(self._clients.values())))
        self._clients[end.fileno()] = ControlClient(end, now() + PATIENCE)
        self._poll.register(end.fileno(), select.POLLIN)

    def _take_knock(self, held: socket.socket) -> None:
        if end := self._accept_from(held):
            with end:
                self.on_knock()

    def _accept_from(self, listener: socket.socket) -> socket.socket | None:
        """The connection, if there is one and it is this user's."""
        try:
            end, _ = listener.accept()
        except (BlockingIOError, ConnectionError):  # the client is gone already
            return None
        except OSError:  # no descriptor to be had: asking again at once would be a hot loop
            self._accepts_at = now() + ACCEPT_PAUSE
            for each in self._listeners():
                self._poll.unregister(each.fileno())
            return None
        end.setblocking(False)
        if not _is_ours(end):
            end.close()
            return None
        return end

    def _serve(self, client: ControlClient) -> None:
        try:
            if not client.unsent:
                self._read(client)
            if client.unsent:
                client.unsent = client.unsent[client.end.send(client.unsent) :]
                if not client.unsent:
                    self._hang_up(client)
        except BlockingIOError:
            return
        except OSError:  # the client is gone
            self._hang_up(client)

    def _read(self, client: ControlClient) -> None:
        came = client.end.recv(LARGEST_REQUEST)
        client.came += came
        line, end, _ = client.came.partition(b"\n")
        if end or len(client.came) > LARGEST_REQUEST:
            client.unsent = self._answer_line(bytes(line) if end else b"")
            self._poll.modify(client.end.fileno(), select.POLLOUT)
        elif not came:
            self._hang_up(client)

    def _answer_line(self, line: bytes) -> bytes:
        try:
            return self._answer(read_request(line))
        except BadRequest as error:
            return encode_answer(ok=False, error=str(error))

    def _hang_up(self, client: ControlClient) -> None:
        self._poll.unregister(client.end.fileno())
        del self._clients[client.end.fileno()]
        client.end.close()


def _is_ours(end: socket.socket) -> bool:
    """Whether the other side runs as the master's user, or as root."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the socket's mode and directory have let it in
    _, uid, _ = _CREDENTIALS.unpack(
        end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return uid in (0, os.getuid())
