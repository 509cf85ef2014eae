"""Who is hit × by which signal × at which moment: whatever the path, the same things hold afterwards.

Every message is finished at least once, none is deleted unfinished, and (the audit's part) nothing is left
running. What the stories in the other files tell in detail is not repeated here.
"""

import os
import signal
from dataclasses import dataclass

import pytest

from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, Pool, StartPool
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue

ANYBODY = Expected(kills=frozenset(("dispatcher.died", "helper.died", "message.left", "job.signalled", "job.stopped")))

LATER = ("later 1", "later 2", "later 3")
"""Sent after the fault: the pool, or the next one, must still do them."""

CASES = [
    ("job", "KILL", "running"),
    ("job", "STOP", "running"),
    ("job", "KILL", "draining"),
    ("dispatcher", "TERM", "polling"),
    ("dispatcher", "STOP", "running"),
    ("dispatcher", "KILL", "settling"),
    ("dispatcher", "KILL", "draining"),
    ("template", "KILL", "draining"),
    ("scout", "KILL", "draining"),
    ("master", "KILL", "settling"),
    ("master", "KILL", "draining"),
    ("group", "KILL", "running"),
    ("group", "KILL", "settling"),
    ("group", "TERM", "settling"),
    ("group", "STOP", "running"),
]


@dataclass
class Scene:
    """A pool behind a proxy, and the message that it is busy with."""

    pool: Pool
    home: Home
    queue: LiveQueue
    proxy: FaultProxy

    def reach(self, moment: str) -> list[str]:
        """Bring the pool to the moment and hold it there; returns the bodies sent."""
        match moment:
            case "polling":
                self.proxy.stall("ReceiveMessage")
                self.proxy.wait_held("ReceiveMessage")
                return []
            case "settling":
                self.proxy.stall("DeleteMessage")
                self.queue.send("task")
                self.proxy.wait_held("DeleteMessage")
                return ["task"]
            case _:
                self.queue.send("hold g")
                self.home.trace.wait("started")
                if moment == "draining":
                    self.pool.terminate()
                    self.pool.wait_event("drain.started")
                return ["hold g"]

    def hit(self, victim: str, number: signal.Signals) -> None:
        """Send the signal."""
        if victim == "group":
            self.pool.send_group(number)
        else:
            os.kill(self._pid(victim), number)
        if number == signal.SIGKILL and victim in ("group", "master"):
            self.pool.kill_master()  # waits, and expects what is already so

    def _pid(self, victim: str) -> int:
        match victim:
            case "master":
                return self.pool.pid
            case "job":
                return self.home.trace.lines("started")[-1].pid
            case "dispatcher":
                started = self.pool.events("job.started")
                return self.pool.dispatcher(started[-1]["slot"] if started else 0)
            case _:
                (process,) = self.pool.titled(f"fleet: {victim}")
                return process.pid

    def go_on(self, victim: str, number: signal.Signals) -> None:
        """Hold nothing any more."""
        self.proxy.release("ReceiveMessage")
        self.proxy.release("DeleteMessage")
        if number == signal.SIGSTOP:
            self.hit(victim, signal.SIGCONT)


@pytest.mark.parametrize(("victim", "name", "moment"), CASES)
def test_nothing_is_lost(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy, victim: str, name: str, moment: str
) -> None:
    gate = home.gate("g")
    number = signal.Signals[f"SIG{name}"]
    pool = start("--visibility-timeout", "2", endpoint=proxy.endpoint, expected=ANYBODY)
    pool.wait_ready(2)
    scene = Scene(pool, home, queue, proxy)
    bodies = scene.reach(moment)
    scene.hit(victim, number)
    gate.open(16)
    scene.go_on(victim, number)
    queue.send(*LATER)
    if moment == "draining" or pool.process.poll() is not None or (victim, name) == ("group", "TERM"):
        pool.wait()
        start(expected=ANYBODY)
    eventually(lambda: {*bodies, *LATER} <= set(home.trace.bodies("done")), what=pool.log)
    eventually(lambda: queue.depth() == EMPTY, what=lambda: f"empty, now {queue.depth()}:\n{pool.log()}")
    assert queue.dead_depth() == EMPTY
