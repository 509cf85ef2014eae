"""A pool's name as an abstract socket: what no clean-up of files ends."""

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.ipc import pool_name


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "fleet"  # it need not be there


def test_a_name_is_held_once_in_a_directory(directory: Path) -> None:
    where = pool_name.address(directory, "jobs")
    held = pool_name.hold(where)
    assert held is not None
    with held:
        with pytest.raises(pool_name.NameHeld, match=str(os.getpid())):
            pool_name.hold(where)
        other = pool_name.hold(pool_name.address(directory, "jobs2"))
        directory.mkdir()
        elsewhere = pool_name.hold(pool_name.address(directory / "x", "jobs"))
        for each in (other, elsewhere):
            assert each is not None
            each.close()
    again = pool_name.hold(where)
    assert again is not None
    again.close()


@pytest.mark.parametrize("name", ["n" * 500, "ä b/c", "a\udcffb"])
def test_any_name_has_an_address(directory: Path, name: str) -> None:
    held = pool_name.hold(pool_name.address(directory, name))
    assert held is not None
    held.close()


def test_one_that_is_listed_is_not_asked(directory: Path) -> None:
    held = pool_name.hold(pool_name.address(directory, "jobs"))
    assert held is not None
    with held:
        assert not pool_name.wake_hidden_pools(directory, {"jobs"})
        with pytest.raises(BlockingIOError):
            held.accept()


@pytest.mark.needs("root")
def test_a_stranger_that_sits_on_the_name_keeps_nobody_out(directory: Path) -> None:
    where = pool_name.address(directory, "jobs")
    program = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534);"
        " s = socket.socket(socket.AF_UNIX);"
        "s.bind(chr(0) + sys.argv[1]); s.listen(9); print(flush=True); sys.stdin.read()"
    )
    stranger = subprocess.Popen(
        [sys.executable, "-c", program, where[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert stranger.stdout is not None
    stranger.stdout.readline()
    try:
        assert pool_name.hold(where) is None
        assert not pool_name.wake_hidden_pools(directory, set())
    finally:
        stranger.communicate()


def test_one_that_is_bound_and_does_not_listen_keeps_nobody_out(directory: Path) -> None:
    where = pool_name.address(directory, "jobs")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(where)
        assert pool_name.hold(where) is None


@pytest.mark.parametrize("missing", [(), ("_sha2", "_sha256")])
def test_a_digest_is_sha_256_whoever_computes_it(
    missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pools of all versions, and of all interpreters, agree on it."""
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    expected = hashlib.sha256("jöbs".encode()).hexdigest()
    assert pool_name.digest("jöbs") == expected
