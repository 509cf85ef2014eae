"""A proxy that makes, on demand, the faults that an SQS server lacks, and keeps a journal.

    client ── request ──▶ journal ── fault? ──▶ server ── answer ──▶ held? ──▶ client

Faults and holds are set for an action by its name, such as "ReceiveMessage". A receive call on a
FIFO queue that is repeated with its ReceiveRequestAttemptId brings the same message again, as long
as that was not touched.
"""

import http.client
import json
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

from tests.support.eventually import eventually

UPSTREAM_TIMEOUT = 60.0


@dataclass
class Exchange:
    """One request and, once given, its answer.

    Marks count both, so that they say what came before what.
    """

    action: str
    request: dict[str, Any]
    asked: int
    region: str = ""
    """What the request was signed for."""
    access_key: str = ""
    """What it was signed with."""
    answered: int | None = None
    status: int | None = None
    answer: dict[str, Any] | None = None
    held: bool = False
    """Its answer is ready and waits in the proxy."""


@dataclass(frozen=True)
class Cut:
    """Close the connection: before the server sees the request, or after it has carried it out."""

    after: bool


@dataclass(frozen=True)
class Refuse:
    """Answer with an error, without asking the server."""

    status: int
    code: str


@dataclass(frozen=True)
class Say:
    """Answer with these bytes and status 200, without asking the server."""

    body: bytes


@dataclass(frozen=True)
class Swallow:
    """Never answer, and do not ask the server either.

    The connection stays open until the proxy is closed.
    """


Fault = Cut | Refuse | Say | Swallow

Watch = Callable[["Exchange"], None]
"""Sees every exchange twice: before the server does, and when its answer is there but has not been
given.
"""


