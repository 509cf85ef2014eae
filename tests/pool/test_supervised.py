"""Who started the pool is told: a service manager, a person at a terminal."""

import os
import signal
import socket
import subprocess
import sys
from typing import cast

from tests.support.pool import APPS, Home, Launch, StartPool
from tests.support.servers import LiveQueue

LONGEST = 107  # bytes of a socket's address


class Manager:
    """A service manager's end of NOTIFY_SOCKET."""

    def __init__(self, home: Home) -> None:
        self.address = str(home.directory / "notify")
        # Then as those do whose sockets are in no directory.
        if len(os.fsencode(self.address)) > LONGEST:
            self.address = f"@fleet-{home.mark}"
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.end.bind(self.address.replace("@fleet", "\0fleet"))
        self.end.settimeout(30)
        self.heard: list[dict[str, str]] = []

    def wait(self, name: str, start: str = "") -> dict[str, str]:
        """Until a field is heard whose value begins like that."""
        while True:
            if found := next(
                (each for each in self.heard if each.get(name, "\0").startswith(start)), None
            ):
                return found
            self.heard.append(
                dict(line.split("=", 1) for line in self.end.recv(4096).decode().splitlines())
            )


def test_a_service_manager_is_told(start: StartPool, home: Home, queue: LiveQueue) -> None:
    manager = Manager(home)
    gate = home.gate("g")
    queue.send("hold g", "describe")
    pool = start(workers=2, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="2000000")
    assert int(manager.wait("EXTEND_TIMEOUT_USEC")["EXTEND_TIMEOUT_USEC"]) > 60_000_000
    manager.wait("READY", "1")
    home.trace.wait("started", 2)
    manager.wait("STATUS", "running")
    manager.wait("WATCHDOG", "1")
    pool.drain()
    stopping = manager.wait("STOPPING", "1")
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) > 60_000_000
    manager.wait("STATUS", "draining: 1 job")
    gate.open()
    assert pool.wait() == 0
    manager.end.close()


def test_a_service_manager_is_told_how_long_the_pools_own_end_may_take(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """It counts from STOPPING=1; a stop that somebody asks for meanwhile is shorter."""
    manager = Manager(home)
    home.gate("never")
    queue.send("hold never")
    options = ("--max-seconds", "0.5", "--job-timeout", "600", "--drain-timeout", "0")
    pool = start(*options, workers=1, NOTIFY_SOCKET=manager.address)
    home.trace.wait("started")
    assert int(manager.wait("STOPPING", "1")["EXTEND_TIMEOUT_USEC"]) > 600_000_000
    manager.heard.clear()
    pool.terminate()
    assert int(manager.wait("STOPPING", "1")["EXTEND_TIMEOUT_USEC"]) < 200_000_000
    assert pool.wait() == 0
    manager.end.close()


def test_jobs_do_not_know_the_service_manager(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    manager = Manager(home)
    queue.send("environ")
    start(workers=1, app="jobs:environ", NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="60000000")
    (line,) = home.trace.wait("environ")
    names = cast(list[str], line.detail)
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(names)
    manager.end.close()


def test_a_service_manager_that_is_gone_hurts_nobody(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    pool = start(workers=1, NOTIFY_SOCKET=str(home.directory / "nobody"))
    queue.send("task")
    pool.wait_event("message.deleted")


def test_a_watchdog_that_is_for_somebody_else(start: StartPool, home: Home) -> None:
    manager = Manager(home)
    pool = start(workers=1, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000", WATCHDOG_PID="1")
    pool.wait_ready(1)
    manager.wait("READY")
    pool.terminate()
    pool.wait()
    manager.wait("STOPPING")
    assert not any("WATCHDOG" in each for each in manager.heard)
    manager.end.close()


def test_a_terminal_sees_what_a_drain_waits_for(home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    ours, theirs = os.openpty()
    where = ["--queue", queue.name, "--endpoint-url", queue.server.endpoint, "--wait-time", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet", "start", *where, "--workers", "1", "jobs:job"],
        cwd=APPS,
        env=home.environment(),
        stdin=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    home.trace.wait("started")
    process.send_signal(signal.SIGINT)
    seen = b""
    while b"draining: 1 job, " not in seen:
        seen += os.read(ours, 4096)
    assert b"Ctrl-C again to stop them now" in seen
    gate.open()
    while b": SIGINT; jobs: 1 succeeded" not in seen:
        seen += os.read(ours, 4096)
    # The last line stands on a fresh one.
    assert seen.rstrip().rpartition(b"\n")[2].startswith(b"\r\x1b[K")
    assert process.wait(30) == 0
    os.close(ours)


def test_a_terminal_that_is_closed_is_an_order_to_drain(
    launch: Launch, home: Home, queue: LiveQueue
) -> None:
    """The session's leader is sent HUP; by then the terminal says that it is none."""
    gate = home.gate("g")
    queue.send("hold g")
    ours, theirs = os.openpty()
    # It leads a session: the terminal is its own.
    wrapper = (
        "sh",
        "-c",
        f'exec "$@" <{os.ttyname(theirs)}',
        "sh",
    )
    where = ("--queue", queue.name, "--endpoint-url", queue.server.endpoint, "--wait-time", "1")
    pool = launch(
        "start", *where, "--workers", "1", "--log-format", "json", "jobs:job", wrapper=wrapper
    )
    home.trace.wait("started")
    os.close(theirs)
    os.close(ours)
    (started,) = pool.wait_event("drain.started")
    assert started["why"] == "the terminal is gone"
    gate.open()
    assert pool.wait() == 0
    assert home.trace.bodies("done") == ["hold g"]
