"""What an endpoint sends is bounded in time and size, and is not taken for a later answer."""

import http.server
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import pytest
from botocore.credentials import ReadOnlyCredentials

from fleet.core.queue import Message, QueueError, Trouble
from fleet.sqs import wire
from fleet.sqs.address import Address
from fleet.sqs.borrowed_session import BorrowedSession
from fleet.sqs.queue import SqsQueue
from fleet.sqs.sessions import Sessions
from fleet.sqs.stream import BoundedStream, ConnectOptions
from fleet.sqs.transport import LONGEST_MESSAGE, MARGIN, longest_answer

OURS = Message("m", "h", "")
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = OK + b"Content-Length: 2\r\n\r\n{}"
ENDLESS = (
    200  # chunks: more than a bound lets through, and less than a test that fails should wait for
)
FLOOD = b"x" * (1 << 20)
SHORT_CALL = 0.5

Script = Callable[[], Iterable[bytes]]


class Endpoint:
    """Answers the first request of each connection as the next script says.

    Without a script the answer is a good one.
    """

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.connections = 0
        self.cut_short = threading.Event()  # the client has hung up before a script's end
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                endpoint.connections += 1
                super().setup()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                script = endpoint.scripts.pop(0) if endpoint.scripts else lambda: [GOOD]
                try:
                    for piece in script():
                        self.wfile.write(piece)
                except OSError:
                    endpoint.cut_short.set()
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()


