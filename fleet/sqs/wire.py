"""SQS's JSON protocol over one keep-alive connection, signed by botocore, without botocore's client
around it.

What a dispatcher touches between two forks it pays for twice, and botocore's client touches far
more than the call needs: with it a no-op job cost half as much again. Errors come as the three
exceptions below; errors.py knows them.

What comes back is not trusted: a call has one deadline, however the answer is spread over it, and
an answer has a size that it may have at most, headers included. After one that is broken, or not
SQS's, the connection is closed, because nobody knows what else will come over it.
"""

import base64
import http.client
import io
import json
import select
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from fleet.sqs.dns import Addresses, plainly
from fleet.system.clock import now
from fleet.version import VERSION

TARGET = "AmazonSQS."  # and the operation: the header that says what is asked
SERVICE = "sqs"
LEAST = 0.1  # seconds for one of many addresses
MESSAGE = 6 << 20  # bytes: 1 MiB is the most that SQS takes, and JSON may need six for each of them
MARGIN = 1 << 20  # bytes: headers, and the longest answer about anything else


class Unreachable(Exception):
    """There is no connection to be had; nothing was sent."""


class NoAnswer(Exception):
    """The request went out, and no whole answer came."""


class Refused(Exception):
    """SQS answered with an error: its code, empty if it names none, the HTTP status, its own words,
    and its clock.
    """

    def __init__(self, code: str, status: int, said: str = "", date: str = "") -> None:
        super().__init__(code, status)
        self.code, self.status, self.said, self.date = code, status, said, date


@dataclass(frozen=True, slots=True)
class Site:
    """Where requests go and how they are signed; `tls` is None for plain HTTP. `proxied`: not by a
    line of ours.
    """

    url: str
    region: str
    tls: ssl.SSLContext | None
    proxied: bool = False


@dataclass(frozen=True, slots=True)
class Means:
    """How a connection is made: what names are looked up with, and what is called between the
    steps.

    Making a connection has a time-out, and so has using it: whoever does both is not silent for
    more than one of them.
    """

    look_up: Callable[[str, int, float], Addresses] = field(default=plainly)
    beat: Callable[[], object] = field(default=lambda: None)


class Wire:
    """One connection, made at the first call. Time-outs in seconds; every call is tried once."""

    def __init__(
        self,
        site: Site,
        keys: Callable[[], Any],
        read_timeout: float,
        connect_timeout: float,
        means: Means | None = None,
    ) -> None:
        """`keys` returns botocore's credentials as they are now, or raises QueueError."""
        parts = urlsplit(site.url)
        self._site, self._keys, self._means = site, keys, means or Means()
        self._read_timeout, self._connect_timeout = read_timeout, connect_timeout
        self._host, self._path = parts.netloc, parts.path or "/"
        port = parts.port or (http.client.HTTP_PORT if site.tls is None else http.client.HTTPS_PORT)
        self._connection = http.client.HTTPConnection(parts.hostname or "", port)

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        self._connection.close()

    def forget(self) -> None:
        """In a forked child. Not closed: a job's process has no descriptor of ours, and the number
        may be its own.
        """
        if self._connection.sock is not None:
            self._connection.sock.detach()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a forked child must not keep."""
        return () if self._connection.sock is None else (self._connection.sock.fileno(),)

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """The answer's members. Raises Unreachable, NoAnswer, Refused, and what `keys` and the JSON
        reader raise.
        """
        body = json.dumps(arguments, default=_plain).encode()
        before = now()
        headers = self._signed(operation, body)
        if now() - before >= LEAST:  # credentials have taken their time
            self._means.beat()
        stream = self._connect()
        stream.begin(now() + self._read_timeout, longest(arguments))
        answer: http.client.HTTPResponse | None = None
        try:
            self._connection.request("POST", self._path, body, headers)
            answer = self._connection.getresponse()
            text = _text(answer, stream.left)
        except BaseException as error:  # whatever it is: the rest of the answer may still come
            if answer is not None:  # it may have the socket to itself
                answer.close()
            self.close()
            if not isinstance(error, Exception):
                raise
            raise NoAnswer(type(error).__name__) from error
        try:
            return _members(answer, text)
        except BaseException as error:
            if not (
                isinstance(error, Refused) and error.code
            ):  # not SQS's own: a gateway's between us
                self.close()
            raise

    def _signed(self, operation: str, body: bytes) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        headers = {
            "Host": self._host,
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": TARGET + operation,
            "User-Agent": f"fleet/{VERSION}",
        }
        request = AWSRequest("POST", self._site.url, headers, body)
        SigV4Auth(self._keys(), SERVICE, self._site.region).add_auth(request)
        return dict(request.headers.items())

    def _connect(self) -> "_Stream":
        """A connection that the server has closed since the last call is made anew: that call was
        not lost.
        """
        stream = cast(_Stream | None, self._connection.sock)
        if stream is not None:
            if not _is_readable(stream):
                return stream
            self._connection.close()
        try:
            made = _Stream(self._made())
        except (OSError, UnicodeError) as error:  # also: no such host, no trust in its certificate
            unknown = isinstance(error, socket.gaierror)
            raise Unreachable(
                "its name cannot be looked up" if unknown else type(error).__name__
            ) from error
        self._connection.sock = cast(Any, made)
        return made

    def _made(self) -> socket.socket:
        """A connection to one of the addresses; all that it takes has one time-out together. Raises
        OSError.
        """
        means, host, ends = self._means, self._connection.host, now() + self._connect_timeout
        means.beat()
        found = means.look_up(host, self._connection.port, self._connect_timeout)
        means.beat()
        made = _reached(found, max(LEAST, ends - now()))
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._site.tls is not None:
                means.beat()
                made.settimeout(max(LEAST, ends - now()))  # of the whole handshake
                made = self._site.tls.wrap_socket(made, server_hostname=host)
        except BaseException:  # whatever it is, it goes on; only the socket must not be left open
            made.close()
            raise
        means.beat()
        return made


class TooLong(Exception):
    """No answer of SQS is so long."""


class _Stream:
    """What http.client takes for a socket: one deadline and one size for all that a call sends and
    receives.

    A socket's own time-out is one for each read, and a byte a second never runs into it.
    """

    def __init__(self, made: socket.socket) -> None:
        self._socket, self._ends, self.left = made, 0.0, 0

    def begin(self, ends: float, left: int) -> None:
        """A call: when it must be over, and how many bytes may come."""
        self._ends, self.left = ends, left

    def _hurry(self) -> None:
        if (seconds := self._ends - now()) <= 0:
            raise TimeoutError
        self._socket.settimeout(seconds)

    def sendall(self, data: bytes) -> None:
        """As a socket's; what TLS does has a time-out for each record."""
        rest = memoryview(data)
        while rest:
            self._hurry()
            rest = rest[self._socket.send(rest) :]

    def receive(self, source: io.RawIOBase, into: Any) -> int | None:
        """One read of an answer. Raises TimeoutError, TooLong, OSError."""
        self._hurry()
        count: int | None = source.readinto(into)
        self.left -= count or 0
        if self.left < 0:
            raise TooLong
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """For the answer. The socket is open as long as the answer is, as any socket's file has it."""
        return io.BufferedReader(_Answer(self, self._socket.makefile("rb", buffering=0)))

    def close(self) -> None:
        self._socket.close()

    def detach(self) -> None:
        self._socket.detach()

    def fileno(self) -> int:
        return self._socket.fileno()