class FaultProxy:
    """The proxy; it passes everything until told otherwise. Close it in the end."""

    def __init__(self, upstream_port: int, port: int = 0, remember: int | None = None) -> None:
        """`remember`: how many exchanges the journal keeps, all without it."""
        self._upstream_port = upstream_port
        self._changed = threading.Condition()
        self._marks = 0
        self._exchanges: deque[Exchange] = deque(maxlen=remember)
        self._faults: dict[str, list[Fault]] = {}
        self._stalled: set[str] = set()
        self._refused_keys: dict[str, str] = {}
        self._closing = False
        self.watches: list[Watch] = []
        self._passes: Counter[str] = Counter()
        self._brought: dict[
            str, tuple[str, bytes]
        ] = {}  # by receive calls that have an id: handle, answer
        self._server = _Server(("127.0.0.1", port), _Handler, self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        """The URL that clients use."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Let everything through and end; open connections are closed."""
        with self._changed:
            self._closing = True
            self._stalled.clear()
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        self._thread.join()

    # What a test orders

    def speak_tls(self, context: SSLContext) -> None:
        """Speak TLS with whoever connects from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def hang_up(self) -> None:
        """Close every connection; what the server does for them it goes on doing."""
        self._server.close_connections()

    def stall(self, action: str) -> None:
        """Hold the answers to `action` that come from now on, until they are released."""
        with self._changed:
            self._stalled.add(action)

    def release(self, action: str, count: int | None = None) -> None:
        """Let `count` held answers to `action` go and hold on, or all of them and hold no more."""
        with self._changed:
            if count is None:
                self._stalled.discard(action)
                self._passes[action] = 0
            else:
                self._passes[action] += count
            self._changed.notify_all()

    def fail(
        self, action: str, times: int = 1, status: int = 500, code: str = "InternalFailure"
    ) -> None:
        """Answer the next `times` requests of `action` with an error."""
        self._add(action, times, Refuse(status, code))

    def throttle(self, action: str, times: int = 1) -> None:
        """Refuse the next `times` requests of `action` as too many."""
        self._add(action, times, Refuse(400, "ThrottlingException"))

    def cut(self, action: str, times: int = 1, after: bool = False) -> None:
        """Cut off the next `times` requests of `action`, before or `after` they are done."""
        self._add(action, times, Cut(after))

    def say(self, action: str, body: bytes, times: int = 1) -> None:
        """Answer the next `times` requests of `action` with these bytes, whatever they mean."""
        self._add(action, times, Say(body))

    def swallow(self, action: str, times: int = 1) -> None:
        """Never answer the next `times` requests of `action`."""
        self._add(action, times, Swallow())

    def refuse_key(self, access_key: str, code: str = "ExpiredTokenException") -> None:
        """From now on answer every request that is signed with that key with an error."""
        with self._changed:
            self._refused_keys[access_key] = code

    def heal(self, action: str) -> None:
        """Pass requests of `action` again; faults that have not been met yet are forgotten."""
        with self._changed:
            self._faults.pop(action, None)

    def _add(self, action: str, times: int, fault: Fault) -> None:
        with self._changed:
            self._faults.setdefault(action, []).extend([fault] * times)

    # What a test asks

    def journal(self, action: str | None = None) -> list[Exchange]:
        """Return the exchanges so far, in the order of asking."""
        with self._changed:
            return [exchange for exchange in self._exchanges if action in (None, exchange.action)]

    def count(self, action: str) -> int:
        """Return how many requests of `action` have come."""
        return len(self.journal(action))

    def held(self, action: str) -> int:
        """Return how many answers to `action` wait in the proxy."""
        return sum(exchange.held for exchange in self.journal(action))

    def open(self, action: str) -> int:
        """Return how many requests of `action` have no answer yet."""
        return sum(exchange.answered is None for exchange in self.journal(action))

    def wait_count(self, action: str, count: int) -> None:
        """Wait until `count` requests of `action` have come."""
        eventually(lambda: self.count(action) >= count, what=f"{count} of {action}")

    def wait_held(self, action: str, count: int = 1) -> None:
        """Wait until `count` answers to `action` are held."""
        eventually(lambda: self.held(action) >= count, what=f"{count} of {action} held")

    def wait_open(self, action: str, count: int = 1) -> None:
        """Wait until `count` requests of `action` are under way."""
        eventually(lambda: self.open(action) >= count, what=f"{count} of {action} open")

    def wait_again(self, receive_id: str) -> None:
        """Wait until the receive call of that id was repeated, and answered."""

        def answered() -> int:
            calls = (each for each in self.journal("ReceiveMessage") if each.answered)
            return sum(each.request.get("ReceiveRequestAttemptId") == receive_id for each in calls)

        eventually(lambda: answered() >= 2, what=f"the call {receive_id} again")

    # What the connections call, each in its thread

    def _ask(
        self, action: str, request: dict[str, Any], region: str, access_key: str
    ) -> tuple[Exchange, Fault | None]:
        with self._changed:
            self._marks += 1
            exchange = Exchange(action, request, self._marks, region, access_key)
            self._exchanges.append(exchange)
            if access_key in self._refused_keys:
                return exchange, Refuse(403, self._refused_keys[access_key])
            faults = self._faults.get(action)
            return exchange, faults.pop(0) if faults else None

    def _hold(self, exchange: Exchange) -> None:
        action = exchange.action
        with self._changed:
            exchange.held = action in self._stalled
            while action in self._stalled and not self._passes[action]:
                self._changed.wait()
            if action in self._stalled:
                self._passes[action] -= 1
            exchange.held = False

    def _answer(self, exchange: Exchange, status: int | None, body: bytes) -> None:
        with self._changed:
            self._marks += 1
            exchange.answered = self._marks
            exchange.status = status
            exchange.answer = _read(body)
        self._show(exchange)

    def _show(self, exchange: Exchange) -> None:
        for watch in self.watches:
            watch(exchange)

    def handle(
        self, action: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, str, bytes] | None:
        """Carry out one request; return status, content type and body.

        None: the connection is to be cut.
        """
        scope = headers.get("Authorization", "").partition("Credential=")[2].split("/")
        exchange, fault = self._ask(
            action,
            json.loads(body) if body else {},
            scope[2] if len(scope) > 2 else "",
            scope[0],
        )
        self._show(exchange)
        match fault:
            case Say(said):
                self._answer(exchange, 200, said)
                return 200, "application/x-amz-json-1.0", said
            case Refuse(status, code):
                answer = json.dumps(
                    {"__type": f"com.amazonaws.sqs#{code}", "message": "made by the proxy"}
                ).encode()
                self._answer(exchange, status, answer)
                return status, "application/x-amz-json-1.0", answer
            case Swallow():
                with self._changed:
                    self._changed.wait_for(lambda: self._closing)
                self._answer(exchange, None, b"")
                return None
            case Cut(after=False):
                # If that is wanted too: the server never sees it, and the client waits.
                self._hold(exchange)
                self._answer(exchange, None, b"")
                return None
        if again := self._again(exchange):
            status, kind, answer = 200, "application/x-amz-json-1.0", again
        else:
            status, kind, answer = self._forward(path, headers, body)
            self._remember(exchange, answer)
        self._hold(exchange)
        self._answer(exchange, None if fault else status, answer)
        return None if fault else (status, kind, answer)

    def _again(self, exchange: Exchange) -> bytes | None:
        """What the same call has brought before. A message that is touched is not brought again."""
        with self._changed:
            touched = exchange.request.get("ReceiptHandle")
            self._brought = {
                name: each for name, each in self._brought.items() if each[0] != touched
            }
            _, answer = self._brought.get(
                exchange.request.get("ReceiveRequestAttemptId", ""), ("", None)
            )
            return answer

    def _remember(self, exchange: Exchange, answer: bytes) -> None:
        if (name := exchange.request.get("ReceiveRequestAttemptId")) and (
            found := _read(answer).get("Messages")
        ):
            with self._changed:
                self._brought[name] = (found[0]["ReceiptHandle"], answer)

    def _forward(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        upstream = http.client.HTTPConnection(
            "127.0.0.1", self._upstream_port, timeout=UPSTREAM_TIMEOUT
        )
        try:
            upstream.request("POST", path, body, headers)
            response = upstream.getresponse()
            return response.status, response.getheader("Content-Type", ""), response.read()
        finally:
            upstream.close()


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body) if body else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, address: tuple[str, int], handler: type["_Handler"], proxy: FaultProxy
    ) -> None:
        self.proxy = proxy
        self._connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._connections):
            self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients that die in mid-request are what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        answer = server.proxy.handle(action, self.path, dict(self.headers), body)
        if answer is None:
            self.close_connection = True
            return
        status, kind, content = answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing: the journal has it."""