@pytest.fixture(params=["our own wire", "botocore's client"])
def queue(
    endpoint: Endpoint, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SqsQueue]:
    """Behind the endpoint: straight, and through it as a proxy."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    url = f"http://127.0.0.1:{endpoint.server.server_port}"
    if request.param == "botocore's client":
        monkeypatch.setenv("http_proxy", url)
        url = "http://sqs.example"
    address = Address(f"{url}/000000000000/jobs", "eu-west-1", url, "key", "secret")
    opened = SqsQueue(Sessions(address), short_call=SHORT_CALL)
    yield opened
    opened.close()


def slowly(begin: bytes, piece: bytes) -> Script:
    """Pieces that always come in time for the next read, and never end."""

    def script() -> Iterator[bytes]:
        yield begin
        for _ in range(ENDLESS):
            time.sleep(SHORT_CALL / 10)
            yield piece

    return script


SLOW = {
    "a body": slowly(OK + b"Content-Length: 1000\r\n\r\n", b" "),
    "a body in chunks": slowly(CHUNKED, b"1\r\n \r\n"),
    "a body until the end": slowly(OK + b"Connection: close\r\n\r\n", b" "),
}
SLOW_ELSEWHERE = {
    "what follows chunks": slowly(CHUNKED + b"2\r\n{}\r\n0\r\n", b"a: b\r\n"),
    "a status line": slowly(b"HTTP/1.1 200 ", b"O"),
    "headers": slowly(OK, b"a"),
    "more headers": slowly(OK, b"a: b\r\n"),
    "answers before the answer": slowly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("what", SLOW)
def test_a_call_has_one_time_out_however_slowly_its_answer_comes(
    queue: SqsQueue, endpoint: Endpoint, what: str
) -> None:
    endpoint.scripts = [SLOW[what]]
    fails_unanswered(queue)
    assert endpoint.cut_short.wait(60)
    queue.delete(OURS)
    assert endpoint.connections == 2


@pytest.mark.parametrize("queue", ["our own wire"], indirect=True)
@pytest.mark.parametrize("what", SLOW_ELSEWHERE)
def test_it_has_one_for_what_is_around_the_body_too(
    queue: SqsQueue, endpoint: Endpoint, what: str
) -> None:
    """Of botocore's client that is http.client's affair: each read has the time-out."""
    endpoint.scripts = [SLOW_ELSEWHERE[what]]
    fails_unanswered(queue)
    assert endpoint.cut_short.wait(60)


def fails_unanswered(queue: SqsQueue) -> str:
    with pytest.raises(QueueError) as caught:
        queue.extend(OURS, 60)
    assert caught.value.trouble is Trouble.PASSING
    assert caught.value.unanswered
    return str(caught.value)


LONG = {
    "a body": lambda: [OK + b"Content-Length: %d\r\n\r\n" % (1 << 30), *[FLOOD] * ENDLESS],
    "a body that is not there": lambda: [OK + b"Content-Length: %d\r\n\r\n" % (1 << 62)],
    "a body in chunks": lambda: [CHUNKED, *[b"100000\r\n" + FLOOD + b"\r\n"] * ENDLESS],
    "one chunk": lambda: [CHUNKED, b"7fffffffffffffff\r\n", *[FLOOD] * ENDLESS],
    "a body until the end": lambda: [OK + b"Connection: close\r\n\r\n", *[FLOOD] * ENDLESS],
}
LONG_ELSEWHERE = {
    "a header": lambda: [OK, b"a: ", *[FLOOD] * ENDLESS],
    "headers": lambda: [OK, *[b"a: b\r\n" * 1000] * ENDLESS],
    "answers before the answer": lambda: itertools.repeat(
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 100 * ENDLESS
    ),
    "what follows chunks": lambda: [
        CHUNKED + b"2\r\n{}\r\n0\r\n",
        *[b"a: b\r\n" * 1000] * 100 * ENDLESS,
    ],
}


@pytest.mark.parametrize("what", LONG)
def test_an_answer_that_is_longer_than_any_of_sqs(
    queue: SqsQueue, endpoint: Endpoint, what: str
) -> None:
    endpoint.scripts = [LONG[what]]
    assert "TooLong" in fails_unanswered(queue)
    queue.delete(OURS)
    assert endpoint.connections == 2


@pytest.mark.parametrize("queue", ["our own wire"], indirect=True)
@pytest.mark.parametrize("what", LONG_ELSEWHERE)
def test_what_is_long_may_be_around_the_body(
    queue: SqsQueue, endpoint: Endpoint, what: str
) -> None:
    endpoint.scripts = [LONG_ELSEWHERE[what]]
    fails_unanswered(queue)
    queue.delete(OURS)
    assert endpoint.connections == 2


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) - 1])
def test_the_longest_messages_fit(queue: SqsQueue, endpoint: Endpoint, size: int) -> None:
    """Written as lengthily as JSON can."""
    body = "\\u0061" * size
    text = b'{"Messages": [{"MessageId": "1", "ReceiptHandle": "h", "Body": "%b"}]}' % body.encode()
    assert len(text) < longest_answer({"MaxNumberOfMessages": 1}) == MARGIN + LONGEST_MESSAGE
    endpoint.scripts = [lambda: [OK + b"Content-Length: %d\r\n\r\n" % len(text), text]]
    message = queue.receive(0, 20)
    assert message is not None
    assert (message.body, message.unusable) == ("a" * size, "")


BROKEN = {
    "a body that ends too early": lambda: [
        OK + b"Content-Length: 9\r\nConnection: close\r\n\r\n{}"
    ],
    "a chunk that is none": lambda: [CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n" + b"x" * 100],
    "a chunk of no size": lambda: [CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"],
    "not json": lambda: [OK + b"Content-Length: 1\r\n\r\n{"],
    "not an object": lambda: [OK + b"Content-Length: 2\r\n\r\n[]"],
    "brackets too deep": lambda: [OK + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000],
    "an error of a gateway": lambda: [b"HTTP/1.1 400 No\r\nContent-Length: 6\r\n\r\n<html>"],
    "an error with brackets too deep": lambda: [
        b"HTTP/1.1 400 No\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000
    ],
    "an error that is null": lambda: [
        b'HTTP/1.1 400 No\r\nContent-Length: 16\r\n\r\n{"__type": null}'
    ],
    "a redirection": lambda: [
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    ],
}


@pytest.mark.parametrize("queue", ["our own wire"], indirect=True)
@pytest.mark.parametrize("what", BROKEN)
def test_after_a_broken_answer_the_connection_is_closed(
    queue: SqsQueue, endpoint: Endpoint, what: str
) -> None:
    endpoint.scripts = [BROKEN[what]]
    with pytest.raises(QueueError) as caught:
        queue.delete(OURS)
    assert caught.value.trouble is Trouble.PASSING
    assert queue.descriptors == ()
    queue.delete(OURS)
    assert endpoint.connections == 2


@pytest.mark.parametrize("queue", ["our own wire"], indirect=True)
def test_an_error_of_sqs_does_not_cost_the_connection(queue: SqsQueue, endpoint: Endpoint) -> None:
    text = json.dumps({"__type": "com.amazonaws.sqs#ReceiptHandleIsInvalid"}).encode()
    endpoint.scripts = [
        lambda: [b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n" % len(text), text]
    ]
    with pytest.raises(QueueError, match="ReceiptHandleIsInvalid"):
        queue.delete(OURS)
    queue.delete(OURS)
    assert endpoint.connections == 1


@pytest.mark.parametrize("queue", ["our own wire"], indirect=True)
def test_a_call_that_somebody_ends_by_an_exception_leaves_no_half_answer(
    queue: SqsQueue, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a signal handler of the program that uses the library may."""
    queue.delete(OURS)
    with monkeypatch.context() as patch:
        patch.setattr(wire, "receive", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            queue.delete(OURS)
    assert queue.descriptors == ()
    queue.delete(OURS)
    assert endpoint.connections == 2


def test_a_handshake_has_one_time_out_too() -> None:
    """A TLS record that comes byte by byte."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            end, _ = server.accept()
            with end:
                try:
                    for piece in (b"\x16\x03\x03\x40\x00", *[b"\x02"] * ENDLESS):
                        end.sendall(piece)
                        time.sleep(SHORT_CALL / 10)
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        target = SqsQueue(
            Sessions(Address(f"{url}/1/jobs", "eu-west-1", url, "k", "s")), short_call=SHORT_CALL
        )
        with pytest.raises(QueueError, match="cannot be reached") as caught:
            target.delete(OURS)
        thread.join()
    assert not caught.value.unanswered


# The stream by itself, on a clock of its own.


class SlowSocket:
    """A socket that takes and gives a byte a second, for ever."""

    def __init__(self, spent: list[float]) -> None:
        self._spent, self.taken, self.reads, self.timeouts = spent, 0, 0, list[float]()

    def fileno(self) -> int:
        return 0

    def settimeout(self, seconds: float) -> None:
        self.timeouts.append(seconds)

    def send(self, data: memoryview) -> int:
        self._spent[0] += 1.0
        self.taken += len(data[:1])
        return 1

    def recv(self, _most: int) -> bytes:
        self._spent[0] += 1.0
        self.reads += 1
        return b"x"


def test_reads_and_writes_of_a_call_share_its_time() -> None:
    spent = [0.0]
    slow = SlowSocket(spent)
    stream = BoundedStream(cast(socket.socket, slow), lambda: spent[0])
    stream.begin(5.0)
    stream.send(b"abc")
    with pytest.raises(TimeoutError):
        wire.receive(stream, 100)
    assert (slow.taken, slow.reads) == (3, 2)
    assert slow.timeouts == [5.0, 4.0, 3.0, 2.0, 1.0]


def test_a_request_that_nobody_takes_is_late() -> None:
    spent = [0.0]
    slow = SlowSocket(spent)
    stream = BoundedStream(cast(socket.socket, slow), lambda: spent[0])
    stream.begin(5.0)
    with pytest.raises(TimeoutError):
        stream.send(b"x" * 1000)
    assert slow.taken == 5


@pytest.mark.parametrize(("wait", "seconds"), [(0, 10.0), (1, 11.0), (20, 30.0), (40, 30.0)])
def test_a_poll_may_take_what_it_waits_for_and_a_margin(
    monkeypatch: pytest.MonkeyPatch, wait: int, seconds: float
) -> None:
    spent = [0.0]
    slow = SlowSocket(spent)
    options = ConnectOptions(clock=lambda: spent[0])
    connected = BoundedStream(cast(socket.socket, slow), options.clock)
    monkeypatch.setattr(slow, "close", lambda: None, raising=False)
    monkeypatch.setattr(wire, "connect", lambda *_: connected)
    url = "http://127.0.0.1:1"
    address = Address(f"{url}/000000000000/jobs", "eu-west-1", url, "key", "secret")
    queue = SqsQueue(Sessions(address), wait_time=20.0, options=options)
    with pytest.raises(QueueError) as caught:
        queue.receive(wait, 60)
    assert caught.value.unanswered
    assert slow.timeouts[0] == seconds


class SlowCredentials:
    """Credentials that take their time when they are read."""

    def __init__(self, spent: list[float], seconds: float) -> None:
        self._spent, self._seconds = spent, seconds

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self._spent[0] += self._seconds
        return ReadOnlyCredentials("k", "s", None)


@pytest.mark.parametrize(("seconds", "heartbeats"), [(0.0, 0), (3.0, 1)])
def test_credentials_that_take_their_time_are_followed_by_a_heartbeat(
    endpoint: Endpoint, seconds: float, heartbeats: int
) -> None:
    """The call that follows may take as long again."""
    url = f"http://127.0.0.1:{endpoint.server.server_port}"
    said: list[str] = []
    spent = [0.0]
    borrowed = BorrowedSession(lambda: SlowCredentials(spent, seconds))
    sessions = Sessions(Address(f"{url}/1/jobs", "eu-west-1", url), borrowed=borrowed)
    options = ConnectOptions(heartbeat=lambda: said.append("heartbeat"), clock=lambda: spent[0])
    target = SqsQueue(sessions, options=options)
    target.delete(OURS)
    said.clear()
    target.delete(OURS)  # over the connection that stands
    target.close()
    assert len(said) == heartbeats
