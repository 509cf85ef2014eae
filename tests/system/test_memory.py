"""How much memory this process may still use: the host's, and what its groups leave."""

import os
from pathlib import Path

import pytest

from fleet.system import procfs
from fleet.system.memory import FreeMemory, MemoryGauge


def files(directory: Path, **content: str) -> Path:
    """A directory with these files; `__` in a name is a dot."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (directory / name.replace("__", ".")).write_text(text)
    return directory


def proc(directory: Path, groups: str) -> str:
    """A /proc of a host with 8000 MiB, of which 6000 can be had."""
    meminfo = f"MemTotal: {8000 * 1024} kB\nMemFree: 1 kB\nMemAvailable: {6000 * 1024} kB\n"
    files(directory / "proc", meminfo=meminfo)
    files(directory / "proc" / "self", cgroup=groups)
    return str(directory / "proc")


def second_version(directory: Path, limit: str, used: int, inactive: int = 0) -> None:
    """A group of version 2; sizes in MiB."""
    files(
        directory,
        memory__max=limit,
        memory__current=str(used * MIB),
        memory__stat=f"anon 1\ninactive_file {inactive * MIB}\nactive_file 5\n",
    )


MIB = 1 << 20


def test_without_a_limit_it_is_what_the_host_has(tmp_path: Path) -> None:
    second_version(tmp_path / "cgroup" / "app", "max\n", 500)
    gauge = MemoryGauge(str(tmp_path / "cgroup"), proc(tmp_path, "0::/app\n"))
    assert gauge.read() == FreeMemory(6000, 8000)


def test_a_limit_leaves_what_is_not_used_and_what_can_be_had(tmp_path: Path) -> None:
    second_version(tmp_path / "cgroup" / "app", f"{1000 * MIB}\n", 700, inactive=50)
    gauge = MemoryGauge(str(tmp_path / "cgroup"), proc(tmp_path, "0::/app\n"))
    assert gauge.read() == FreeMemory(350, 1000)
    second_version(tmp_path / "cgroup" / "app", f"{1000 * MIB}\n", 1001)
    assert gauge.read() == FreeMemory(0, 1000)


def test_a_group_above_may_be_tighter(tmp_path: Path) -> None:
    second_version(tmp_path / "cgroup" / "slice" / "app", f"{3000 * MIB}", 500)
    second_version(tmp_path / "cgroup" / "slice", f"{1000 * MIB}", 900)
    gauge = MemoryGauge(str(tmp_path / "cgroup"), proc(tmp_path, "0::/slice/app\n"))
    assert gauge.read() == FreeMemory(100, 1000)


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    second_version(tmp_path / "cgroup", f"{1000 * MIB}", 400)
    assert MemoryGauge(str(tmp_path / "cgroup"), proc(tmp_path, "0::/\n")).read() == FreeMemory(
        600, 1000
    )


@pytest.mark.parametrize(
    ("limit", "then"), [(1000 * MIB, FreeMemory(350, 1000)), (1 << 63, FreeMemory(6000, 8000))]
)
def test_the_first_version(tmp_path: Path, limit: int, then: FreeMemory) -> None:
    files(
        tmp_path / "cgroup" / "memory" / "app",
        memory__limit_in_bytes=f"{limit}\n",
        memory__usage_in_bytes=f"{700 * MIB}\n",
        memory__stat=f"inactive_file 1\ntotal_inactive_file {50 * MIB}\n",
    )
    gauge = MemoryGauge(str(tmp_path / "cgroup"), proc(tmp_path, "9:cpu:/x\n4:memory:/app\n"))
    assert gauge.read() == then


def test_a_limit_that_is_set_later_counts(tmp_path: Path) -> None:
    second_version(tmp_path / "cgroup" / "app", "max", 500)
    gauge = MemoryGauge(str(tmp_path / "cgroup"), proc(tmp_path, "0::/app\n"))
    second_version(tmp_path / "cgroup" / "app", f"{1000 * MIB}", 500)
    assert gauge.read() == FreeMemory(500, 1000)


def test_where_nobody_says_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert MemoryGauge(str(tmp_path), str(tmp_path / "none")).read() is None


def test_this_host_has_memory_and_this_process_some_of_it() -> None:
    found = MemoryGauge().read()
    assert found is not None
    assert 0 < found.available <= found.total
    assert 1 < procfs.resident_mib(os.getpid()) < found.total
