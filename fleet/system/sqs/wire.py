"""SQS's JSON protocol over one keep-alive connection, signed by botocore, without botocore's client around it.

What a dispatcher touches between two forks it pays for twice, and botocore's client touches far more than the call
needs: with it a no-op job cost half as much again. Errors come as the three exceptions below; errors.py knows them.
"""

import base64
import http.client
import json
import select
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fleet.version import VERSION

TARGET = "AmazonSQS."  # and the operation: the header that says what is asked
SERVICE = "sqs"


class Unreachable(Exception):
    """There is no connection to be had; nothing was sent."""


class NoAnswer(Exception):
    """The request went out, and no whole answer came."""


class Refused(Exception):
    """SQS answered with an error: its code, empty if it names none, and the HTTP status."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code, status)
        self.code, self.status = code, status


@dataclass(frozen=True, slots=True)
class Site:
    """Where requests go and how they are signed; `tls` is None for plain HTTP."""

    url: str
    region: str
    tls: ssl.SSLContext | None


class Wire:
    """One connection, made at the first call. Time-outs in seconds; every call is tried once."""

    def __init__(self, site: Site, keys: Callable[[], Any], read_timeout: float, connect_timeout: float) -> None:
        """`keys` returns botocore's credentials as they are now, or raises what botocore raises."""
        parts = urlsplit(site.url)
        self._site, self._keys, self._read_timeout = site, keys, read_timeout
        self._host, self._path = parts.netloc, parts.path or "/"
        self._connection = (
            http.client.HTTPConnection(parts.netloc, timeout=connect_timeout)
            if site.tls is None
            else http.client.HTTPSConnection(parts.netloc, timeout=connect_timeout, context=site.tls)
        )

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        self._connection.close()

    def forget(self) -> None:
        """In a forked child. Not closed: a job's process has no descriptor of ours, and the number may be its own."""
        if self._connection.sock is not None:
            self._connection.sock.detach()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a forked child must not keep."""
        return () if self._connection.sock is None else (self._connection.sock.fileno(),)

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """The answer's members. Raises Unreachable, NoAnswer, Refused, and what `keys` and the JSON reader raise."""
        body = json.dumps(arguments, default=_plain).encode()
        headers = self._signed(operation, body)
        self._connect()
        try:
            self._connection.request("POST", self._path, body, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NoAnswer(type(error).__name__) from error
        if answer.status != http.HTTPStatus.OK:
            raise Refused(_code(answer, text), answer.status)
        return _with_bytes(json.loads(text) if text else {})

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

    def _connect(self) -> None:
        """A connection that the server has closed since the last call is made anew: that call was not lost."""
        connection = self._connection
        made: socket.socket | None = connection.sock
        if made is not None:
            if not _is_readable(made):
                return
            connection.close()
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:  # also: no such host, no trust in its certificate
            connection.close()
            raise Unreachable(type(error).__name__) from error
        made = connection.sock
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.settimeout(self._read_timeout)


def rehearse(site: Site) -> None:
    """Sign a request that nobody sends, with keys that are nobody's: what a first signature loads is loaded."""
    from botocore.credentials import ReadOnlyCredentials

    wire = Wire(site, lambda: ReadOnlyCredentials("none", "none", None), 1, 1)
    wire._signed("GetQueueUrl", b"{}")


def _is_readable(idle: socket.socket) -> bool:
    """An idle connection has nothing to say but its end."""
    poll = select.poll()
    poll.register(idle.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _code(answer: http.client.HTTPResponse, text: bytes) -> str:
    """The query protocol's name of the error if the answer has it, as botocore does, else the JSON protocol's."""
    if named := answer.headers.get("x-amzn-query-error", ""):
        return named.partition(";")[0]
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    return str(found.get("__type", "")).rpartition("#")[2] if isinstance(found, dict) else ""


def _plain(value: object) -> str:
    """JSON has no bytes: the protocol sends them as base64."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _with_bytes(answer: Any) -> Any:
    """The answer, with the binary attributes of its messages as bytes."""
    for message in answer.get("Messages") or ():
        for value in (message.get("MessageAttributes") or {}).values():
            if "BinaryValue" in value:
                value["BinaryValue"] = base64.b64decode(value["BinaryValue"])
    return answer
