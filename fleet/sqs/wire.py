"""SQS's JSON protocol over one keep-alive connection, without botocore and without http.client.

What a dispatcher touches between two forks it pays for twice, and both touch far more than the call
needs: with botocore's client a no-op job cost half as much again.

What comes back is not trusted: a call has one deadline, however the answer is spread over it
(stream.py), and an answer has a size that it may have at most, headers included (http_answer.py).
After an answer that is broken, or not SQS's, the connection is closed, because nobody knows what
else will come over it.

docs/decisions/0015 has the reasons.
"""

import base64
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.core.queue_place import Keys
from fleet.sqs import dns, server_clock
from fleet.sqs.http_answer import Answer, AnswerParser
from fleet.sqs.sigv4 import SignedHead, Signer
from fleet.sqs.stream import LEAST, BoundedStream, ConnectOptions, connect
from fleet.sqs.transport import (
    Endpoint,
    NoAnswer,
    Refused,
    Unreachable,
    longest_answer,
    longest_time,
)
from fleet.version import VERSION

TARGET = "AmazonSQS."  # and the operation: the header that says what is asked
SERVICE = "sqs"
HTTP_PORT, HTTPS_PORT = 80, 443
OK = 200


@dataclass(frozen=True, slots=True)
class _Head:
    """What all requests of a kind begin with: as it is sent, and as it is signed."""

    lines: str
    signed: SignedHead


