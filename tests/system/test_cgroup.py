"""What the cgroup says about OOM kills, and where it says it."""

import os
from pathlib import Path

import pytest

from fleet.system.cgroup import OomKills, has_oom_kill, oom_files

V2 = b"low 0\nhigh 0\nmax 12\noom 3\noom_kill %d\noom_group_kill 0\n"
V1 = b"oom_kill_disable 0\nunder_oom 0\noom_kill %d\n"


@pytest.mark.parametrize("events", [V1, V2])
def test_a_kill_between_two_looks(events: bytes) -> None:
    assert has_oom_kill(events % 9, events % 10)
    assert not has_oom_kill(events % 10, events % 10)


def test_where_nobody_counts_nothing_grows() -> None:
    assert not has_oom_kill(b"", b"")
    assert not has_oom_kill(V2 % 3, b"")
    assert not has_oom_kill(b"oom_group_kill 1\n", b"oom_group_kill 2\n")


@pytest.mark.parametrize(
    ("groups", "paths"),
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
def test_where_it_is(groups: str, paths: list[str]) -> None:
    assert list(oom_files(groups)) == paths


def test_the_first_file_that_is_there_is_read(tmp_path: Path) -> None:
    there = tmp_path / "memory.events"
    there.write_bytes(V2 % 1)
    kills = OomKills(lambda _: (str(tmp_path / "missing"), str(there)))
    before = kills.read()
    there.write_bytes(V2 % 2)
    assert has_oom_kill(before, kills.read())
    (fd,) = kills.descriptors
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert kills.read() == b"", "a count that is gone is nobody's end"


def test_without_a_cgroup_there_is_nothing_to_see() -> None:
    assert OomKills(lambda _: ()).read() == b""
