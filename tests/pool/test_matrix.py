"""Who is hit × by which signal × at which moment: whatever the path, the same things hold
afterwards.

Every message is finished at least once, none is deleted unfinished or given away while a process
that worked on it exists, slots and helpers are there again, and (the audit's part) the ledger
balances and nothing is left running. The moments are held by gates and by the proxy. Where a pool
outlives a signal the next one hits the same pool. The last part hits the embedded server.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, Launch, Pool, StartPool
from tests.support.processes import is_stopped
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue, Server, connect, free_port
from tests.support.witness import Witness

MOMENTS = ("booting", "polling", "running", "settling", "draining")
VICTIMS = ("job", "forker", "dispatcher", "template", "scout", "master", "group")
# At others there is no job; of the moments of a fork tells test_job_forker.py.
MOMENTS_OF = {"job": ("running", "draining"), "forker": MOMENTS[1:]}


def runs(victim: str, moment: str) -> list[tuple[str, ...]]:
    """Which signals hit one pool, one after another. A stop breaks leases: it is the last.

    A dispatcher that has lost its forker has none until its next job.
    """
    if victim == "forker" or moment in ("booting", "draining"):
        return [("TERM",), ("KILL",), ("STOP",)]
    if victim in ("master", "group"):
        return [("STOP", "TERM"), ("KILL",)]
    return [("TERM", "KILL", "STOP")]


CELLS = [
    pytest.param(victim, names, moment, id=f"{victim}-{'-'.join(names)}-{moment}")
    for victim in VICTIMS
    for moment in MOMENTS_OF.get(victim, MOMENTS)
    for names in runs(victim, moment)
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
# A drain gives up a delete when its lease, here of two seconds, is nearly over; so does a pool
# whose server has gone.
LATE = replace(ANYBODY, unconfirmed=True)
# An app that never came up is the end of its pool, and the template is killed at its import.
STILLBORN = Expected(exit=4, ledger=False, noise=True, kills=frozenset(TELLING))


def later(name: str) -> tuple[str, ...]:
    """Sent after the fault: the pool, or the next one, must still do them."""
    return tuple(f"later {name} {number}" for number in (1, 2, 3))


class Scene:
    """A pool behind a proxy, and the message that it is busy with."""

    def __init__(self, start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy) -> None:
        self.home, self.queue, self.proxy = home, queue, proxy
        self._start = start
        self._gates = [home.gate(name) for name in ("import", "birth")]
        self.pool: Pool

    def begin(self, victim: str, moment: str, expected: Expected = ANYBODY) -> None:
        """Start a pool; what it shall not get beyond, if the moment is of its boot, is held."""
        held = "birth" if victim == "dispatcher" else "import"
        if moment == "booting":
            (self.home.directory / f"hold-{held}").touch()
            if victim == "scout":
                self.proxy.stall("GetQueueUrl")
        self.pool = self.start(expected)

    def reach(self, victim: str, moment: str, name: str) -> None:
        """Hold the pool at the moment, which is the victim's if it is about booting."""
        match moment:
            case "booting":
                self.home.trace.wait("birth" if victim == "dispatcher" else "import")
                if victim == "scout":
                    self.proxy.wait_held("GetQueueUrl")
            case "polling":
                self.proxy.stall("ReceiveMessage")
                self.proxy.wait_held("ReceiveMessage")
            case "settling":
                self.proxy.stall("DeleteMessage")
                self.queue.send(f"task {name}")
                self.proxy.wait_held("DeleteMessage")
            case _:
                self._gates.append(self.home.gate(f"work-{name}"))
                body = f"hold work-{name}"
                self.queue.send(body)
                eventually(lambda: body in self.home.trace.bodies("started"), what=self.pool.log)
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

    def hit(self, victim: str, number: signal.Signals, moment: str) -> int:
        """Send the signal, and see a stop arrive. Returns the pid of the victim, or the group's."""
        if victim == "group":
            self.pool.send_group(number)
            return self.pool.pid
        pid = self._victim(victim, moment)
        os.kill(pid, number)
        if number == signal.SIGSTOP:
            eventually(lambda: is_stopped(pid), what=f"{victim} stopped")
        return pid

    def _victim(self, name: str, moment: str) -> int:
        """The pid of the one process of that name that has to do with the moment."""
        match name:
            case "master":
                return self.pool.pid
            case "job":
                return self.home.trace.lines("started")[-1].pid
            case "template" if importing := self.home.trace.lines("import"):
                return importing[-1].pid
            case "forker":
                dispatcher = self._victim("dispatcher", moment)
                # A job that was just born has its title, and a later pid.
                found = [p for p in self.pool.titled("fleet: forker") if p.parent == dispatcher]
                return found[0].pid
            case "dispatcher" if born := self.home.trace.lines("birth"):
                return born[0].pid
            case "dispatcher" if moment != "polling":
                return self.pool.dispatcher(self.pool.wait_event("message.received")[-1]["slot"])
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
        for gate in self._gates:
            gate.open(16)
        for action in ("GetQueueUrl", "ReceiveMessage", "DeleteMessage"):
            self.proxy.release(action)

    def wait_done(self, name: str) -> None:
        """Wait until nothing is left to do after the signal, and everybody is there again."""
        done = self.home.trace.bodies
        eventually(lambda: set(later(name)) <= set(done("done")), what=self.pool.log)
        eventually(
            lambda: self.queue.depth() == EMPTY,
            what=lambda: f"{self.queue.depth()}:\n{self.pool.log()}",
        )
        eventually(self.is_whole, what=lambda: f"whole: {self.pool.processes()}\n{self.pool.log()}")

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


