"""The master as process 1 of a container: it gets all orphans, and judges only its own."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.eventually import PATIENCE, eventually
from tests.support.needs import CONTAINER
from tests.support.pool import Expected, Home, Launch, Pool
from tests.support.processes import Process
from tests.support.servers import LiveQueue

pytestmark = pytest.mark.needs("pid namespace")
KILLED = Expected(kills=frozenset({"dispatcher.died", "message.left"}))


class Container:
    """A pool whose master is process 1. Pids are those seen from outside."""

    def __init__(self, launch: Launch, home: Home, queue: LiveQueue) -> None:
        arguments = (
            "start",
            "--queue",
            queue.name,
            "--endpoint-url",
            queue.server.endpoint,
            "--wait-time",
            "1",
        )
        options = (
            "--workers",
            "2",
            "--log-format",
            "json",
            "--visibility-timeout",
            "20",
            "jobs:job",
        )
        self._home = home
        self.pool: Pool = launch(*arguments, *options, expected=KILLED, wrapper=CONTAINER)
        self.pool.wait_ready(2)
        (master,) = self.pool.titled("fleet: master")
        self.master = master.pid

    def one(self, title: str) -> Process:
        """The process whose title matches from its start."""
        (process,) = [each for each in self.pool.processes() if re.match(title, each.title)]
        return process

    def orphan(self, seconds: int) -> Process:
        """Have a stranger's child become the master's, as the runtime of a container does with what
        it has started.
        """
        inside = ("nsenter", "--target", str(self.master), "--pid", "--mount")
        program = f"sleep {seconds} >/dev/null 2>&1 &"
        subprocess.run(
            [*inside, "sh", "-c", program],
            env=self._home.environment(),
            timeout=PATIENCE,
            check=True,
        )
        return eventually(lambda: self._adopted(seconds), what="the master's child")[0]

    def _adopted(self, seconds: int) -> list[Process]:
        return [
            p
            for p in self.pool.processes()
            if p.title == f"sleep {seconds}" and p.parent == self.master
        ]

    def end(self) -> None:
        """As the runtime does."""
        self.pool.terminated = True
        os.kill(self.master, signal.SIGTERM)
        assert self.pool.wait() == 0


@pytest.fixture
def container(launch: Launch, home: Home, queue: LiveQueue) -> Container:
    return Container(launch, home, queue)


def test_a_sweep_ends_what_is_the_pools_own_and_no_stranger(
    container: Container, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("g")
    queue.send("orphan-then g")
    home.trace.wait("holding")
    stranger = container.orphan(1001)
    dispatcher = container.one(r"fleet: dispatcher \d job")
    daemons = [p.pid for p in container.pool.processes() if p.title.startswith("fleet: job")]
    assert len(daemons) == 2
    os.kill(dispatcher.pid, signal.SIGKILL)
    container.pool.wait_event("message.released")
    alive = {process.pid for process in container.pool.processes()}
    assert stranger.pid in alive, "a stranger was killed"
    assert not alive & set(daemons), "the job has left something"
    gate.open()  # for the next attempt, which may have begun
    container.end()


def test_a_stranger_that_ends_is_reaped_in_silence(container: Container, queue: LiveQueue) -> None:
    stranger = container.orphan(1002)
    said = len(container.pool.events())
    os.kill(stranger.pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{stranger.pid}").exists(), what="reaped")
    queue.send("task")
    container.pool.wait_event("message.deleted")
    later = {event["event"] for event in container.pool.events()[said:]}
    assert later == {"message.received", "job.started", "job.succeeded", "message.deleted"}
    container.end()


def test_signals_to_it_mean_what_they_always_mean(container: Container) -> None:
    """The kernel does not give process 1 what it has no handler for."""
    os.kill(container.master, signal.SIGUSR1)
    container.pool.wait_event("pool.slots")
    container.end()
