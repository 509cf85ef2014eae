"""What every measurement needs: the stand-in, a tree of processes with its cost, the log of a pool,
/proc.

A tree's cost is what wait4 says of its first process after that has ended. The kernel adds a
child's CPU time to its parent's when the parent waits for it, so this covers every descendant that
was reaped inside the tree: jobs by their dispatcher; dispatchers, template and scout by the master.
Sampling /proc instead would miss a job of two milliseconds. Nothing of the stand-in is in it: it
runs beside the tree.
"""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, Self

import psutil

from bench import proc

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds until a benchmark that makes no progress is given up
SLOWEST_START = 240.0  # seconds; 64 processes may each import boto3 and make a client


def end_on_term() -> None:
    """End by SIGTERM as by Ctrl-C, so that what was started is ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


class BenchError(Exception):
    """What is measured did not behave; the text says how."""


class Polled(Protocol):
    """What a program polls, as far as its start and its end need it."""

    def reset(self) -> None:
        """Forget everything."""

    def flush(self) -> None:
        """Have everybody who waits for a message come home without one."""

    def open_polls(self) -> int: ...


class Feed(Polled, Protocol):
    """What feeds a program with messages and sees what becomes of them. Messages are numbered: in
    `fill` from 0 on, in `put` by the caller, and what runs stamps with that number.
    """

    url: str

    def fill(self, count: int) -> None:
        """Put so many messages."""

    def put(self, number: int) -> None:
        """Put one message."""

    def await_deleted(self, count: int) -> None:
        """Return once so many were deleted since the reset. Raises BenchError."""

    def await_polls(self, count: int) -> None:
        """Return once so many wait for a message. Raises BenchError."""

    def go_down(self, seconds: float) -> None:
        """Refuse connections for so long; return when they are taken again."""

    def requests(self) -> dict[str, int]:
        """How many there were since the reset, by name."""

    def messages(self) -> list[dict[str, Any]]:
        """In the order in which they were put: when each was sent, received and deleted, in ns of
        CLOCK_MONOTONIC.
        """


class Endpoint:
    """The stand-in, in a process of its own. BODIES are what messages carry in turn, instead of
    their numbers.
    """

    def __init__(self, bodies: Sequence[str] = ()) -> None:
        command = [sys.executable, "-m", "bench.standin", "0"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        if bodies:
            self._ask("POST", "/bodies", json.dumps(bodies))

    def call(self, method: str, target: str) -> dict[str, Any]:
        """One control request. Raises BenchError when no answer comes."""
        try:
            return self._ask(method, target)
        except TimeoutError:
            self._connection.close()  # the next call makes a new one
            stats = self._ask("GET", "/stats")
            raise BenchError(f"no progress in {PATIENCE:g} s at {target}: {stats}") from None

    def _ask(self, method: str, target: str, body: str | None = None) -> dict[str, Any]:
        self._connection.request(method, target, body)
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return answer

    def reset(self) -> None:
        self.call("POST", "/reset")

    def fill(self, count: int) -> None:
        self.call("POST", f"/fill?n={count}")

    def put(self, number: int) -> None:
        self.call("POST", f"/fill?n=1&from={number}")

    def await_deleted(self, count: int) -> None:
        deleted = -1
        while True:
            try:
                self.call("GET", f"/wait?deleted={count}")
            except BenchError:
                before, deleted = deleted, int(self.call("GET", "/stats")["deleted"])
                if deleted == before:
                    raise
            else:
                return

    def await_polls(self, count: int) -> None:
        self.call("GET", f"/wait?polls={count}")

    def flush(self) -> None:
        self.call("POST", "/flush")

    def go_down(self, seconds: float) -> None:
        self.call("POST", f"/down?seconds={seconds}")
        self._connection.close()
        time.sleep(seconds)
        await_true(lambda: accepts(self.port), "the stand-in")

    def open_polls(self) -> int:
        return int(self.call("GET", "/stats")["open_polls"])

    def requests(self) -> dict[str, int]:
        return dict(self.call("GET", "/stats")["requests"])

    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.call("GET", "/messages")["messages"]
        return messages

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self.process.kill()
        self.process.communicate()


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@dataclass(frozen=True)
class Cost:
    """What a whole tree has used from its start to its end."""

    cpu: float  # seconds
    faults: int  # minor page faults

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.cpu - other.cpu, self.faults - other.faults)


@dataclass(frozen=True)
class Program:
    """How something that is measured is started; when it is ready it has so many polls open."""

    command: Sequence[str]
    environment: Mapping[str, str]
    polls: int


class Tree:
    """What is measured, while it runs. Its standard error is kept in a file."""

    def __init__(self, program: Program, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self.stamps = directory / "stamps"
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FLEET_", "AWS_"))
        }
        own = {
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "us-east-1",
            "XDG_RUNTIME_DIR": str(directory),
            "BENCH_STAMPS": str(self.stamps),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                program.command,
                cwd=directory,
                env={**inherited, **own, **program.environment},
                stdout=log,
                stderr=log,
            )
        self.pid = self.process.pid

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of that name so far, of a pool with a JSON log; their time in seconds since
        the epoch.
        """
        lines = self.log.read_text().split("\n")[:-1]
        events = [
            json.loads(line) for line in lines if f'"{name}"' in line and line.startswith("{")
        ]
        return [
            {**e, "time": datetime.fromisoformat(e["time"]).timestamp()}
            for e in events
            if e["event"] == name
        ]

    def await_events(self, name: str, count: int) -> list[dict[str, Any]]:
        """At least so many events of that name, in the order of their times."""
        await_true(lambda: len(self.events(name)) >= count, f"{count} × {name}")
        return sorted(self.events(name), key=lambda event: event["time"])

    def stamped(self, word: str) -> dict[str, tuple[int, int]]:
        """The stamps of one kind by their key; the last of each."""
        return {key: (first, second) for key, first, second in self.lines(word)}

    def lines(self, word: str) -> list[tuple[str, int, int]]:
        """All stamps of one kind, in the order in which they were written."""
        text = self.stamps.read_text() if self.stamps.exists() else ""
        lines = [line.split() for line in text.splitlines()]
        return [(key, int(a), int(b)) for kind, key, a, b in lines if kind == word]

    def end(self, feed: Polled, number: int | None) -> Cost:
        """Send the signal, bring open polls home, wait; raises BenchError unless all ends with
        status 0.
        """
        if number is not None:
            os.kill(self.pid, number)
        pidfd = os.pidfd_open(self.pid)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        deadline = time.monotonic() + PATIENCE
        feed.flush()
        while not poller.poll(100):
            if time.monotonic() > deadline:
                raise BenchError("it does not end")
            feed.flush()
        os.close(pidfd)
        _, status, usage = os.wait4(self.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            raise BenchError(
                f"it ended with status {self.process.returncode}: {self.log.read_text()[-2000:]}"
            )
        return Cost(usage.ru_utime + usage.ru_stime, usage.ru_minflt)


@contextmanager
def running(feed: Polled, program: Program) -> Iterator[Tree]:
    """A program, from an empty queue on until its polls are open."""
    feed.reset()
    with started(program) as tree:
        await_true(
            lambda: feed.open_polls() >= program.polls or tree.process.poll() is not None,
            "a poll",
            SLOWEST_START,
        )
        if program.polls and tree.process.returncode is not None:
            raise BenchError(
                f"`{' '.join(program.command)}` ended at its start: {tree.log.read_text()[-2000:]}"
            )
        yield tree


@contextmanager
def started(program: Program) -> Iterator[Tree]:
    """A program from its start on; what is left of it is killed at the end."""
    with TemporaryDirectory(prefix="fleet-bench-") as directory:
        tree = Tree(program, Path(directory))
        try:
            yield tree
        finally:
            if tree.process.returncode is None:
                tree.process.send_signal(signal.SIGKILL)
                tree.process.wait()
            proc.end(tree.directory)


def await_true(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Look every 20 ms until the condition holds; used where nothing is being measured.

    Raises BenchError.
    """
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"waited {patience:g} s for {what}")
        time.sleep(0.02)


@dataclass(frozen=True)
class Activity:
    """What processes have done so far, as the kernel counts it."""

    cpu: float  # seconds
    wakeups: int  # voluntary context switches

    def __sub__(self, other: "Activity") -> "Activity":
        return Activity(self.cpu - other.cpu, self.wakeups - other.wakeups)


def activity(pid: int, *, whole_tree: bool) -> Activity:
    """Of a process, or of it and all its descendants that live now. /proc/PID/stat counts
    hundredths; schedstat ns.
    """
    pids = (
        [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        if whole_tree
        else [pid]
    )
    cpu = sum(int(Path(f"/proc/{each}/schedstat").read_text().split()[0]) for each in pids)
    statuses = [Path(f"/proc/{each}/status").read_text() for each in pids]
    return Activity(
        cpu / 1e9,
        sum(int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for status in statuses),
    )
