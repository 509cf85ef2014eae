"""botocore's own client, for those who reach SQS through a proxy, within the bounds of wire.py.

A call's deadline and size count for the body of its answer. What is around the body is read by
http.client before anybody else sees it: there each read has the time-out, a line 64 KiB and the
headers 100 lines at the most.

docs/decisions/0015 has the reasons.
"""

import json
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fleet.sqs.transport import NoAnswer, TooLong, longest_answer
from fleet.system.clock import now

PIECE = 1 << 16  # bytes
OK = 200


class BotocoreTransport:
    """A transport by botocore's client; `read_timeout` (seconds) is one for a whole call."""

    def __init__(self, client: Any, credentials: Callable[[], Any], read_timeout: float) -> None:
        """`credentials` returns botocore's as they are now, or raises QueueError."""
        self._client, self._credentials = client, credentials
        self._read_timeout, self._left = read_timeout, 0
        client.meta.events.register("before-send.sqs", self._send)

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """The answer's members; raises what errors.py can classify."""
        from botocore import xform_name

        # The client would ask for them itself; what fails there must not look like SQS's own
        # answer.
        self._credentials()
        self._left = longest_answer(arguments)
        return getattr(self._client, xform_name(operation))(**arguments)

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        self._client.close()

    def forget(self) -> None:
        """Nothing: the connection ends with the client."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Not known."""
        return ()

    def _send(self, request: Any, **_: Any) -> Any:
        """Send in place of botocore, which reads an answer however long it is, and takes."""
        from botocore.awsrequest import AWSResponse

        ends = now() + self._read_timeout
        request.stream_output = True  # not to be read before we do
        known = set(weakref.finalize._registry)  # type: ignore[attr-defined]
        answer = self._client._endpoint.http_session.send(request)
        # urllib3 has a connection closed at the program's end, which a forked job's is not.
        for new in set(weakref.finalize._registry) - known:  # type: ignore[attr-defined]
            new.atexit = False
        body = _Body(answer.raw, ends, self._left)
        bounded = AWSResponse(answer.url, answer.status_code, answer.headers, body)
        # Read here, where what goes wrong is still botocore's to raise.
        if not _is_object(bounded.content):
            if bounded.status_code == OK:  # botocore would take it for an answer without members
                raise ValueError("not an object")
            bounded._content = b"{}"  # it is not SQS's: the status is all that it says
        return bounded


def _is_object(content: bytes) -> bool:
    """Whether the body of an answer is one of SQS's: a JSON object, or nothing."""
    try:
        return not content or isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False


class _Body:
    """What AWSResponse reads: the body, in pieces as they come."""

    def __init__(self, raw: Any, ends: float, left: int) -> None:
        self._raw, self._ends, self._left = raw, ends, left

    def stream(self) -> Iterator[bytes]:
        """The pieces. Raises NoAnswer; the connection is closed then."""
        try:
            yield from self._pieces()
        except BaseException as error:
            self._raw.close()
            if not isinstance(error, Exception):
                raise
            raise NoAnswer(type(error).__name__) from error

    def _pieces(self) -> Iterator[bytes]:
        # urllib3 1 has no read1 of its own, and its read waits for as much as was asked for.
        read = getattr(self._raw, "read1", None) or self._raw._fp.read1
        if int(self._raw.headers.get("Content-Length") or 0) > self._left:
            raise TooLong
        while True:
            seconds = self._ends - now()
            if seconds <= 0:
                raise TimeoutError
            sock = getattr(self._raw.connection, "sock", None)
            if sock is not None:
                sock.settimeout(seconds)
            piece = read(PIECE)
            if not piece:
                return
            self._left -= len(piece)
            if self._left < 0:
                raise TooLong
            yield piece
