"""Commands that ask a pool which ends just then."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cli import running_pool, stop
from fleet.cli.failure import CommandFailed
from fleet.cli.running_pool import PoolEnded, ask
from fleet.ipc.pool_socket import RunningPool

HEARS_NOBODY = """
import socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
if sys.argv[2] == "hangs up":
    listener.listen()
print("there", flush=True)
if sys.argv[2] == "hangs up":
    listener.accept()[0].recv(99)
else:
    time.sleep(0.3)
"""


@pytest.fixture(params=["hangs up", "listens no more"])
def leaving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningPool]:
    """A pool on its last steps: it holds its name, and answers nobody."""
    path = tmp_path / "s"
    command = [sys.executable, "-c", HEARS_NOBODY, str(path), request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pool:
        assert pool.stdout
        assert pool.stdout.readline() == "there\n"
        yield RunningPool("jobs", pool.pid, path)


def test_it_is_said_to_have_ended(leaving: RunningPool) -> None:
    with pytest.raises(PoolEnded, match="has just ended") as caught:
        ask(leaving, "status")
    assert caught.value.code == 1


def test_a_stop_of_it_has_done_what_it_should(
    leaving: RunningPool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stop, "find_pool", lambda _: leaving)
    assert stop.stop(None) == 0
    assert capsys.readouterr().out == "jobs: gone\n"


def test_one_that_goes_on_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_pool, "GOING", 0.05)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        with pytest.raises(CommandFailed, match="cannot be asked") as caught:
            ask(RunningPool("jobs", other.pid, tmp_path / "none"), "status")
        other.communicate()
    assert not isinstance(caught.value, PoolEnded)
