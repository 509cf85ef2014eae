"""The log is read no more (a pager, Ctrl-S): the pool works on, and tells later what is lost."""

import contextlib
import json
import os
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.eventually import PATIENCE
from tests.support.pool import APPS, Home
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue

EXTEND, RECEIVE, DELETE = "ChangeMessageVisibility", "ReceiveMessage", "DeleteMessage"
PIECE = 4096


class Unread:
    """A pool whose log goes to `writer`; nobody reads it at `reader` until somebody asks for a
    line.
    """

    def __init__(
        self, home: Home, proxy: FaultProxy, queue: LiveQueue, ends: tuple[int, int], *options: str
    ) -> None:
        self.reader, writer = ends
        self._came = b""
        where = (
            "--queue",
            queue.name,
            "--endpoint-url",
            proxy.endpoint,
            "--wait-time",
            "1",
            "--workers",
            "1",
        )
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "fleet",
                "start",
                *where,
                "--visibility-timeout",
                "3",
                *options,
                "jobs:job",
            ],
            cwd=APPS,
            env=home.environment(),
            stdin=subprocess.DEVNULL,
            stderr=writer,
            start_new_session=True,
        )
        os.close(writer)

    def lines(self) -> Iterator[str]:
        """The lines as they come, to the log's end."""
        while True:
            line, end, rest = self._came.partition(b"\n")
            if end:
                self._came = rest
                yield line.decode()
            elif select.select([self.reader], [], [], PATIENCE)[0]:
                with contextlib.suppress(OSError):  # a terminal's way to say that this is the end
                    if more := os.read(self.reader, 65536):
                        self._came += more
                        continue
                return
            else:
                raise AssertionError("no line more, and no end")

    def event(self, name: str) -> dict[str, Any]:
        """The next event of that name."""
        return next(event for event in map(json.loads, self.lines()) if event["event"] == name)

    def end(self) -> int:
        """Drain it; its exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


@pytest.fixture
def ends() -> Iterator[list[int]]:
    """What is closed in the end."""
    found: list[int] = []
    yield found
    for fd in found:
        os.close(fd)


def fill(writer: int) -> None:
    """With spaces, which do not hurt a line of JSON that comes after them."""
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b" " * PIECE)
    os.set_blocking(writer, True)


def delivered_once(proxy: FaultProxy, queue: LiveQueue) -> None:
    """One message came, at its first attempt, and was deleted."""
    queue.wait_depth()
    came = [
        message
        for exchange in proxy.journal(RECEIVE)
        for message in (exchange.answer or {}).get("Messages") or []
    ]
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in came] == ["1"]
    assert proxy.count(DELETE) == 1
    assert queue.depth() == EMPTY


@pytest.mark.slow
def test_a_pipe_that_nobody_reads(
    home: Home, queue: LiveQueue, proxy: FaultProxy, ends: list[int]
) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    reader, writer = os.pipe()
    ends.append(reader)
    fill(writer)
    pool = Unread(home, proxy, queue, (reader, writer), "--log-format", "json")
    try:
        (job,) = home.trace.wait("started")
        proxy.wait_count(EXTEND, 6)  # two leases
        gate.open()
        delivered_once(proxy, queue)
        (dispatcher,) = (
            each.pid for each in home.processes() if each.title.startswith("fleet: dispatcher")
        )
        assert os.read(reader, 16 * PIECE).strip(b" ") == b""
        queue.send("task")
        lost = pool.event("log.lost")  # the dispatcher is the first that has something to say
        assert (lost["level"], lost["pid"]) == ("warning", dispatcher)
        assert lost["lines"] >= 9  # received, started, 5 × extended, succeeded, deleted
        assert pool.event("message.received")["attempt"] == 1
        queue.wait_depth()
        assert pool.end() == 0
        assert pool.event("log.lost")["pid"] == pool.process.pid
        ledger = pool.event("drain.finished")
        assert (ledger["received"], ledger["deleted"]) == (2, 2)
        assert [json.loads(line)["event"] for line in pool.lines()] == ["master.stopped"]
        assert [line.pid for line in home.trace.lines("started") if line.body == "hold g"] == [
            job.pid
        ]
    finally:
        pool.process.kill()
        pool.process.wait()
    home.wait_empty()


def test_a_pool_ends_although_nobody_reads(
    home: Home, queue: LiveQueue, proxy: FaultProxy, ends: list[int]
) -> None:
    """Also with something to complain of: the app cannot be loaded."""
    reader, writer = os.pipe()
    ends.append(reader)
    fill(writer)
    pool = Unread(home, proxy, queue, (reader, writer), "--transformer", "broken:job")
    try:
        assert pool.process.wait(PATIENCE) == 4
    finally:
        pool.process.kill()
        pool.process.wait()
    home.wait_empty()


@pytest.mark.slow
def test_a_terminal_that_is_stopped(
    home: Home, queue: LiveQueue, proxy: FaultProxy, ends: list[int]
) -> None:
    """As Ctrl-S stops it, and Ctrl-Q lets it go on."""
    gates = [home.gate(name) for name in ("g", "h")]
    queue.send("hold g")
    reader, writer = os.openpty()
    ends += [reader, os.dup(writer)]
    pool = Unread(home, proxy, queue, (reader, writer), "--log-level", "debug")
    try:
        home.trace.wait("started")
        termios.tcflow(ends[1], termios.TCOOFF)
        proxy.wait_count(EXTEND, proxy.count(EXTEND) + 6)
        gates[0].open()
        delivered_once(proxy, queue)
        termios.tcflow(ends[1], termios.TCOON)
        queue.send("hold h")
        said = next(line for line in pool.lines() if "nobody read this log" in line)
        assert "lines lost by process" in said
        assert any("message received" in line for line in pool.lines())
        home.trace.wait("started", 2)
        termios.tcflow(ends[1], termios.TCOOFF)
        pool.process.terminate()  # now the master has something to draw, again and again
        proxy.wait_count(EXTEND, proxy.count(EXTEND) + 6)
        gates[1].open()
        assert pool.process.wait(PATIENCE) == 0
    finally:
        pool.process.kill()
        pool.process.wait()
    home.wait_empty()
    assert queue.depth() == EMPTY
    assert home.trace.bodies("started") == ["hold g", "hold h"]