@pytest.mark.parametrize(("victim", "names", "moment"), CELLS)
def test_nothing_is_lost(
    scene: Scene, home: Home, victim: str, names: tuple[str, ...], moment: str
) -> None:
    witness = Witness(scene.proxy, home.trace)
    stillborn = (victim, names, moment) == ("template", ("KILL",), "booting")
    expected = LATE if moment == "draining" else ANYBODY
    scene.begin(victim, moment, STILLBORN if stillborn else expected)
    for name in names:
        known = len(witness.broken)
        scene.reach(victim, moment, name)
        number = signal.Signals[f"SIG{name}"]
        pid = scene.hit(victim, number, moment)
        if number == signal.SIGKILL and victim in ("group", "master"):
            scene.pool.kill_master()  # waits, and expects what is already so
        scene.go_on()
        if number == signal.SIGSTOP:
            with contextlib.suppress(ProcessLookupError):  # it may have been killed as hung
                (os.killpg if victim == "group" else os.kill)(pid, signal.SIGCONT)
        scene.queue.send(*later(name))
        if ends_the_pool(victim, name, moment):
            scene.pool.wait()
            scene.pool = scene.start()
        scene.wait_done(name)
        assert scene.queue.dead_depth() == EMPTY
        assert {line.body for line in home.trace.lines("started")} == set(home.trace.bodies("done"))
        assert witness.unfinished == []
        # Nobody extends the lease of a host that is stopped.
        assert number == signal.SIGSTOP or witness.broken[known:] == []


# The embedded server, which a proxy stands before. It ignores TERM. When it is killed it loses its
# queues, with the messages whose deletes are asked for.


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


LOOKS = ("GetQueueUrl", "GetQueueAttributes")  # of a scout at a queue
EMBEDDED = [
    *[(moment, (name,)) for moment in ("booting", "draining") for name in ("TERM", "STOP", "KILL")],
    *[(moment, ("TERM", "STOP", "KILL")) for moment in ("polling", "running", "settling")],
]


@pytest.mark.parametrize(
    ("moment", "names"), EMBEDDED, ids=[f"{'-'.join(names)}-{moment}" for moment, names in EMBEDDED]
)
def test_nothing_is_lost_but_what_a_killed_server_takes_along(
    start: StartPool, home: Home, embedded: Embedded, names: tuple[str, ...], moment: str
) -> None:
    proxy = FaultProxy(embedded.port)
    scene = Scene(start, home, embedded.queue, proxy)
    try:
        scene.begin("scout", moment, LATE)
        for name in names:
            scene.reach("scout", moment, name)
            server, number = embedded.pid(), signal.Signals[f"SIG{name}"]
            os.kill(server, number)
            scene.go_on()
            if number == signal.SIGKILL:
                # A pool that begins would end where the queue is not there yet.
                for call in LOOKS:
                    proxy.cut(call, times=1000)
                embedded.replace()
                for call in LOOKS:
                    proxy.heal(call)
                scene.queue = embedded.queue
            elif number == signal.SIGSTOP:
                eventually(partial(is_stopped, server))
                os.kill(server, signal.SIGCONT)
            scene.queue.send(*later(name))
            if moment == "draining":
                scene.pool.wait()
                scene.pool = scene.start()
            scene.wait_done(name)
            assert scene.queue.dead_depth() == EMPTY
            assert {each.body for each in home.trace.lines("started")} == set(
                home.trace.bodies("done")
            )
        scene.pool.terminate()
        scene.pool.wait()
    finally:
        proxy.close()