class _Answer(io.RawIOBase):
    """The bytes of one answer, as they come."""

    def __init__(self, stream: _Stream, source: io.RawIOBase) -> None:
        self._stream, self._source = stream, source

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int | None:
        return self._stream.receive(self._source, into)

    def close(self) -> None:
        self._source.close()
        super().close()


def _reached(found: Addresses, seconds: float) -> socket.socket:
    """The first address that answers; each has its share of the time that is left. Raises OSError."""
    ends, failed = now() + seconds, OSError("no address")
    for index, (family, address) in enumerate(found):
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(max(LEAST, (ends - now()) / (len(found) - index)))
            made.connect(address)
            made.settimeout(seconds)
            return made
        except OSError as error:
            made.close()
            failed = error
        except BaseException:  # whatever it is, it goes on; only the socket must not be left open
            made.close()
            raise
    raise failed


def rehearse(site: Site) -> None:
    """Sign a request that nobody sends, with keys that are nobody's, and look up a number: what
    they load is loaded.
    """
    from botocore.credentials import ReadOnlyCredentials

    wire = Wire(site, lambda: ReadOnlyCredentials("none", "none", None), 1, 1)
    wire._signed("GetQueueUrl", b"{}")
    plainly("127.0.0.1", http.client.HTTP_PORT, 0)


def longest(arguments: Mapping[str, Any]) -> int:
    """The bytes that an answer may have at most, headers included."""
    return MARGIN + MESSAGE * int(arguments.get("MaxNumberOfMessages", 0))


def _text(answer: http.client.HTTPResponse, left: int) -> bytes:
    """The body. What the headers announce is not made room for before it is known to be possible."""
    if answer.length is not None and answer.length > left:
        raise TooLong
    text = (
        answer.read() if answer.length is not None else answer.read(left + 1)
    )  # in chunks, or until the end
    if len(text) > left:
        raise TooLong
    return text


def _members(answer: http.client.HTTPResponse, text: bytes) -> dict[str, Any]:
    """Raises Refused, or ValueError for what is no answer of SQS's."""
    if answer.status != http.HTTPStatus.OK:
        code, said = _refusal(answer, text)
        raise Refused(code, answer.status, said, answer.headers.get("date", ""))
    try:
        found = json.loads(text) if text else {}
    except RecursionError:
        raise ValueError("brackets too deep") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _is_readable(idle: _Stream) -> bool:
    """An idle connection has nothing to say but its end."""
    poll = select.poll()
    poll.register(idle.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _refusal(answer: http.client.HTTPResponse, text: bytes) -> tuple[str, str]:
    """The error's code, the query protocol's if the answer has it, as botocore does; and what is
    said about it.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = {}
    if not isinstance(found, dict):
        found = {}
    named = answer.headers.get("x-amzn-query-error", "").partition(";")[0]
    code = named or str(found.get("__type") or "").rpartition("#")[2]
    return code, str(found.get("message") or found.get("Message") or "")


def _plain(value: object) -> str:
    """JSON has no bytes: the protocol sends them as base64."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} cannot be sent")
