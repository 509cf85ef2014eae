"""SIGTERM at every moment of a pool's start: it ends, at once, and nothing stays behind."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.pool import APPS, QUIET, REPOSITORY, Home, StartPool
from tests.support.proxy import FaultProxy


def test_at_once(start: StartPool) -> None:
    """Before the handlers are there the signal ends the process by itself, which is as good."""
    pool = start()
    pool.terminate()
    status = pool.wait()
    assert status in (0, -signal.SIGTERM)
    pool.expected = replace(QUIET, exit=status, ledger=status == 0)


@pytest.mark.parametrize("event", ["master.started", "dispatcher.spawned", "dispatcher.ready"])
def test_as_soon_as_the_log_says(start: StartPool, event: str) -> None:
    pool = start(workers=4)
    pool.wait_event(event)
    pool.terminate()
    assert pool.wait() == 0


@pytest.mark.parametrize("whole_group", [False, True])
def test_while_the_app_is_imported(start: StartPool, home: Home, whole_group: bool) -> None:
    home.gate("import")  # never opened
    pool = start(app="slow:job")
    home.trace.wait("importing")
    (pool.send_group if whole_group else pool.send)(signal.SIGTERM)
    assert pool.wait() == 0


def test_while_the_queue_is_looked_for(start: StartPool, proxy: FaultProxy) -> None:
    for action in ("GetQueueUrl", "GetQueueAttributes", "ReceiveMessage"):
        proxy.stall(action)
    pool = start(endpoint=proxy.endpoint)
    eventually(proxy.journal)
    pool.terminate()
    assert pool.wait() == 0


def test_a_ctrl_c_while_the_program_itself_is_imported(home: Home) -> None:
    """It ends by the signal, and shows nobody what it was importing."""
    stand_in = home.directory / "early"
    stand_in.mkdir()
    (stand_in / "typer.py").write_text(
        "import jobs; jobs.write('importing', ''); jobs.pass_gate('import')\n"
    )
    home.gate("import")  # never opened
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet", "status"],
        cwd=APPS,
        env=home.environment() | {"PYTHONPATH": f"{stand_in}:{REPOSITORY}:{APPS}"},
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    home.trace.wait("importing")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (-signal.SIGINT, b"")


def test_an_output_without_a_place(home: Home) -> None:
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            [sys.executable, "-m", "fleet", "--version"],
            env=home.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert told.returncode == 1
    assert told.stderr.splitlines() == [
        "fleet: what it has to say has no place: No space left on device"
    ]
