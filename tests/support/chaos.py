"""Random faults for a bounded time under load, and an audit of queue, ledgers and processes.

    feeder ──▶ ministack ◀── proxy ◀── pool after pool ◀── kills, stops, signals, commands
                    (faults, witness)

The seed fixes what is done, not what comes of it. What must hold is in `Audit`; the paths do not
matter.

docs/decisions/0028 has the reasons.
"""

import argparse
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import fleet
from tests.support.eventually import eventually
from tests.support.pool import Event, Expected, Home, Pool, run_fleet
from tests.support.proxy import FaultProxy
from tests.support.servers import LiveQueue, ministack
from tests.support.witness import Witness

LEASE = 6.0  # seconds
WORKERS = 6
BACKLOG = 40  # messages that wait or are worked on
# Seconds between two faults, if some work was done meanwhile.
PAUSES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
PATIENCE = 1.5  # seconds between two faults otherwise
WORK = (
    *(("nap 0.02",) * 6),
    *(("nap 0.2",) * 4),
    *(
        "nap 1",
        "nap 2",
        "task",
        "litter 0.1",
        "fail on purpose",
        "retry 1",
        "crash-at-first SEGV",
        "die KILL",
    ),
    *("attempts fail x/exit 7/nap 0.1", "say something"),
)
HARMLESS = ("USR1", "USR2", "ALRM", "WINCH", "CONT", "CHLD", "PIPE", "TTIN", "TTOU", "HUP")
ACTIONS = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")
# How a pool may end: drained; killed by its third signal; unable to keep its dispatchers alive; its
# template killed before it ever came up; unable to find the queue; drained while the queue's
# answers to deletes did not arrive (the ledger must tell of them); or by what was sent to it,
# before it had handlers or for good.
UNCONFIRMED = 8
ENDS = {0, 3, 4, 5, 7, UNCONFIRMED, -signal.SIGKILL}
EARLY_ENDS = {
    130,
    *(
        -signal.Signals[f"SIG{name}"]
        for name in ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "ALRM")
    ),
}
PACKAGE = Path(fleet.__file__).resolve().parent
FAULTS = ("dispatcher.failed", "master.failed")


@dataclass
class Audit:
    """What was found; the run was clean when `wrong` is empty."""

    seed: int
    seconds: float = 0.0
    sent: int = 0
    finished: int = 0
    repeated: int = 0
    dead: int = 0
    visible: int = 0
    looked_at: int = 0
    deaths: int = 0
    ends: Counter[int] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """The summary, for people."""
        ends = ", ".join(f"exit {code} × {count}" for code, count in sorted(self.ends.items()))
        faults = ", ".join(f"{what} × {count}" for what, count in sorted(self.done.items()))
        rows = {
            "seed": self.seed,
            "seconds": f"{self.seconds:.0f}",
            "pools": f"{self.ends.total()} ({ends})",
            "faults": f"{self.done.total()} ({faults})",
            "dispatcher deaths": self.deaths,
            "messages sent": self.sent,
            "finished": f"{self.finished} ({self.repeated} more than once)",
            "dead-lettered, never finished": self.dead,
            "still visible": self.visible,
            "given away or deleted, watched": self.looked_at,
            "wrong": len(self.wrong),
        }
        width = max(map(len, rows))
        lines = [f"{name:<{width}}  {value}" for name, value in rows.items()]
        return "\n".join([*lines, *(f"WRONG: {text}" for text in self.wrong)])


def run(directory: Path, seed: int, seconds: float) -> Audit:
    """Chaos for so many seconds, from when the first job has ended, and the audit."""
    audit = Audit(seed)
    (directory / "server").mkdir()
    home = Home(directory)
    began = time.monotonic()
    try:
        with ministack(directory / "server") as server:
            proxy = FaultProxy(server.port, remember=1000)
            try:
                chaos = Chaos(home, LiveQueue.fresh(server, limit=8), proxy, audit)
                chaos.wait_for_work()
                chaos.rage(time.monotonic() + seconds)
                chaos.settle()
            finally:
                proxy.close()
        home.wait_empty()
    finally:
        home.close()
        audit.seconds = time.monotonic() - began
    return audit


