"""SQS's JSON protocol over one keep-alive connection, signed by botocore, without its client.

What a dispatcher touches between two forks it pays for twice, and botocore's client touches far
more than the call needs: with it a no-op job cost half as much again.

What comes back is not trusted: a call has one deadline, however the answer is spread over it, and
an answer has a size that it may have at most, headers included (stream.py). After an answer that is
broken, or not SQS's, the connection is closed, because nobody knows what else will come over it.
"""

import base64
import http.client
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from fleet.sqs import dns
from fleet.sqs.stream import LEAST, BoundedStream, ConnectOptions, connect
from fleet.sqs.transport import (
    Endpoint,
    NoAnswer,
    Refused,
    TooLong,
    Unreachable,
    longest_answer,
)
from fleet.version import VERSION

TARGET = "AmazonSQS."  # and the operation: the header that says what is asked
SERVICE = "sqs"


class Wire:
    """One connection, made at the first call. Time-outs in seconds; every call is tried once."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Callable[[], Any],
        read_timeout: float,
        connect_timeout: float,
        options: ConnectOptions | None = None,
    ) -> None:
        """`credentials` returns botocore's as they are now, or raises QueueError."""
        parts = urlsplit(endpoint.url)
        default_port = http.client.HTTPS_PORT if endpoint.tls else http.client.HTTP_PORT
        self._endpoint, self._credentials = endpoint, credentials
        self._options = options or ConnectOptions()
        self._read_timeout, self._connect_timeout = read_timeout, connect_timeout
        self._host, self._path = parts.netloc, parts.path or "/"
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or default_port
        )

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        self._connection.close()

    def forget(self) -> None:
        """In a forked child: leave the connection alone.

        It is not closed: a job's process has no descriptor of ours, and the number may be its own.
        """
        if self._connection.sock is not None:
            self._connection.sock.detach()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a forked child must not keep."""
        return () if self._connection.sock is None else (self._connection.sock.fileno(),)

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """The answer's members.

        Raises Unreachable, NoAnswer, Refused, and what `credentials` and the JSON reader raise.
        """
        clock = self._options.clock
        body = json.dumps(arguments, default=_encode).encode()
        before = clock()
        headers = self.sign(operation, body)
        if clock() - before >= LEAST:  # credentials have taken their time
            self._options.heartbeat()
        stream = self._connect()
        stream.begin(clock() + self._read_timeout, longest_answer(arguments))
        response: http.client.HTTPResponse | None = None
        try:
            self._connection.request("POST", self._path, body, headers)
            response = self._connection.getresponse()
            text = read_body(response, stream.left)
        except BaseException as error:  # whatever it is: the rest of the answer may still come
            if response is not None:  # it may have the socket to itself
                response.close()
            self.close()
            if not isinstance(error, Exception):
                raise
            raise NoAnswer(type(error).__name__) from error
        try:
            return _parse(response, text)
        except BaseException as error:
            is_from_sqs = isinstance(error, Refused) and error.code  # not a gateway's between us
            if not is_from_sqs:
                self.close()
            raise

    def sign(self, operation: str, body: bytes) -> dict[str, str]:
        """The headers of a request, signed with the credentials as they are now."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        headers = {
            "Host": self._host,
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": TARGET + operation,
            "User-Agent": f"fleet/{VERSION}",
        }
        request = AWSRequest("POST", self._endpoint.url, headers, body)
        SigV4Auth(self._credentials(), SERVICE, self._endpoint.region).add_auth(request)
        return dict(request.headers.items())

    def _connect(self) -> BoundedStream:
        """The connection that stands, or a new one. Raises Unreachable.

        A connection that the server has closed since the last call is made anew: that call was not
        lost.
        """
        connection = self._connection
        stream = cast(BoundedStream | None, connection.sock)
        if stream is not None:
            if not stream.is_readable():
                return stream
            connection.close()
        timeout, options = self._connect_timeout, self._options
        try:
            made = connect(connection.host, connection.port, self._endpoint.tls, timeout, options)
        except (OSError, UnicodeError) as error:
            is_unknown = isinstance(error, socket.gaierror)
            why = "its name cannot be looked up" if is_unknown else type(error).__name__
            raise Unreachable(why) from error
        connection.sock = cast(Any, made)
        return made


def rehearse(endpoint: Endpoint) -> None:
    """Load what a first call loads.

    A request is signed that nobody sends, with keys that are nobody's, and a number is looked up.
    """
    from botocore.credentials import ReadOnlyCredentials

    wire = Wire(endpoint, lambda: ReadOnlyCredentials("none", "none", None), 1, 1)
    wire.sign("GetQueueUrl", b"{}")
    dns.resolve("127.0.0.1", http.client.HTTP_PORT, 0)


def read_body(response: http.client.HTTPResponse, most: int) -> bytes:
    """The body of an answer, of at most so many bytes. Raises TooLong.

    What the headers announce is not made room for before it is known to be possible. Without a
    length the body comes in chunks, or until the end.
    """
    if response.length is None:
        text = response.read(most + 1)
    elif response.length > most:
        raise TooLong
    else:
        text = response.read()
    if len(text) > most:
        raise TooLong
    return text


def _parse(response: http.client.HTTPResponse, text: bytes) -> dict[str, Any]:
    """The members of an answer. Raises Refused, or ValueError for what is no answer of SQS's."""
    if response.status != http.HTTPStatus.OK:
        code, said = _parse_refusal(response, text)
        raise Refused(code, response.status, said, response.headers.get("date", ""))
    try:
        members = json.loads(text) if text else {}
    except RecursionError:
        raise ValueError("brackets too deep") from None
    if not isinstance(members, dict):
        raise ValueError("not an object")
    return members


def _parse_refusal(response: http.client.HTTPResponse, text: bytes) -> tuple[str, str]:
    """The error's code, and what is said about it.

    The code is the query protocol's if the answer has it, as botocore does it.
    """
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = {}
    if not isinstance(members, dict):
        members = {}
    named = response.headers.get("x-amzn-query-error", "").partition(";")[0]
    code = named or str(members.get("__type") or "").rpartition("#")[2]
    return code, str(members.get("message") or members.get("Message") or "")


def _encode(value: object) -> str:
    """JSON has no bytes: the protocol sends them as base64."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} cannot be sent")
