"""Who is hit × by which signal × at which moment: whatever the path, the same things hold
afterwards.

Every message is finished at least once, none is deleted unfinished or given away while a process
that worked on it exists, slots and helpers are there again, and (the audit's part) the ledger
balances and nothing is left running. The moments are held by gates and by the proxy. The last part
hits the embedded server.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, Launch, Pool, StartPool
from tests.support.processes import is_stopped
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue, Server, connect, free_port
from tests.support.witness import Witness

SIGNALS = ("TERM", "KILL", "STOP")
MOMENTS = ("booting", "polling", "running", "settling", "draining")
VICTIMS = ("dispatcher", "template", "scout", "master", "group")
CELLS = [
    *[
        ("job", name, moment) for name in SIGNALS for moment in ("running", "draining")
    ],  # at others there is none
    *[
        ("forker", name, moment) for name in SIGNALS for moment in MOMENTS if moment != "booting"
    ],  # of the moments of a fork tells test_job_forker.py
    *[(victim, name, moment) for victim in VICTIMS for name in SIGNALS for moment in MOMENTS],
]

TELLING = (
    "dispatcher.died",
    "helper.died",
    "message.left",
    "job.signalled",
    "job.stopped",
    "drain.started",
)
ANYBODY = Expected(kills=frozenset(TELLING))
# An app that never came up is the end of its pool, and the template is killed at its import.
STILLBORN = Expected(exit=4, ledger=False, noise=True, kills=frozenset(TELLING))

LATER = ("later 1", "later 2", "later 3")
"""Sent after the fault: the pool, or the next one, must still do them."""


class Scene:
    """A pool behind a proxy, and the message that it is busy with."""

    def __init__(self, start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy) -> None:
        self.home, self.queue, self.proxy = home, queue, proxy
        self._start = start
        self._gates = {name: home.gate(name) for name in ("work", "import", "birth")}
        self.pool: Pool

    def begin(self, victim: str, moment: str, expected: Expected = ANYBODY) -> None:
        """Start a pool and hold it at the moment, which is the victim's if it is about booting."""
        held = "birth" if victim == "dispatcher" else "import"
        if moment == "booting":
            (self.home.directory / f"hold-{held}").touch()
            if victim == "scout":
                self.proxy.stall("GetQueueUrl")
        self.pool = self.start(expected)
        match moment:
            case "booting":
                self.home.trace.wait(held)
                if victim == "scout":
                    self.proxy.wait_held("GetQueueUrl")
            case "polling":
                self.proxy.stall("ReceiveMessage")
                self.proxy.wait_held("ReceiveMessage")
            case "settling":
                self.proxy.stall("DeleteMessage")
                self.queue.send("task")
                self.proxy.wait_held("DeleteMessage")
            case _:
                self.queue.send("hold work")
                self.home.trace.wait("started")
                if moment == "draining":
                    self.pool.terminate()
                    self.pool.wait_event("drain.started")

    def start(self, expected: Expected = ANYBODY) -> Pool:
        """Start a pool, the first or the next one."""
        options = ("--visibility-timeout", "2", "--drain-timeout", "60")
        return self._start(
            *options,
            app="booting:job",
            queue=self.queue,
            endpoint=self.proxy.endpoint,
            expected=expected,
        )

    def hit(self, victim: str, number: signal.Signals) -> None:
        """Send the signal, and see a stop arrive."""
        if victim == "group":
            self.pool.send_group(number)
            return
        pid = self._victim(victim)
        os.kill(pid, number)
        if number == signal.SIGSTOP:
            eventually(lambda: is_stopped(pid), what=f"{victim} stopped")

    def _victim(self, name: str) -> int:
        """The pid of the one process of that name that has to do with the moment."""
        match name:
            case "master":
                return self.pool.pid
            case "job":
                return self.home.trace.lines("started")[-1].pid
            case "template" if importing := self.home.trace.lines("import"):
                return importing[-1].pid
            case "forker":
                dispatcher = self._victim("dispatcher")
                # A job that was just born has its title, and a later pid.
                found = [p for p in self.pool.titled("fleet: forker") if p.parent == dispatcher]
                return found[0].pid
            case "dispatcher" if born := self.home.trace.lines("birth"):
                return born[0].pid
            case "dispatcher" if working := self.pool.events("message.received"):
                return self.pool.dispatcher(working[-1]["slot"])
            case "dispatcher":
                polling = [
                    row.split()
                    for row in self.pool.slot_table().splitlines()
                    if row.split()[2] == "polling"
                ]
                return int(polling[0][4])
            case _:
                # Between its two forks the template has its double for a moment.
                eventually(lambda: len(self.pool.titled(f"fleet: {name}")) == 1)
                return self.pool.titled(f"fleet: {name}")[0].pid

    def go_on(self) -> None:
        """Hold nothing any more."""
        for file in self.home.directory.glob("hold-*"):
            file.unlink()
        for gate in self._gates.values():
            gate.open(16)
        for action in ("GetQueueUrl", "ReceiveMessage", "DeleteMessage"):
            self.proxy.release(action)

    def is_whole(self) -> bool:
        """Whether everybody is there who ought to be."""
        wanted = {"fleet: dispatcher": 2, "fleet: template": 1, "fleet: scout": 1}
        return all(len(self.pool.titled(title)) == count for title, count in wanted.items())