class Wire:
    """One connection, made at the first call. Time-outs in seconds; every call is tried once."""

    def __init__(
        self,
        endpoint: Endpoint,
        read_keys: Callable[[], Keys],
        read_timeout: float,
        connect_timeout: float,
        options: ConnectOptions | None = None,
    ) -> None:
        """`read_keys` returns the keys as they are now, or raises QueueError."""
        self._endpoint, self._read_keys = endpoint, read_keys
        self._options = options or ConnectOptions()
        self._read_timeout, self._connect_timeout = read_timeout, connect_timeout
        self._host, self._path = _split_url(endpoint.url)
        self._signed_path = _canonical_path(self._path)
        self._name, port = _split_host(self._host)
        self._port = port or (HTTPS_PORT if endpoint.tls else HTTP_PORT)
        self._signer = Signer(endpoint.region, SERVICE)
        self._keys: Keys | None = None
        self._heads: dict[str, _Head] = {}  # by operation, with the token of these keys
        self._stream: BoundedStream | None = None

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def forget(self) -> None:
        """In a forked child: leave the connection alone.

        It is not closed: a job's process has no descriptor of ours, and the number may be its own.
        """
        if self._stream is not None:
            self._stream.detach()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a forked child must not keep."""
        return () if self._stream is None else (self._stream.fileno(),)

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """The answer's members.

        Raises Unreachable, NoAnswer, Refused, and what `read_keys` and the JSON reader raise.
        """
        clock = self._options.clock
        body = _to_json(arguments).encode()
        before = clock()
        request = self.write_request(operation, body)
        if clock() - before >= LEAST:  # the keys have taken their time
            self._options.heartbeat()
        stream = self._connect()
        stream.begin(clock() + longest_time(arguments, self._read_timeout))
        try:
            stream.send(request)
            answer = receive(stream, longest_answer(arguments))
        except BaseException as error:  # whatever it is: the rest of the answer may still come
            self.close()
            if not isinstance(error, Exception):
                raise
            raise NoAnswer(type(error).__name__) from error
        if answer.is_last:
            self.close()
        try:
            return _parse(answer)
        except BaseException as error:
            if isinstance(error, Refused) and error.code:
                server_clock.learn(error.code, error.date)
            else:  # not SQS's: a gateway's between us, or nobody's
                self.close()
            raise

    def write_request(self, operation: str, body: bytes) -> bytes:
        """A request, signed with the keys as they are now.

        Raises Unreachable for keys that no header can hold, and what `read_keys` raises.
        """
        keys = self._read_keys()
        if keys is not self._keys:
            self._use(keys)
        head = self._heads.get(operation)
        if head is None:
            head = self._heads[operation] = self._make_head(operation, keys.token)
        at = server_clock.timestamp()
        text = (
            f"{head.lines}X-Amz-Date: {at}\r\n"
            f"Authorization: {self._signer.sign(keys, at, head.signed, body)}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return text.encode() + body

    def _use(self, keys: Keys) -> None:
        region = self._endpoint.region
        said = f"{self._host}{self._path}{region}{keys.access_key}{keys.token}"
        if not (said.isascii() and said.isprintable()) or " " in self._path:
            raise Unreachable(
                "its URL, region, access key or token has a character that no HTTP header can have"
            )
        self._keys, self._heads = keys, {}

    def _make_head(self, operation: str, token: str) -> "_Head":
        signed = {
            "Content-Type": "application/x-amz-json-1.0",
            "Host": self._host,
            **({"X-Amz-Security-Token": token} if token else {}),
            "X-Amz-Target": TARGET + operation,
        }
        lines = {**signed, "Accept-Encoding": "identity", "User-Agent": f"fleet/{VERSION}"}
        return _Head(
            f"POST {self._path} HTTP/1.1\r\n"
            + "".join([f"{name}: {value}\r\n" for name, value in lines.items()]),
            SignedHead(self._signed_path, {name.lower(): value for name, value in signed.items()}),
        )

    def _connect(self) -> BoundedStream:
        """The connection that stands, or a new one. Raises Unreachable.

        A connection that the server has closed since the last call is made anew: that call was not
        lost.
        """
        if self._stream is not None:
            if not self._stream.is_readable():
                return self._stream
            self.close()
        tls, timeout = self._endpoint.tls, self._connect_timeout
        try:
            self._stream = connect(self._name, self._port, tls, timeout, self._options)
        except (OSError, UnicodeError) as error:
            is_unknown = isinstance(error, socket.gaierror)
            why = "its name cannot be looked up" if is_unknown else type(error).__name__
            raise Unreachable(why) from error
        return self._stream


def rehearse() -> None:
    """Before a fork: load what a first call loads.

    A request is signed that nobody sends, with keys that are nobody's, and a number is looked up.
    """
    endpoint = Endpoint("http://127.0.0.1/", "none", None)
    wire = Wire(endpoint, lambda: Keys("none", "none"), 1, 1)
    wire.write_request("GetQueueUrl", b"{}")
    dns.resolve("127.0.0.1", HTTP_PORT, 0)


def _split_url(url: str) -> tuple[str, str]:
    """Host, with its port if it has one, and path; urllib's way loads more than a dispatcher has.

    The URL is one that botocore has read, without query and fragment.
    """
    host, _, path = url.partition("://")[2].partition("/")
    return host, f"/{path}"


def _split_host(host: str) -> tuple[str, int | None]:
    """Name or address, and port. Raises ValueError for a port that is no number."""
    name, _, port = host.partition(":")
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
    port = port.removeprefix(":")
    return name, int(port) if port else None


def _canonical_path(path: str) -> str:
    """A path as it is signed: without dot segments and double slashes, quoted, as botocore does it.

    SQS's own is `/`; another one is that of a server of somebody's own.
    """
    if path == "/":
        return path
    from urllib.parse import quote

    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    ends = "/" if kept and path.endswith("/") else ""
    return quote(f"/{'/'.join(kept)}{ends}", safe="/~")


def receive(stream: BoundedStream, most: int) -> Answer:
    """One answer of at most so many bytes.

    Raises TooLong, NotHttp, CutShort, TimeoutError, OSError.
    """
    parser = AnswerParser(most)
    while (answer := parser.feed(stream.receive())) is None:
        pass
    return answer


def _parse(answer: Answer) -> dict[str, Any]:
    """The members of an answer. Raises Refused, or ValueError for what is no answer of SQS's."""
    if answer.status != OK:
        code, said = _parse_refusal(answer)
        raise Refused(code, answer.status, said, answer.headers.get("date", ""))
    try:
        members = _read_json(answer.body) if answer.body else {}
    except RecursionError:
        raise ValueError("brackets too deep") from None
    if not isinstance(members, dict):
        raise ValueError("not an object")
    return members


def _parse_refusal(answer: Answer) -> tuple[str, str]:
    """The error's code, and what is said about it.

    The code is the query protocol's if the answer has it, as botocore does it.
    """
    try:
        members = _read_json(answer.body)
    except (ValueError, RecursionError):
        members = {}
    if not isinstance(members, dict):
        members = {}
    named, *blamed = answer.headers.get("x-amzn-query-error", "").split(";")
    if not named or len(blamed) != 1:  # as in AWS.SimpleQueueService.NonExistentQueue;Sender
        named = str(members.get("__type") or "").partition(":")[0].rpartition("#")[2]
    return named, str(members.get("message") or members.get("Message") or "")


def _read_json(text: bytes) -> Any:
    """Raises ValueError, RecursionError. Half a character in a body spoils no other message."""
    return json.loads(text.decode(errors="surrogatepass"))


def _encode(value: object) -> str:
    """JSON has no bytes: the protocol sends them as base64."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} cannot be sent")


_to_json = json.JSONEncoder(default=_encode).encode  # `json.dumps` makes an encoder for each call
