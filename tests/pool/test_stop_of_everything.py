"""A signal to every process there is, jobs too: systemd's KillMode=control-group, a container's,
`kill -TERM -1`.

It is no job's own death: whatever it hits first, and whether or not a job turns it into an exit
status.
"""

import os
import signal
from collections.abc import Callable, Sequence

import pytest

from tests.support.pool import Expected, Home, Pool, StartPool
from tests.support.processes import Process
from tests.support.servers import LiveQueue

TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
HANDLER = ("--transformer", "endings:split", "--exit-handler", "endings:handler")

Order = Callable[[Sequence[Process]], list[Process]]


def jobs_first(processes: Sequence[Process]) -> list[Process]:
    ranks = ("fleet: job", "fleet: dispatcher", "fleet: scout", "fleet: template", "fleet: master")
    return sorted(
        processes,
        key=lambda process: [process.title.startswith(rank) for rank in ranks],
        reverse=True,
    )


def master_first(processes: Sequence[Process]) -> list[Process]:
    return jobs_first(processes)[::-1]


def signal_all(pool: Pool, number: signal.Signals, order: Order, times: int = 1) -> None:
    """As systemd does: it walks through the control group until it finds nobody new."""
    pool.terminated = True
    for _ in range(times):
        for process in order(pool.processes()):
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue


@pytest.mark.parametrize("order", [jobs_first, master_first])
@pytest.mark.parametrize("number", [TERM, INT, QUIT])
def test_jobs_were_stopped(
    start: StartPool, home: Home, queue: LiveQueue, number: signal.Signals, order: Order
) -> None:
    """Handed back, once and at once; no failure, though failures are deleted here."""
    home.gate("never")
    queue.send(*["hold never"] * 3)
    pool = start("--delete-failed", "--drain-timeout", "60", workers=4)
    pool.wait_ready(4)
    home.trace.wait("started", 3)
    signal_all(pool, number, order, times=2)
    assert pool.wait() == 0
    ended = [
        event
        for event in pool.events()
        if event["event"].startswith("job.") and "stopped_by" in event
    ]
    assert [event["event"] for event in ended] == ["job.stopped"] * 3
    assert {event["exit"] for event in ended} <= {number.name, "SIGTERM"}, (
        "QUIT has them stopped by fleet, too"
    )
    assert (pool.ledger()["received"], pool.ledger()["released"]) == (3, 3)
    assert len(home.trace.lines("started")) == 3
    queue.wait_depth(visible=3)


def test_one_that_makes_an_exit_status_of_it_was_stopped(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    queue.send("finish-at-term 143")
    pool = start("--delete-failed", "--drain-timeout", "60", app="endings:job", workers=1)
    home.trace.wait("waiting")
    signal_all(pool, TERM, jobs_first)
    assert pool.wait() == 0
    assert [event["exit"] for event in pool.events("job.stopped")] == ["exit 143"]
    assert pool.ledger()["released"] == 1


def test_its_exit_handler_finds_it_gone(start: StartPool, home: Home, queue: LiveQueue) -> None:
    home.gate("never")
    queue.send("hold never :: fine")
    pool = start(*HANDLER, "--drain-timeout", "60", app="endings:job", workers=1)
    home.trace.wait("started")
    signal_all(pool, TERM, jobs_first)
    assert pool.wait() == 0
    (seen,) = (line.detail for line in home.trace.lines("handler"))
    assert seen["states"] == {"started": "gone"}  # type: ignore[index]
    assert pool.events("job.stopped")
    assert pool.ledger()["released"] == 1


def test_while_the_pool_ends_by_itself(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """--max-seconds are over, and then somebody stops everything."""
    home.gate("never")
    queue.send("hold never")
    pool = start("--max-seconds", "0.5", "--job-timeout", "600", "--delete-failed", workers=1)
    home.trace.wait("started")
    pool.wait_event("drain.started")
    signal_all(pool, TERM, jobs_first)
    assert pool.wait() == 0
    assert pool.events("job.stopped")
    assert pool.ledger()["released"] == 1


def test_over_an_exit_handler(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """It has died of the stop as its job might have, and runs once more."""
    gate = home.gate("g")
    queue.send("die SEGV :: gate g")
    pool = start(
        *HANDLER,
        "--drain-timeout",
        "60",
        app="endings:job",
        workers=1,
        expected=Expected(noise=True),
    )
    home.trace.wait("handler")
    signal_all(pool, TERM, jobs_first)
    home.trace.wait("handler", 2)
    gate.open()
    assert pool.wait() == 0
    assert home.trace.bodies("handled") == ["die SEGV"]
    assert pool.ledger()["released"] == 1


@pytest.mark.parametrize("how", ["TERM", "HUP"])
def test_one_that_alone_is_hit_has_died_by_it(start: StartPool, queue: LiveQueue, how: str) -> None:
    queue.send(f"die {how}")
    pool = start("--retry-delay", "600", workers=1)
    (ended,) = pool.wait_event("job.signalled")
    assert (ended["exit"], ended["stopped_by"]) == (f"SIG{how}", None)
    pool.wait_event("message.released")
