"""Whether a C library in memory may have handlers for a fork is read from what it calls."""

import errno
import os
import struct
from pathlib import Path

import numpy as np  # noqa: F401 - brings OpenBLAS, which has one
import pytest

from fleet.system import fork_handlers


@pytest.fixture(autouse=True)
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_handlers, "_judged", {})


def shared_object(path: Path, *names: bytes) -> str:
    """A file with the headers of a shared object that has these dynamic symbols' names."""
    table = b"\0" + b"".join(name + b"\0" for name in names)
    names_at, dynamic_at, address = 512, 256, 0x10000
    head = fork_handlers._ELF + bytes(26) + struct.pack("<QQIHHH", 64, 0, 0, 64, 56, 2)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, 4096, 4096, 4096)
    segments += struct.pack("<IIQQQQQQ", 2, 6, dynamic_at, 0, 0, 48, 48, 8)
    dynamic = struct.pack("<6Q", 5, address + names_at, 10, len(table), 0, 0)
    text = (head.ljust(64, b"\0") + segments).ljust(dynamic_at, b"\0") + dynamic
    path.write_bytes(text.ljust(names_at, b"\0") + table)
    return str(path)


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        ((b"malloc", b"__register_atfork", b"free"), True),
        ((b"pthread_atfork",), True),
        ((b"malloc", b"my_pthread_atfork_like"), False),
        ((), False),
        ((b"__register_atfork", b"openblas_fork_handler"), False),
    ],
)
def test_one_that_calls_the_registration_may_have_some(
    tmp_path: Path, names: tuple[bytes, ...], counts: bool
) -> None:
    assert fork_handlers._may_have_handlers(shared_object(tmp_path / "lib.so", *names)) is counts


def test_one_that_is_gone_or_damaged_may_have_some(tmp_path: Path) -> None:
    whole = Path(shared_object(tmp_path / "lib.so", b"malloc"))
    assert fork_handlers._may_have_handlers(str(tmp_path / "gone.so"))
    (tmp_path / "cut.so").write_bytes(whole.read_bytes()[:100])
    assert fork_handlers._may_have_handlers(str(tmp_path / "cut.so"))
    assert fork_handlers._may_have_handlers(str(whole / "in a directory that is a file"))


def test_without_a_descriptor_nobody_can_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "no descriptor")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="no descriptor"):
        fork_handlers._may_have_handlers(str(tmp_path / "lib.so"))


def test_a_file_that_is_no_shared_object_has_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("__register_atfork\0")
    assert not fork_handlers._may_have_handlers(str(tmp_path / "text"))


def test_in_this_process_it_finds_openblas_and_knows_that_it_needs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The C library defines the name, which does not make it one that calls it."""
    assert fork_handlers.find() == []
    assert any("libc.so" in path for path, _ in fork_handlers._judged)
    fork_handlers._judged.clear()
    monkeypatch.setattr(fork_handlers, "_HARMLESS", b"nothing of the kind")
    (found,) = fork_handlers.find()
    assert "openblas" in found


def test_what_was_judged_once_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fork_handlers.find()
    monkeypatch.setattr(fork_handlers, "_may_have_handlers", lambda path: pytest.fail(path))
    fork_handlers.find()
