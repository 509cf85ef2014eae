"""Reading what the kernel makes as it is read."""

import os
from pathlib import Path

import pytest

from fleet.system import pseudo_files


def test_all_of_a_file_that_takes_several_reads(tmp_path: Path) -> None:
    content = os.urandom(200_000)
    (tmp_path / "file").write_bytes(content)
    assert pseudo_files.read(f"{tmp_path}/file") == content


def test_no_descriptor_is_left_open() -> None:
    before = pseudo_files.list_numbers("/proc/self/fd")
    pseudo_files.read("/proc/self/stat")
    with pytest.raises(OSError, match="directory"):
        pseudo_files.read("/proc/self")
    assert pseudo_files.list_numbers("/proc/self/fd") == before


def test_a_text_that_is_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\xffb")
    assert pseudo_files.read_text(f"{tmp_path}/file") == "a\N{REPLACEMENT CHARACTER}b"


def test_only_names_that_are_numbers() -> None:
    assert os.getpid() in pseudo_files.list_numbers("/proc")
