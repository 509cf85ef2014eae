"""HTTP answers, however they are cut into pieces, are read as http.client reads them."""

import http.client
import io
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.sqs.http_answer import (
    MOST_HEAD,
    MOST_HEADS,
    MOST_LINES,
    Answer,
    AnswerParser,
    CutShort,
    NotHttp,
)
from fleet.sqs.transport import TooLong

MOST = 1 << 16
OK = b"HTTP/1.1 200 OK\r\n"


def parse(*pieces: bytes, most: int = MOST) -> Answer:
    """All pieces, then the end of the stream if that is needed."""
    parser = AnswerParser(most)
    for piece in (*(each for each in pieces if each), b""):
        if (answer := parser.feed(piece)) is not None:
            return answer
    raise AssertionError("neither an answer nor an error")


def test_an_answer_of_a_told_length() -> None:
    answer = parse(OK + b"Content-Length: 2\r\nX-Amzn-RequestId:  a b \r\n\r\n{}")
    assert answer == Answer(200, {"content-length": "2", "x-amzn-requestid": "a b"}, b"{}", False)


def test_it_is_there_before_anything_else_comes() -> None:
    parser = AnswerParser(MOST)
    assert parser.feed(OK + b"Content-Length: 2\r\n\r\n{") is None
    answer = parser.feed(b"}")
    assert answer is not None
    assert answer.body == b"{}"


@pytest.mark.parametrize(
    ("text", "body", "is_last"),
    [
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"{}", False),
        (OK + b"transfer-encoding: Chunked\r\n\r\n2;a=b\r\n{}\r\n00\r\nx: y\r\n\r\n", b"{}", False),
        (OK + b"\r\n{}", b"{}", True),
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", b"{}", True),
        (OK + b"Connection: TE, Close\r\nContent-Length: 2\r\n\r\n{}", b"{}", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}", True),
        (
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
            b"{}",
            False,
        ),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", b"{}", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\n{}", b"{}", False),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\n{}",
            b"{}",
            False,
        ),
        (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", b"{}", False),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", b"{}", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", False),
        (OK + b"Content-Length: 0\r\n\r\n", b"", False),
        (OK + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n", b"{}", True),
    ],
)
def test_what_servers_send(text: bytes, body: bytes, is_last: bool) -> None:
    answer = parse(text)
    assert (answer.body, answer.is_last) == (body, is_last)
    pieces = [text[i : i + 1] for i in range(len(text))]
    assert parse(*pieces).body == body


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        OK + b"Content-Length: +2\r\n\r\n{}",
        OK + b"Content-Length: 2, 2\r\n\r\n{}",
        OK + b"Content-Length: \xb2\r\n\r\n{}",
        OK + b"Content-Length: -1\r\n\r\n{}",
        OK + b"Content-Length:\r\n\r\n{}",
        OK + b"Content-Length : 2\r\n\r\n{}",
        OK + b"Content-Length: 2\r\n folded: 1\r\n\r\n{}",
        OK + b"no colon\r\n\r\n",
        OK + b": no name\r\n\r\n",
        OK + b"a: b\0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\n\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_answer(text: bytes) -> None:
    with pytest.raises(NotHttp):
        parse(text)
    with pytest.raises(NotHttp):
        parse(*[text[i : i + 1] for i in range(len(text))])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/1.1 200",
        OK,
        OK + b"Content-Length: 2\r\n",
        OK + b"Content-Length: 2\r\n\r\n{",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_what_is_cut_short(text: bytes) -> None:
    with pytest.raises(CutShort):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        OK + b"Content-Length: 1000\r\n\r\n",
        OK + b"Content-Length: 999999999999999999\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
        OK + b"a: b\r\n" * 100,
        OK + b"\r\n" + b"x" * 1000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 40,
    ],
)
def test_what_is_too_long_is_not_waited_for(text: bytes) -> None:
    with pytest.raises(TooLong):
        AnswerParser(500).feed(text)


@pytest.mark.parametrize(
    "text",
    [
        OK + b"a: " + b"b" * MOST_HEAD,
        OK + b"a: " + b"b" * MOST_HEAD + b"\r\n\r\n",
        OK + b"a: b\r\n" * (MOST_LINES + 1) + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MOST_HEADS + 1),
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * MOST_HEAD,
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * (MOST_LINES + 1),
    ],
)
def test_what_is_around_a_body_has_bounds_of_its_own(text: bytes) -> None:
    """However long the body may be: a head that never ends is not searched again and again."""
    with pytest.raises(TooLong):
        AnswerParser(1 << 30).feed(text)


def test_of_two_headers_of_one_name_the_first_counts_and_every_wish_for_the_connection() -> None:
    twice = b"a: 1\r\na: 2\r\nConnection: close\r\nConnection: keep-alive\r\n"
    answer = parse(OK + twice + b"Content-Length: 0\r\n\r\n")
    assert answer.headers["a"] == "1"
    assert answer.is_last


class Source:
    """What http.client takes for a socket."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._text)


def read_by_http_client(text: bytes) -> tuple[int, bytes, bool] | None:
    answer = http.client.HTTPResponse(cast(Any, Source(text)), method="POST")
    try:
        answer.begin()
        return answer.status, answer.read(), answer.will_close
    except (http.client.HTTPException, ValueError, OSError):
        return None


BODIES = st.binary(max_size=60)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True).filter(
    lambda name: name.lower() not in ("content-length", "transfer-encoding", "connection")
)
VALUES = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    body = draw(BODIES)
    lines = [f"{name}: {value}" for name, value in draw(st.lists(st.tuples(NAMES, VALUES)))]
    if draw(st.booleans()):
        lines.append(draw(st.sampled_from(["Connection: close", "connection: keep-alive"])))
    if draw(st.booleans()):
        lines.append("Transfer-Encoding: chunked")
        sizes = draw(st.lists(st.integers(1, 20), max_size=5))
        parts = []
        for size in [*sizes, len(body) or 1]:
            if body:
                part, body = body[:size], body[size:]
                parts.append(b"%x\r\n%s\r\n" % (len(part), part))
        body = b"".join([*parts, b"0\r\n\r\n"])
    else:
        lines.append(f"Content-Length: {len(body)}")
    status = draw(st.sampled_from([200, 400, 403, 500, 503]))
    head = "\r\n".join([f"HTTP/1.1 {status} {draw(VALUES)}", *lines])
    return head.encode() + b"\r\n\r\n" + body


@given(text=answers(), data=st.data())
def test_good_answers_are_read_as_http_client_reads_them_wherever_they_are_cut(
    text: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    answer = parse(*pieces)
    assert (answer.status, answer.body, answer.is_last) == read_by_http_client(text)


@given(text=answers(), data=st.data())
def test_a_damaged_answer_is_the_same_answer_wherever_it_is_cut(
    text: bytes, data: st.DataObject
) -> None:
    """Nothing else is ever raised than the three errors, and pieces change nothing."""
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.binary(max_size=3)) + text[at + 1 :]

    def outcome(*pieces: bytes) -> object:
        try:
            answer = parse(*pieces)
        except (NotHttp, CutShort, TooLong) as error:
            return type(error)
        return answer.status, answer.headers, answer.body

    cut = data.draw(st.integers(0, len(damaged)))
    assert outcome(damaged) == outcome(damaged[:cut], damaged[cut:])
