"""Closing what a job must not have, also where close_range(2) is not to be had."""

import os
from collections.abc import Iterator

import pytest

from fleet.system import descriptors


@pytest.fixture
def opened() -> Iterator[list[int]]:
    """Descriptors in the order of their numbers, one of them far away from the others."""
    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
    fds.append(os.dup2(fds[0], 900))
    yield fds
    for fd in fds:
        os.close(fd)


def left(opened: list[int], keep: list[int]) -> list[int]:
    """Which of them a child has open after it has closed all but `keep`."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            descriptors.close_all_but(sorted([*keep, 0, 1, 2, write]))
            still = [fd for fd in [*opened, read] if _is_open(fd)]
            os.write(write, " ".join(map(str, still)).encode() or b" ")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        found = [int(fd) for fd in told.read().split()]
    os.waitpid(pid, 0)
    return found


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("kept", [(), (0,), (1, 3), (0, 1, 2, 3, 4), (4,)])
def test_all_but_those_are_closed(
    monkeypatch: pytest.MonkeyPatch, opened: list[int], works: bool, kept: tuple[int, ...]
) -> None:
    if not works:
        monkeypatch.setattr(descriptors, "_close_range", lambda _first, _last: False)
        monkeypatch.setattr(os, "closerange", None)  # a million calls, without close_range(2)
    keep = [opened[index] for index in kept]
    assert left(opened, keep) == keep
