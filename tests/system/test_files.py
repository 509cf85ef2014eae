"""A file that is read while it is written."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.system import files


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


def test_a_disk_that_becomes_full_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    with pytest.raises(files.NotRegularFile):
        files.write(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


def test_nothing_that_lies_beside_it_holds_it_up_or_is_written_to(tmp_path: Path) -> None:
    """The name of the part used to be known before."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    os.mkfifo(tmp_path / f".file.{os.getpid()}")
    (tmp_path / ".file").symlink_to(precious)
    files.write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert precious.read_text() == "mine"
    assert len(names(tmp_path)) == 4


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    files.write(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "file").symlink_to(tmp_path / "other")
    files.write(tmp_path / "file", b"new")
    assert (tmp_path / "other").read_text() == "mine"
    assert not (tmp_path / "file").is_symlink()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.mknod(path, stat.S_IFSOCK)])
def test_what_is_no_file_is_neither_replaced_nor_waited_for(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "thing"
    make(path)
    before = path.lstat()
    with pytest.raises(files.NotRegularFile, match="no regular file"):
        files.write(path, b"new")
    with pytest.raises(OSError):  # noqa: PT011 - a socket cannot even be opened
        files.read(path, 10)
    assert path.lstat() == before
    assert names(tmp_path) == {"thing"}


def test_a_device_is_not_read() -> None:
    with pytest.raises(files.NotRegularFile):
        files.read(Path("/dev/zero"), 10)


def test_no_more_is_read_than_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert files.read(tmp_path / "file", 10) == b"x" * 10
