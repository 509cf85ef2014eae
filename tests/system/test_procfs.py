"""What /proc tells about processes."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from fleet.system import procfs
from fleet.system.procfs import POOL_MARK
from tests.support.eventually import eventually

GONE = 1 << 30  # no process has such a pid


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A child that lives until the test ends."""
    environment = {**os.environ, POOL_MARK: "4711"}
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, env=environment) as process:
        yield process
        process.kill()


def test_a_child_is_among_the_children_and_the_descendants(
    child: "subprocess.Popen[bytes]",
) -> None:
    assert child.pid in procfs.children()
    assert child.pid in procfs.descendants(os.getpid())


def test_a_process_is_stopped_runs_or_is_dead(child: "subprocess.Popen[bytes]") -> None:
    assert not procfs.is_stopped(child.pid)
    child.send_signal(signal.SIGSTOP)
    eventually(lambda: procfs.is_stopped(child.pid), what="it is stopped")
    assert not procfs.is_dead(child.pid)
    child.kill()
    eventually(lambda: procfs.is_dead(child.pid), what="it is a zombie")
    assert not procfs.is_stopped(child.pid)


def test_the_mark_is_in_the_environment(child: "subprocess.Popen[bytes]") -> None:
    eventually(lambda: procfs.has_mark(child.pid, "4711"), what="it has executed its program")
    assert not procfs.has_mark(child.pid, "47")


def test_this_process_is_in_memory() -> None:
    assert procfs.resident_mib(os.getpid()) > 1


def test_a_process_that_is_gone_tells_nothing() -> None:
    assert procfs.resident_mib(GONE) == 0.0
    assert procfs.descendants(GONE) == []
    assert procfs.is_dead(GONE)
    assert not procfs.is_stopped(GONE)
    assert not procfs.has_mark(GONE, "4711")


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 2000])
@pytest.mark.parametrize("first", [100_000, 1_000_000])
def test_a_list_of_any_length_is_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch, size: int, first: int
) -> None:
    """The kernel gives as many whole pids as find room."""
    pids = list(range(first, first + size))
    reads: list[int] = []

    def pread(_fd: int, most: int, offset: int) -> bytes:
        reads.append(offset)
        fits, piece = b"", b""
        for pid in pids[offset // len(f"{first} ") :]:
            fits += f"{pid} ".encode()
            if len(fits) > most:
                break
            piece = fits
        return piece

    monkeypatch.setattr(procfs, "_children_fd", 99)
    monkeypatch.setattr(os, "pread", pread)
    assert procfs.children() == pids
    assert len(reads) <= 1 + size // 512 + 1


def test_a_short_list_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []

    def pread(_fd: int, _most: int, offset: int) -> bytes:
        reads.append(offset)
        return b"12 13 "[offset:]

    monkeypatch.setattr(procfs, "_children_fd", 99)
    monkeypatch.setattr(os, "pread", pread)
    assert procfs.children() == [12, 13]
    assert reads == [0]
