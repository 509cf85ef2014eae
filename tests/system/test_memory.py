"""What the cgroup says about memory, and where it says it."""

import os
from pathlib import Path

import pytest

from fleet.system import memory, procfs
from fleet.system.memory import Found, Gauge, OomKills, counters, grew

V2 = b"low 0\nhigh 0\nmax 12\noom 3\noom_kill %d\noom_group_kill 0\n"
V1 = b"oom_kill_disable 0\nunder_oom 0\noom_kill %d\n"


@pytest.mark.parametrize("events", [V1, V2])
def test_a_kill_between_two_looks(events: bytes) -> None:
    assert grew(events % 9, events % 10)
    assert not grew(events % 10, events % 10)


def test_where_nobody_counts_nothing_grows() -> None:
    assert not grew(b"", b"")
    assert not grew(V2 % 3, b"")
    assert not grew(b"oom_group_kill 1\n", b"oom_group_kill 2\n")


@pytest.mark.parametrize(
    ("groups", "places"),
    [
        ("0::/\n", ["/sys/fs/cgroup/memory.events"]),
        (
            "0::/system.slice/fleet.service\n",
            ["/sys/fs/cgroup/system.slice/fleet.service/memory.events"],
        ),
        (
            "9:name=systemd:/\n4:memory:/a/b\n0::/\n",
            [
                "/sys/fs/cgroup/memory.events",
                "/sys/fs/cgroup/memory/a/b/memory.oom_control",
                "/sys/fs/cgroup/memory/memory.oom_control",
            ],
        ),
        (
            "4:cpu,memory:/a\n",
            [
                "/sys/fs/cgroup/memory/a/memory.oom_control",
                "/sys/fs/cgroup/memory/memory.oom_control",
            ],
        ),
        ("4:cpu:/a\n3:name=memory:/b\n", []),
        ("", []),
    ],
)
def test_where_it_is(groups: str, places: list[str]) -> None:
    assert list(counters(groups)) == places


def test_the_first_place_that_is_there_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "memory.events"
    there.write_bytes(V2 % 1)
    monkeypatch.setattr(memory, "counters", lambda _: iter((str(tmp_path / "missing"), str(there))))
    looking = OomKills()
    before = looking.look()
    there.write_bytes(V2 % 2)
    assert grew(before, looking.look())
    assert looking._fd is not None
    assert not os.get_inheritable(looking._fd)
    os.close(looking._fd)
    assert looking.look() == b"", "a count that is gone is nobody's end"


def test_without_a_cgroup_there_is_nothing_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "counters", lambda _: iter(()))
    assert OomKills().look() == b""


# How much there is.


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
    gauge = Gauge(str(tmp_path / "cgroup"), proc(tmp_path, "0::/app\n"))
    assert gauge.look() == Found(6000, 8000)


def test_a_limit_leaves_what_is_not_used_and_what_can_be_had(tmp_path: Path) -> None:
    second_version(tmp_path / "cgroup" / "app", f"{1000 * MIB}\n", 700, inactive=50)
    gauge = Gauge(str(tmp_path / "cgroup"), proc(tmp_path, "0::/app\n"))
    assert gauge.look() == Found(350, 1000)
    second_version(tmp_path / "cgroup" / "app", f"{1000 * MIB}\n", 1001)
    assert gauge.look() == Found(0, 1000)


def test_a_group_above_may_be_tighter(tmp_path: Path) -> None:
    second_version(tmp_path / "cgroup" / "slice" / "app", f"{3000 * MIB}", 500)
    second_version(tmp_path / "cgroup" / "slice", f"{1000 * MIB}", 900)
    gauge = Gauge(str(tmp_path / "cgroup"), proc(tmp_path, "0::/slice/app\n"))
    assert gauge.look() == Found(100, 1000)


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    second_version(tmp_path / "cgroup", f"{1000 * MIB}", 400)
    assert Gauge(str(tmp_path / "cgroup"), proc(tmp_path, "0::/\n")).look() == Found(600, 1000)


@pytest.mark.parametrize(
    ("limit", "then"), [(1000 * MIB, Found(350, 1000)), (1 << 63, Found(6000, 8000))]
)
def test_the_first_version(tmp_path: Path, limit: int, then: Found) -> None:
    files(
        tmp_path / "cgroup" / "memory" / "app",
        memory__limit_in_bytes=f"{limit}\n",
        memory__usage_in_bytes=f"{700 * MIB}\n",
        memory__stat=f"inactive_file 1\ntotal_inactive_file {50 * MIB}\n",
    )
    gauge = Gauge(str(tmp_path / "cgroup"), proc(tmp_path, "9:cpu:/x\n4:memory:/app\n"))
    assert gauge.look() == then


def test_a_limit_that_is_set_later_counts(tmp_path: Path) -> None:
    second_version(tmp_path / "cgroup" / "app", "max", 500)
    gauge = Gauge(str(tmp_path / "cgroup"), proc(tmp_path, "0::/app\n"))
    second_version(tmp_path / "cgroup" / "app", f"{1000 * MIB}", 500)
    assert gauge.look() == Found(500, 1000)


def test_where_nobody_says_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert Gauge(str(tmp_path), str(tmp_path / "none")).look() is None


def test_this_host_has_memory_and_this_process_some_of_it() -> None:
    found = Gauge().look()
    assert found is not None
    assert 0 < found.available <= found.total
    assert 1 < procfs.resident_mib(os.getpid()) < found.total


def test_a_process_that_is_gone_has_none() -> None:
    assert procfs.resident_mib(1 << 30) == 0.0
