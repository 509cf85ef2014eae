"""The search for what a test has left finds what hides, and the gates hold."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.pool import APPS, Home
from tests.support.processes import is_alive


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


def run_job(home: Home, body: str) -> subprocess.Popen[bytes]:
    program = f"import jobs; jobs.job({body!r})"
    return subprocess.Popen([sys.executable, "-c", program], cwd=APPS, env=home.environment())


def test_a_daemon_is_found_and_ended(home: Home) -> None:
    assert run_job(home, "orphan").wait() == 0
    (line,) = home.trace.lines("orphan")
    assert [process.pid for process in home.processes()] == [line.pid]
    home.close()
    eventually(lambda: not is_alive(line.pid))
    assert home.processes() == []


def test_a_gate_holds_until_it_is_opened(home: Home) -> None:
    gate = home.gate("g")
    process = run_job(home, "hold g")
    home.trace.wait("started")
    gate.open()
    assert process.wait() == 0
    assert home.trace.bodies("done") == ["hold g"]
