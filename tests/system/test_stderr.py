"""Writing never waits for a reader, be it of a pipe, a socket or a terminal."""

import os
import socket
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.system import stderr
from fleet.system.stderr import StderrWriter

LINE = b"x" * 149 + b"\n"
MOST = 10_000_000  # bytes, more than anything here takes unread

Ends = tuple[int, int]


def pipe() -> Ends:
    return os.pipe()


def stream() -> Ends:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def terminal() -> Ends:
    ours, theirs = os.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST  # what comes out is what went in
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    return ours, theirs


@pytest.fixture(params=["as it is", "an older kernel"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "an older kernel":
        monkeypatch.setattr(stderr, "NOWAIT", 0)


def filled(out: StderrWriter, text: bytes) -> int:
    """Write the text until it finds no room; returns how often it did."""
    for count in range(MOST // len(text)):
        if not out.write(text):
            return count
    raise AssertionError("it takes whatever it is given")


def read(fd: int, size: int) -> bytes:
    came = b""
    while len(came) < size:
        came += os.read(fd, size - len(came))
    return came


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("length", [150, 4096, 9000])
@pytest.mark.parametrize("make", [pipe, stream, terminal])
def test_what_is_full_takes_no_more_and_waits_for_nobody(
    make: Callable[[], Ends], length: int
) -> None:
    ours, theirs = make()
    out = StderrWriter(theirs)
    text = b"x" * (length - 1) + b"\n"
    assert filled(out, text) * length > 8_000
    assert not out.write(text)
    assert not out.has_room()
    for fd in (ours, theirs):
        os.close(fd)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("make", [pipe, stream])
def test_when_there_is_room_again_lines_are_whole(make: Callable[[], Ends]) -> None:
    """Also after one of which only the beginning had found room."""
    ours, theirs = make()
    out = StderrWriter(theirs)
    whole = filled(out, b"a" * 8999 + b"\n")
    came = os.read(ours, MOST)
    assert out.write(b"next\n")
    os.close(theirs)
    while more := os.read(ours, MOST):
        came += more
    os.close(ours)
    *lines, last = came.rstrip(b"\n").split(b"\n")
    assert last == b"next"
    assert [len(line) for line in lines[:whole]] == [8999] * whole
    assert len(lines) <= whole + 1


def test_a_terminal_that_was_stopped() -> None:
    ours, theirs = terminal()
    out = StderrWriter(theirs)
    assert out.write(LINE)
    os.write(ours, b"\x13")  # Ctrl-S
    assert not out.write(LINE)
    assert not out.has_room()
    os.write(ours, b"\x11")  # Ctrl-Q
    assert out.write(b"next\n")
    assert read(ours, 155) == LINE + b"next\n"
    for fd in (ours, theirs):
        os.close(fd)


@pytest.mark.parametrize("length", [150, 9000])
def test_a_terminal_that_is_not_ours_to_open(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """There a piece is small: one that is stopped takes none."""
    ours, theirs = terminal()
    out = StderrWriter(theirs)

    def refuse(*_arguments: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    text = b"x" * length
    assert out.write(text)
    assert read(ours, length) == text
    os.write(ours, b"\x13")
    assert not out.write(text)
    for fd in (ours, theirs):
        os.close(fd)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("make", [pipe, stream, terminal])
def test_a_reader_that_is_slow_gets_all_of_a_long_line(make: Callable[[], Ends]) -> None:
    ours, theirs = make()
    long = (
        bytes(ord("a") + index % 26 for index in range(200_000))
        if make is not terminal
        else b"a" * 10_000
    )
    came: list[bytes] = []
    reader = threading.Thread(target=lambda: came.append(read(ours, len(long))), daemon=True)
    reader.start()
    out = StderrWriter(theirs)
    assert out.write(long, patience=30_000)
    reader.join()
    assert came == [long]
    for fd in (ours, theirs):
        os.close(fd)


def test_a_file_is_always_written_whole(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab", buffering=0) as file:
        out = StderrWriter(file.fileno())
        for _ in range(3):
            assert out.write(b"x" * 100_000 + b"\n")
    assert (tmp_path / "log").stat().st_size == 300_003


def test_the_shared_open_file_is_as_it_was() -> None:
    """Others write to it, who would not understand an EAGAIN."""
    for make in (pipe, stream, terminal):
        ours, theirs = make()
        StderrWriter(theirs).write(LINE)
        assert os.get_blocking(theirs)
        for fd in (ours, theirs):
            os.close(fd)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("make", [pipe, stream, terminal])
def test_a_reader_that_has_gone_is_an_error(make: Callable[[], Ends]) -> None:
    ours, theirs = make()
    out = StderrWriter(theirs)
    os.close(ours)
    for _ in range(2):
        with pytest.raises(OSError):  # noqa: PT011 - EPIPE or EIO
            out.write(LINE)
    os.close(theirs)
