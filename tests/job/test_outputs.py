"""What user code has written into its files is written out at its end."""

import os
from pathlib import Path
from typing import Any

import pytest

from fleet.job import outputs
from tests.support.forks import in_a_fork


def open_descriptors() -> list[int]:
    return sorted(outputs._open_descriptors())


def leave_open(path: Path, fd: int | None = None) -> Any:
    """A file with something in its buffer, if asked for under that number."""
    file = path.open("w")
    if fd is not None:
        moved = os.fdopen(os.dup2(file.fileno(), fd), "w")
        file.close()
        file = moved
    file.write("text")
    return file


def test_a_file_that_is_left_open(tmp_path: Path) -> None:
    def act() -> Any:
        outputs.begin(open_descriptors())
        file = leave_open(tmp_path / "file")
        return [outputs.flush(lambda _: None), file.closed, (tmp_path / "file").read_text()]

    assert in_a_fork(act) == [True, False, "text"]


def test_one_in_the_place_of_one_that_was_open(tmp_path: Path) -> None:
    """There are as many as before."""

    def act() -> Any:
        known = os.dup(0)
        outputs.begin(open_descriptors())
        file = leave_open(tmp_path / "file", fd=200)
        os.close(known)
        return [outputs.flush(lambda _: None), file.closed, (tmp_path / "file").read_text()]

    assert in_a_fork(act) == [True, False, "text"]


@pytest.mark.skipif(
    os.stat("/proc/self/fd").st_size == 0,  # noqa: PTH116
    reason="Linux older than 6.2 does not say how many descriptors are open",
)
def test_nothing_is_listed_where_nothing_was_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def act() -> Any:
        outputs.begin(open_descriptors())
        listed: list[bool] = []

        def find_opened() -> set[int]:
            listed.append(True)
            return set()

        monkeypatch.setattr(outputs, "_find_opened", find_opened)
        os.close(os.dup(0))
        return [outputs.flush(lambda _: None), listed]

    assert in_a_fork(act) == [True, []]


def test_where_nobody_says_how_many_there_are_they_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> Any:
        outputs.begin(open_descriptors())
        file = leave_open(tmp_path / "file")
        stat = os.stat

        def old_kernels(path: Any) -> Any:
            if path == "/proc/self/fd":
                raise FileNotFoundError(path)
            return stat(path)

        monkeypatch.setattr(os, "stat", old_kernels)
        done = outputs.flush(lambda _: None)
        monkeypatch.undo()
        return [done, file.closed, (tmp_path / "file").read_text()]

    assert in_a_fork(act) == [True, False, "text"]
