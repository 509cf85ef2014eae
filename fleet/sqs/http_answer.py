"""One HTTP/1.1 answer, taken from bytes as they come. Pure: `feed` is given what was read.

Source: RFC 9112. Strict where being lenient would mean to guess where an answer ends: an answer
whose length is told twice differently, or in a way that is not a number, a folded header, a
transfer coding other than `chunked` are not answers. Lenient where nothing hangs on it: reasons,
chunk extensions and trailers may be anything; a line may end without its carriage return.

    status line ──▶ headers ──▶ body of a told length ─────────────▶ Answer
         ▲             │  ├───▶ chunks ──▶ trailers ───────────────────┤
         └──── 1xx ────┘  └───▶ body until the server closes ──────────┘

docs/decisions/0015 has the reasons.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleet.sqs.transport import TooLong

_STATUS = re.compile(r"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\0]*)?\Z")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\0\r]*)\r?\Z")
_DIGITS = re.compile(r"[0-9]{1,100}\Z")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,100})[ \t]*(?:;.*)?\Z", re.DOTALL)
_WITHOUT_BODY = (204, 304)
MOST_HEAD = 1 << 16  # bytes of a head; and of a line between chunks
MOST_HEADS = 10  # with those of the answers before the answer
MOST_LINES = 100  # of a head, and of trailers
_SWITCHING_PROTOCOLS = 101


class NotHttp(Exception):
    """The bytes are no HTTP answer; the text says what is wrong with them."""


class CutShort(Exception):
    """The server has hung up before the answer's end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. Names of headers are in lower case; of several with one name the first one counts.

    `is_last`: the connection cannot be used for another call.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_last: bool


class AnswerParser:
    """For one answer of at most so many bytes, everything around the body included."""

    __slots__ = (
        "_after",
        "_body",
        "_buffer",
        "_headers",
        "_heads",
        "_is_last",
        "_left",
        "_length",
        "_state",
        "_status",
        "_trailers",
    )

    def __init__(self, most: int) -> None:
        """`most`: bytes."""
        self._left = most
        self._buffer = b""
        self._state: _State = AnswerParser._read_head
        self._after: _State = AnswerParser._end  # when the told length is there
        self._status, self._length, self._is_last = 0, 0, False
        self._heads = self._trailers = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def feed(self, data: bytes) -> Answer | None:
        """Take what was read, empty when the server has hung up. Returns the answer at its end.

        Raises NotHttp, TooLong, CutShort; the connection is of no use after any of them.
        """
        self._left -= len(data)
        if self._left < 0:
            raise TooLong
        self._buffer = self._buffer + data if self._buffer else data
        while self._state(self):
            pass
        if self._state is AnswerParser._end:
            # What follows the answer belongs to no call: it must not be taken for the next answer.
            return self._answer(self._is_last or bool(self._buffer))
        if not data:
            if self._state is AnswerParser._read_until_closed:
                return self._answer(is_last=True)
            raise CutShort
        return None

    def _answer(self, is_last: bool) -> Answer:
        return Answer(self._status, self._headers, b"".join(self._body), is_last)

    # The states: each takes what it can from the buffer, and says whether the next one can go on.

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\n\r\n")
        bare = self._buffer.find(b"\n\n")
        if end < 0 and bare < 0:
            if len(self._buffer) > MOST_HEAD:
                raise TooLong
            return False
        if end < 0 or 0 <= bare < end:
            head, self._buffer = self._buffer[:bare], self._buffer[bare + 2 :]
        else:
            head, self._buffer = self._buffer[:end], self._buffer[end + 3 :]
        first, *lines = head.decode("latin-1").split("\n")
        self._heads += 1
        if len(head) > MOST_HEAD or len(lines) > MOST_LINES or self._heads > MOST_HEADS:
            raise TooLong
        status = _STATUS.match(first.removesuffix("\r"))
        if status is None:
            raise NotHttp("no status line")
        self._status = int(status[2])
        headers: dict[str, str] = {}
        self._headers = headers
        for line in lines:
            name, value = _header(line)
            if name == "content-length" and headers.get(name, value) != value:
                raise NotHttp("two lengths")
            if name == "transfer-encoding" and name in headers:
                raise NotHttp("two transfer codings")
            if name == "connection" and name in headers:
                value = f"{headers.pop(name)},{value}"
            headers.setdefault(name, value)
        if self._status == _SWITCHING_PROTOCOLS:
            raise NotHttp("another protocol")
        if self._status < 200:  # the answer itself is still to come
            return True
        wishes = [each.strip() for each in headers.get("connection", "").lower().split(",")]
        is_old = status[1] == "0"
        self._is_last = "close" in wishes or (is_old and "keep-alive" not in wishes)
        self._state = self._body_state(is_old)
        return True

    def _body_state(self, is_old: bool) -> "_State":
        if self._status in _WITHOUT_BODY:
            return AnswerParser._end
        length, coding = self._headers.get("content-length"), self._headers.get("transfer-encoding")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None or is_old:
                raise NotHttp("a transfer coding that tells no end")
            return AnswerParser._read_chunk_size
        if length is None:
            return AnswerParser._read_until_closed
        if not _DIGITS.match(length):
            raise NotHttp("a length that is no number")
        self._length = int(length)
        if self._length - len(self._buffer) > self._left:
            raise TooLong
        return AnswerParser._read_body

    def _read_body(self) -> bool:
        """What is told the length of: a body, or a chunk of one."""
        part = self._buffer[: self._length]
        self._buffer = self._buffer[len(part) :]
        self._body.append(part)
        self._length -= len(part)
        if self._length:
            return False
        self._state = self._after
        return True

    def _read_until_closed(self) -> bool:
        self._body.append(self._buffer)
        self._buffer = b""
        return False

    def _read_chunk_size(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        size = _CHUNK.match(line)
        if size is None:
            raise NotHttp("a chunk without a size")
        self._length = int(size[1], 16)
        if self._length - len(self._buffer) > self._left:
            raise TooLong
        self._after = AnswerParser._read_chunk_end
        self._state = AnswerParser._read_body if self._length else AnswerParser._read_trailers
        return True

    def _read_chunk_end(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        if line:
            raise NotHttp("a chunk that is longer than its size")
        self._state = AnswerParser._read_chunk_size
        return True

    def _read_trailers(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        self._trailers += 1
        if self._trailers > MOST_LINES:
            raise TooLong
        if not line:
            self._state = AnswerParser._end
        return True

    def _end(self) -> bool:
        return False

    def _take_line(self) -> bytes | None:
        line, end, rest = self._buffer.partition(b"\n")
        if len(line) > MOST_HEAD:
            raise TooLong
        if not end:
            return None
        self._buffer = rest
        return line.removesuffix(b"\r")


# A state is a plain function, not a bound method: that would be a cycle for each answer.
_State = Callable[[AnswerParser], bool]


def _header(line: str) -> tuple[str, str]:
    """Name and value of a line. Raises NotHttp."""
    header = _HEADER.match(line)
    if header is None:
        raise NotHttp("a line that is no header")
    name, value = header.groups()
    return name.lower(), value.strip(" \t")
