"""The control socket, whoever connects to it."""

import json
import socket
import stat
import subprocess
import sys
from typing import cast

import pytest

from fleet.master.control_socket import LARGEST_REQUEST, MOST_CLIENTS
from tests.support.control import connect, exchange, socket_of, status
from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, StartPool, run_fleet
from tests.support.servers import LiveQueue

REFUSED = Expected(exit=2, noise=True, ledger=False)


def test_the_socket_is_the_users_alone(start: StartPool, home: Home) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    assert stat.S_IMODE(socket_of(home).stat().st_mode) == 0o600


def test_a_path_of_ones_own(start: StartPool, home: Home) -> None:
    path = home.directory / "own.sock"
    pool = start("--control", str(path), workers=1)
    pool.wait_ready(1)
    assert exchange(path, b'{"command": "status"}\n')["status"]["pid"] == pool.pid
    assert status(home)["pid"] == pool.pid
    second = start("--control", str(path), "--name", "second", workers=1, expected=REFUSED)
    assert second.wait() == 2
    assert "another pool listens" in second.refusal()
    assert exchange(path, b'{"command": "status"}\n')["status"]["pid"] == pool.pid


def test_a_path_that_is_no_socket(start: StartPool, home: Home) -> None:
    path = home.directory / "precious"
    path.write_text("mine")
    pool = start("--control", str(path), expected=REFUSED)
    assert pool.wait() == 2
    assert "is no socket" in pool.refusal()
    assert path.read_text() == "mine"


def test_a_path_longer_than_an_address(start: StartPool, home: Home) -> None:
    directory = home.directory / ("d" * 100)
    directory.mkdir()
    pool = start("--control", str(directory / "long.sock"), "--name", "n" * 200, workers=1)
    pool.wait_ready(1)
    assert status(home)["pid"] == pool.pid


def test_what_a_killed_master_left_is_no_pool(start: StartPool, home: Home) -> None:
    first = start(workers=1)
    first.wait_ready(1)
    first.kill_master()
    assert socket_of(home).is_socket()
    told = run_fleet(home, "status")
    assert (told.status, "no pool runs" in told.error_line) == (1, True)
    second = start(workers=1)
    second.wait_ready(1)
    assert status(home)["pid"] == second.pid


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish\n",
        b"\n",
        b"{}\n",
        b"\xff\0\n",
        b'{"command": "scale", "to": {}}\n',
        b"x" * LARGEST_REQUEST + b"y",
    ],
)
def test_rubbish_is_answered(start: StartPool, home: Home, queue: LiveQueue, line: bytes) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    told = exchange(socket_of(home), line)
    assert told["ok"] is False
    assert told["error"]
    queue.send("task")
    pool.wait_event("message.deleted")


def test_a_client_that_says_nothing_is_hung_up_on(start: StartPool, home: Home) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    with connect(socket_of(home)) as silent, connect(socket_of(home)) as half:
        half.sendall(b'{"command": "sta')
        assert silent.recv(1) == b""
        assert half.recv(1) == b""


def test_a_crowd_that_says_nothing_keeps_nobody_out(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    crowd = [connect(socket_of(home)) for _ in range(3 * MOST_CLIENTS)]
    assert status(home)["pid"] == pool.pid
    queue.send("task")
    pool.wait_event("message.deleted")
    for each in crowd:
        each.close()


def test_a_client_that_leaves_before_its_answer(start: StartPool, home: Home) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    for _ in range(5):
        with connect(socket_of(home)) as end:
            end.sendall(b'{"command": "status"}\n')
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert status(home)["pid"] == pool.pid


def test_a_client_that_does_not_read_its_answer(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Larger than the socket takes at once: the rest waits for the client, and nobody waits for the
    rest.
    """
    pool = start(workers=1)
    pool.wait_ready(1)
    run_fleet(home, "scale", "400")
    eventually(lambda: status(home)["desired"] == 400)
    with connect(socket_of(home)) as lazy:
        lazy.sendall(b'{"command": "status"}\n')
        queue.send("task")
        pool.wait_event("message.deleted")
        heard = b""
        while piece := lazy.recv(65_536):
            heard += piece
    assert json.loads(heard)["ok"] is True
    run_fleet(home, "scale", "1")
    eventually(lambda: status(home)["size"] == 1)


@pytest.mark.needs("root")
def test_another_user_is_hung_up_on(start: StartPool, home: Home) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    path = socket_of(home)
    path.chmod(0o666)
    for each in path.parents:
        each.chmod(each.stat().st_mode | 0o011)
        if each == home.directory.parents[3]:
            break
    program = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534);"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        's.sendall(b\'{"command": "stop"}\\n\'); sys.stdout.buffer.write(s.recv(99))'
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, check=False
    )
    assert told.stdout == b""
    assert b"PermissionError" not in told.stderr, "the test itself did not get there"
    assert status(home)["state"] == "running"


def test_jobs_do_not_hold_the_socket(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("describe", "hold g")
    start(workers=2)
    (found,) = home.trace.wait("found")
    descriptors = cast(dict[str, dict[str, str]], found.detail)["descriptors"]
    assert not any("socket" in what for what in descriptors.values())
    gate.open()