def is_frame_of_fleet(line: str) -> bool:
    """Say whether a line of a traceback, or of faulthandler's, names a file of the package.

    The package may lie anywhere.
    """
    path = re.search(r'File "(.*?)"', line)
    return path is not None and Path(path.group(1)).resolve().is_relative_to(PACKAGE)


class Chaos:
    """One run."""

    def __init__(self, home: Home, queue: LiveQueue, proxy: FaultProxy, audit: Audit) -> None:
        self._home, self._queue, self._proxy, self._audit = home, queue, proxy, audit
        self._random = random.Random(audit.seed)
        self._witness = Witness(proxy, home.trace)
        self._sent: dict[str, str] = {}  # id → body
        self._later: list[tuple[float, Callable[[], None]]] = []
        # Until then nobody hurts the master: a dispatcher is stopped for longer than its lease.
        self._held_until = 0.0
        self._pools = 0
        self._pool = self._start()
        self._faults = (
            (self._kill, 22),
            (self._term, 6),
            (self._stop, 10),
            (self._stop_long, 1),
            (self._harmless, 12),
            (self._harmless_to_all, 6),
            (self._end_of_pool, 3),
            (self._fail_requests, 8),
            (self._stall, 6),
            (self._command, 3),
        )

    def _start(self) -> Pool:
        self._pools += 1
        self._up_since = 0.0
        where = (
            "--queue",
            self._queue.name,
            "--endpoint-url",
            self._proxy.endpoint,
            "--name",
            "chaos",
        )
        how = ("--workers", str(WORKERS), "--visibility-timeout", f"{LEASE:g}", "--wait-time", "1")
        stop = (
            "--drain-timeout",
            "2",
            "--exit-timeout",
            "1",
            "--retry-delay",
            "0.2,1",
            "--depth-interval",
            "2",
        )
        arguments = ("start", *where, *how, *stop, "--log-format", "json", "chaotic:job")
        return Pool(self._home, arguments, Expected(noise=True), self._home.environment())

    # The loop.

    def wait_for_work(self) -> None:
        """Wait until the pool does something: a slow machine may take long to start it."""
        self._feed()
        eventually(self._finished, what=self._pool.log)

    def rage(self, until: float) -> None:
        """Feed, hurt, and start again what has ended."""
        while time.monotonic() < until:
            self._feed()
            self._do_what_is_due()
            if self._pool.process.poll() is not None:
                self._inspect(self._pool)
                self._pool = self._start()
            faults, weights = zip(*self._faults, strict=True)
            self._random.choices(faults, weights)[0]()
            self._pause()

    def _pause(self) -> None:
        """Wait until some work was done, on a slow machine too.

        A pool that does none is hurt again all the same.
        """
        began, finished = time.monotonic(), self._finished()
        least = self._random.choice(PAUSES)
        eventually(
            lambda: time.monotonic() >= began + (least if self._finished() > finished else PATIENCE)
        )

    def _finished(self) -> int:
        return len(self._home.trace.lines("done"))

    def settle(self) -> None:
        """No more faults: everything must come to rest by itself. Then look."""
        for _, act in self._later:
            act()
        for action in ACTIONS:
            self._proxy.heal(action)
            self._proxy.release(action)
        if self._pool.process.poll() is not None:
            self._inspect(self._pool)
            self._pool = self._start()
        self._fleet("resume")  # a pool that starts or ends just now is not paused
        eventually(
            self._is_quiet, 90.0, lambda: f"at rest: {self._queue.depth()}\n{self._pool.log()}"
        )
        while self._pool.process.poll() is None:
            self._signal(self._pool.pid, signal.SIGTERM)
            self._pool.process.wait(60)
        self._inspect(self._pool)
        self._home.wait_empty()
        eventually(lambda: self._queue.depth().in_flight == 0, 2 * LEASE, "nothing in flight")
        self._look()

    def _is_quiet(self) -> bool:
        depth = self._queue.depth()
        if self._pool.process.poll() is not None:  # a signal that was sent before
            self._inspect(self._pool)
            self._pool = self._start()
        return depth.visible == depth.in_flight == depth.delayed == 0

    def _feed(self) -> None:
        depth = self._queue.depth()
        if depth.visible + depth.in_flight + depth.delayed < BACKLOG:
            bodies = self._random.choices(WORK, k=10)
            self._sent |= dict(zip(self._queue.send(*bodies), bodies, strict=True))

    def _do_what_is_due(self) -> None:
        due = [act for at, act in self._later if at <= time.monotonic()]
        self._later = [(at, act) for at, act in self._later if at > time.monotonic()]
        for act in due:
            act()

    def _in(self, seconds: float, act: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, act))

    # What is done to it.

    def _count(self, what: str) -> None:
        self._audit.done[what] += 1

    def _signal(self, pid: int, number: signal.Signals, *, group: bool = False) -> None:
        try:
            (os.killpg if group else os.kill)(pid, number)
        except ProcessLookupError:
            return

    def _somebody(self, *kinds: str) -> int | None:
        """A process of the present pool, of one of the kinds."""
        kind = self._random.choice(kinds)
        found = [
            process.pid
            for process in self._home.processes()
            if process.title.startswith(f"fleet: {kind}")
        ]
        return self._random.choice(found) if found else None

    def _spares_the_master(self) -> bool:
        """Say whether the master is left alone: while a dispatcher is stopped for long.

        Mostly also while the pool comes up, or nothing else would happen.
        """
        if not self._up_since and self._pool.events("master.started"):
            self._up_since = time.monotonic()
        booting = not self._up_since and self._random.random() < 0.95
        return booting or time.monotonic() < self._held_until

    def _kill(self) -> None:
        kind = self._random.choices(("dispatcher", "job", "template", "scout"), (10, 8, 1, 1))[0]
        if pid := self._somebody(kind):
            self._count(f"KILL {kind}")
            self._signal(pid, signal.SIGKILL)

    def _term(self) -> None:
        kind = self._random.choice(("dispatcher", "job", "template", "scout"))
        if pid := self._somebody(kind):
            self._count(f"TERM {kind}")
            self._signal(pid, signal.SIGTERM)

    def _stop(self) -> None:
        """For a second at most, which no lease minds."""
        masters = () if self._spares_the_master() else ("master", "group")
        kind = self._random.choice(("dispatcher", "job", "template", "scout", *masters))
        seconds = self._random.uniform(0.0, 1.0)
        if kind == "group":
            self._count("STOP group")
            leader = self._pool.pid
            self._signal(leader, signal.SIGSTOP, group=True)
            self._in(seconds, lambda: self._signal(leader, signal.SIGCONT, group=True))
        elif pid := self._somebody(kind):
            self._count(f"STOP {kind}")
            self._signal(pid, signal.SIGSTOP)
            self._in(seconds, lambda: self._signal(pid, signal.SIGCONT))

    def _stop_long(self) -> None:
        """A dispatcher, for longer than its lease: the master must see it in time."""
        if pid := self._somebody("dispatcher"):
            self._count("STOP dispatcher, long")
            self._held_until = time.monotonic() + 2 * LEASE
            self._signal(pid, signal.SIGSTOP)
            self._in(2 * LEASE, lambda: self._signal(pid, signal.SIGCONT))

    def _harmless(self) -> None:
        masters = () if self._spares_the_master() else ("master",)
        kind = self._random.choice(("dispatcher", "template", "scout", *masters))
        name = self._random.choice(HARMLESS)
        if pid := self._somebody(kind):
            self._count(f"harmless to {kind}")
            self._signal(pid, signal.Signals[f"SIG{name}"])

    def _harmless_to_all(self) -> None:
        if self._spares_the_master():
            return
        self._count("harmless to group")
        self._signal(
            self._pool.pid, signal.Signals[f"SIG{self._random.choice(HARMLESS)}"], group=True
        )

    def _end_of_pool(self) -> None:
        if self._spares_the_master() or time.monotonic() < self._up_since + 4.0:
            return
        name = self._random.choices(("TERM", "INT", "QUIT", "KILL"), (4, 2, 1, 3))[0]
        group = self._random.random() < 0.5
        self._count(f"{name} {'group' if group else 'master'}")
        self._signal(self._pool.pid, signal.Signals[f"SIG{name}"], group=group)

    def _fail_requests(self) -> None:
        action = self._random.choice(ACTIONS)
        # Each failed receive call makes the pool wait twice as long.
        times = 1 if action == "ReceiveMessage" else self._random.randint(1, 4)
        self._count("failing requests")
        match self._random.randrange(4):
            case 0:
                self._proxy.fail(action, times)
            case 1:
                self._proxy.throttle(action, times)
            case 2:
                self._proxy.cut(action, times)
            case 3:
                self._proxy.cut(action, times, after=True)

    def _stall(self) -> None:
        action = self._random.choice(ACTIONS)
        self._count("stalled requests")
        self._proxy.stall(action)
        self._in(self._random.uniform(0.0, 1.0), lambda: self._proxy.release(action))

    def _command(self) -> None:
        # While we wait for an answer no stopped process is continued.
        if self._later or self._spares_the_master():
            return
        size = str(self._random.randint(2, 9))
        command = self._random.choice(
            (("scale", size), ("pause",), ("status",), ("stop", "--no-wait"))
        )
        self._count(f"fleet {command[0]}")
        self._fleet(*command)
        if command == ("pause",):
            self._in(0.5, lambda: self._fleet("resume"))

    def _fleet(self, *command: str) -> None:
        """Whether it finds a pool, and what that answers, is a matter of luck here."""
        run_fleet(self._home, *command, "chaos")

    # The audit.

    def _wrong(self, text: str) -> None:
        self._audit.wrong.append(text)

    def _inspect(self, pool: Pool) -> None:
        """Note how a pool has ended, and what its log says."""
        code = pool.wait()
        if code >= 0:  # else orphans may hold the log open for a while
            pool.wait_log_end()
        self._audit.ends[code] += 1
        started = pool.events("master.started")
        if code not in ENDS and (started or code not in EARLY_ENDS):
            self._wrong(f"pool {self._pools} ended with status {code}:\n{pool.log()}")
        self._audit.deaths += len(pool.events("dispatcher.died"))
        for event in pool.events():
            if event["event"] in FAULTS:
                self._wrong(f"pool {self._pools}: {event}")
        for line in pool.noise if started else []:  # before that Python itself may tell of a Ctrl-C
            if is_frame_of_fleet(line):
                self._wrong(f"pool {self._pools}: a traceback of fleet's: {line}")
        if told := pool.events("drain.finished"):
            self._balance(told[-1])
            if code == UNCONFIRMED and not told[-1]["left"]:
                self._wrong(
                    f"pool {self._pools} ended with status {code} and left nothing: {told[-1]}"
                )
        elif code in (0, 3, 7, UNCONFIRMED):
            self._wrong(
                f"pool {self._pools} ended with status {code} and told no ledger:\n{pool.log()}"
            )

    def _balance(self, ledger: Event) -> None:
        settled = sum(ledger[name] for name in ("deleted", "released", "dead_lettered", "left"))
        if ledger["received"] != settled:
            self._wrong(f"pool {self._pools}: the ledger does not balance: {ledger}")

    def _look(self) -> None:
        """Every message: finished at least once, dead-lettered, or there for the next one."""
        done = Counter(line.message_id for line in self._home.trace.lines("done"))
        dead = self._queue.dead_ids()
        audit = self._audit
        audit.sent, audit.visible = len(self._sent), self._queue.depth().visible
        audit.finished = len(self._sent.keys() & done.keys())
        audit.repeated = sum(count > 1 for count in done.values())
        audit.looked_at = len(self._witness.seen)
        lost = self._sent.keys() - done.keys() - dead
        audit.dead = len(self._sent.keys() & dead - done.keys())
        if len(lost) > audit.visible:
            bodies = Counter(self._sent[message_id] for message_id in lost)
            self._wrong(f"{len(lost) - audit.visible} messages are lost: {bodies}")
        for text in self._witness.broken:
            self._wrong(
                f"{text}: {[body for message_id, body in self._sent.items() if message_id in text]}"
            )
        for message_id in self._witness.unfinished:
            self._wrong(f"{message_id} ({self._sent.get(message_id)}) was deleted unfinished")


def main() -> int:
    """`scripts/chaos`: one run, its table; 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, metavar="N", help="how long [1]")
    parser.add_argument("--seed", type=int, metavar="S", help="to do the same again [random]")
    options = parser.parse_args()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    sys.stdout.write(f"seed {seed}\n")
    sys.stdout.flush()
    with TemporaryDirectory(prefix="fleet-chaos-") as directory:
        audit = run(Path(directory), seed, 60 * options.minutes)
    sys.stdout.write(f"{audit.table()}\n")
    return int(bool(audit.wrong))


if __name__ == "__main__":
    sys.exit(main())
