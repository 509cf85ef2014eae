"""A file that is read while it is written."""

import os
from pathlib import Path

import pytest

from fleet.core.books import Config, new
from fleet.health import HealthFile
from fleet.system import files
from fleet.system.clock import now


def test_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"first", b"second and longer", b""):
        files.write(path, content)
        assert path.read_bytes() == content
        assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208  # names are what counts
    assert path.stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_reader_has_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write(path, b"old")
    with path.open("rb") as reader:
        files.write(path, b"new")
        assert reader.read() == b"old"


def test_a_disk_that_becomes_full_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    files.write(path, b"old")
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: write(fd, content[:2]))
    with pytest.raises(OSError, match="No space left"):
        files.write(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


def test_what_cannot_be_replaced_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file" / "within").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        files.write(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


def test_without_a_health_file_the_master_does_not_wake_for_one() -> None:
    health = HealthFile(None)
    assert health.wakes_at() == float("inf")
    health.tell(new(Config(1)))
    assert health.wakes_at() == float("inf")


def test_with_one_it_does_in_time(tmp_path: Path) -> None:
    health = HealthFile(str(tmp_path / "health"))
    before = now()
    assert health.wakes_at() <= before
    health.tell(new(Config(1)))
    assert before < health.wakes_at() <= now() + 4.5
    (tmp_path / "health").unlink()
    health.tell(new(Config(1)))
    assert not (tmp_path / "health").exists(), "it was not due"
    health.tell(new(Config(1)), last=True)
    assert (tmp_path / "health").exists()