@pytest.fixture
def scene(start: StartPool, home: Home, ministack_server: Server, proxy: FaultProxy) -> Scene:
    """On a queue that gives a message away often enough for whatever a cell does to it."""
    return Scene(start, home, LiveQueue.fresh(ministack_server, limit=50), proxy)


def ends_the_pool(victim: str, name: str, moment: str) -> bool:
    stillborn = (victim, name, moment) == ("template", "KILL", "booting")
    return moment == "draining" or stillborn or (victim in ("master", "group") and name != "STOP")


@pytest.mark.parametrize(("victim", "name", "moment"), CELLS)
def test_nothing_is_lost(scene: Scene, home: Home, victim: str, name: str, moment: str) -> None:
    witness = Witness(scene.proxy, home.trace)
    number = signal.Signals[f"SIG{name}"]
    stillborn = (victim, name, moment) == ("template", "KILL", "booting")
    scene.begin(victim, moment, STILLBORN if stillborn else ANYBODY)
    scene.hit(victim, number)
    if number == signal.SIGKILL and victim in ("group", "master"):
        scene.pool.kill_master()  # waits, and expects what is already so
    scene.go_on()
    if number == signal.SIGSTOP:
        scene.hit(victim, signal.SIGCONT)
    scene.queue.send(*LATER)
    if ends_the_pool(victim, name, moment):
        scene.pool.wait()
        scene.pool = scene.start()
    eventually(lambda: set(LATER) <= set(home.trace.bodies("done")), what=scene.pool.log)
    eventually(
        lambda: scene.queue.depth() == EMPTY,
        what=lambda: f"{scene.queue.depth()}:\n{scene.pool.log()}",
    )
    eventually(scene.is_whole, what=lambda: f"whole: {scene.pool.processes()}\n{scene.pool.log()}")
    assert scene.queue.dead_depth() == EMPTY
    assert {line.body for line in home.trace.lines("started")} == set(home.trace.bodies("done"))
    assert witness.unfinished == []
    # Nobody extends the lease of a host that is stopped.
    assert number == signal.SIGSTOP or witness.broken == []


# The embedded server, which a proxy stands before. It ignores TERM, and loses its queues when it is
# killed.


class Embedded:
    """An embedded server that can be started again on its port, and a queue on it."""

    def __init__(self, launch: Launch, home: Home) -> None:
        self.port = free_port()
        self._launch, self._home = launch, home
        self.start()
        self.server = Server(self.port, connect(f"http://127.0.0.1:{self.port}"))
        self.queue = LiveQueue(self.server, "jobs", limit=50)

    def start(self) -> None:
        """By `fleet local`, which holds it until the test's end."""
        local = self._launch(
            "local", "--local-port", str(self.port), expected=Expected(noise=True, ledger=False)
        )
        eventually(lambda: "started" in local.output(), what=lambda: f"the server:\n{local.log()}")

    def pid(self) -> int:
        """The server's own."""
        (process,) = [
            each
            for each in self._home.processes()
            if each.title.startswith("fleet: local SQS server")
        ]
        return process.pid

    def replace(self) -> None:
        """Another one, with nothing in it, in the place of one that was killed."""
        eventually(
            lambda: (
                not [p for p in self._home.processes() if p.title.startswith("fleet: local SQS")]
            )
        )
        self.start()
        self.queue = LiveQueue(self.server, "jobs", limit=50)


@pytest.fixture
def embedded(launch: Launch, home: Home) -> Iterator[Embedded]:
    embedded = Embedded(launch, home)
    yield embedded
    embedded.server.client.close()


def take_end(pool: Pool, number: int) -> None:
    """A server that is killed forgets the messages whose deletes are asked for: they are not
    confirmed.
    """
    status = pool.wait()
    if number == signal.SIGKILL:
        assert status in (0, 8)
        pool.expected = replace(pool.expected, exit=status)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", SIGNALS)
def test_nothing_is_lost_but_what_a_killed_server_takes_along(
    start: StartPool, home: Home, embedded: Embedded, name: str, moment: str
) -> None:
    proxy = FaultProxy(embedded.port)
    scene = Scene(start, home, embedded.queue, proxy)
    number = signal.Signals[f"SIG{name}"]
    try:
        scene.begin("scout", moment)
        server = embedded.pid()
        os.kill(server, number)
        scene.go_on()
        if number == signal.SIGKILL:
            embedded.replace()
        elif number == signal.SIGSTOP:
            eventually(lambda: is_stopped(server))
            os.kill(server, signal.SIGCONT)
        embedded.queue.send(*LATER)
        if moment == "draining":
            take_end(scene.pool, number)
            scene.pool = scene.start()
        eventually(lambda: set(LATER) <= set(home.trace.bodies("done")), what=scene.pool.log)
        eventually(lambda: embedded.queue.depth() == EMPTY, what=scene.pool.log)
        eventually(scene.is_whole, what=scene.pool.log)
        assert embedded.queue.dead_depth() == EMPTY
        assert {line.body for line in home.trace.lines("started")} == set(home.trace.bodies("done"))
        scene.pool.terminate()
        take_end(scene.pool, number)
    finally:
        proxy.close()
