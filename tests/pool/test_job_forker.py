"""A dispatcher's job forker: whatever happens to it, each message has one job, and that is the
dispatcher's own child.
"""

import os
import signal

import pytest

from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, Pool, StartPool
from tests.support.processes import is_alive, is_stopped
from tests.support.servers import LiveQueue

FORKER, DISPATCHER = "fleet: forker 0", "fleet: dispatcher 0"
APP = "forking:told"


def forker_of(pool: Pool) -> int:
    """The pid of the forker of the only dispatcher, once it is ready.

    A job that was just born has its title, for a moment.
    """
    pool.wait_ready(1)
    found: list[int] = []

    def look() -> bool:
        found[:] = [process.pid for process in pool.titled(FORKER)]
        return len(found) == 1

    eventually(look, what=lambda: f"one forker: {pool.processes()}")
    return found[0]


def do_another(pool: Pool, home: Home, queue: LiveQueue, count: int) -> None:
    """One message more, which is the `count`-th, to its end."""
    queue.send("task")
    pool.wait_event("message.deleted", count=count)
    check_jobs(pool, home, count)


def check_jobs(pool: Pool, home: Home, count: int) -> None:
    """So many messages had one job each, which the dispatcher knew."""
    started = home.trace.lines("started")
    assert len(started) == len({line.message_id for line in started}) == count
    assert [line.pid for line in started] == [e["job_pid"] for e in pool.events("job.started")]
    assert len(pool.wait_event("job.succeeded", count=count)) == count


def born(home: Home) -> list[str]:
    """By whom the jobs were forked, as their titles said then."""
    return [str(line.detail)[: len(DISPATCHER)].rstrip() for line in home.trace.lines("born")]


def test_it_forks_the_jobs(start: StartPool, home: Home, queue: LiveQueue) -> None:
    pool = start(app=APP, workers=1)
    forker = forker_of(pool)
    do_another(pool, home, queue, 1)
    do_another(pool, home, queue, 2)
    assert born(home) == [FORKER] * 2
    assert forker_of(pool) == forker


@pytest.mark.parametrize("body", ["x" * 200_000, "ä\ud7ff\U0001f600"])
def test_any_message_gets_its_job(
    start: StartPool, home: Home, queue: LiveQueue, body: str
) -> None:
    pool = start(app=APP, workers=1)
    forker = forker_of(pool)
    queue.send(body)
    pool.wait_event("message.deleted")
    assert home.trace.bodies("done") == [body]
    do_another(pool, home, queue, 2)
    assert born(home) == [FORKER, FORKER]
    assert forker_of(pool) == forker


@pytest.mark.parametrize("name", ["KILL", "STOP"])
def test_one_that_is_lost_while_idle_costs_nothing(
    start: StartPool, home: Home, queue: LiveQueue, name: str
) -> None:
    pool = start(app=APP, workers=1)
    forker = forker_of(pool)
    os.kill(forker, signal.Signals[f"SIG{name}"])
    eventually(lambda: is_stopped(forker) or not is_alive(forker))
    do_another(pool, home, queue, 1)
    pool.wait_event("forker.lost")
    do_another(pool, home, queue, 2)
    assert born(home) == [DISPATCHER, FORKER]
    assert not is_alive(forker)
    assert forker_of(pool) != forker


def test_it_takes_no_signal_that_can_be_refused(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    pool = start(app=APP, workers=1)
    forker = forker_of(pool)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        os.kill(forker, number)
    do_another(pool, home, queue, 1)
    assert born(home) == [FORKER]
    assert forker_of(pool) == forker


@pytest.mark.parametrize("order", ["kill", "stop", "hang"])
def test_one_that_is_lost_before_it_forks_has_forked_nothing(
    start: StartPool, home: Home, queue: LiveQueue, order: str
) -> None:
    pool = start(app=APP, workers=1)
    forker = forker_of(pool)
    (home.directory / "before").write_text(order)
    do_another(pool, home, queue, 1)
    pool.wait_event("forker.lost")
    do_another(pool, home, queue, 2)
    assert born(home) == [DISPATCHER, FORKER]
    assert not is_alive(forker)


@pytest.mark.parametrize("order", ["kill", "stop", "hang"])
def test_the_job_of_one_that_is_lost_before_it_tells_is_found(
    start: StartPool, home: Home, queue: LiveQueue, order: str
) -> None:
    """It runs already: another one would be a second job for the same delivery."""
    pool = start(app=APP, workers=1)
    forker = forker_of(pool)
    (home.directory / "after").write_text(order)
    gate = home.gate("g")
    (message_id,) = queue.send("hold g")
    (started,) = pool.wait_event("job.started")
    (line,) = home.trace.wait("started")
    assert (line.pid, line.message_id) == (started["job_pid"], message_id)
    pool.wait_event("forker.lost")
    gate.open()
    pool.wait_event("message.deleted")
    do_another(pool, home, queue, 2)
    assert born(home) == [FORKER, FORKER]
    assert not is_alive(forker)


def test_a_job_that_has_ended_before_its_forker_tells_is_not_done_again(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    pool = start(app=APP, workers=1)
    forker_of(pool)
    (home.directory / "after").write_text("hang")
    do_another(pool, home, queue, 1)
    pool.wait_event("forker.lost")


def test_a_job_that_forks_on_and_ends_before_its_forker_tells_is_known_from_its_children(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """What it has left is the dispatcher's child too by then."""
    pool = start(app=APP, workers=1)
    forker_of(pool)
    (home.directory / "after").write_text("hang")
    queue.send("orphan")
    pool.wait_event("message.deleted")
    check_jobs(pool, home, 1)
    (orphan,) = home.trace.lines("orphan")
    assert not is_alive(orphan.pid)


def test_after_three_in_a_row_the_dispatcher_forks_itself(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    pool = start("-v", app=APP, workers=1)
    forker_of(pool)
    for count in (1, 2, 3):
        (home.directory / "before").write_text("kill")
        do_another(pool, home, queue, count)
    do_another(pool, home, queue, 4)
    assert born(home) == [DISPATCHER] * 4
    assert len(pool.events("forker.lost")) == 3
    pool.wait_event("forker.unused")
    eventually(lambda: not pool.titled(FORKER))


def test_one_that_has_threads_is_used_no_more(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """A lock that a thread holds at that moment would stay held in the job for ever."""
    pool = start("-v", app=APP, workers=1)
    forker = forker_of(pool)
    (home.directory / "after").write_text("thread")
    do_another(pool, home, queue, 1)
    do_another(pool, home, queue, 2)
    do_another(pool, home, queue, 3)
    assert born(home) == [FORKER, DISPATCHER, DISPATCHER]
    pool.wait_event("forker.unused")
    assert not is_alive(forker)


def test_it_ends_with_its_dispatcher(start: StartPool, home: Home, queue: LiveQueue) -> None:
    pool = start(app=APP, workers=1, expected=Expected(kills=frozenset({"dispatcher.died"})))
    forker = forker_of(pool)
    os.kill(forker, signal.SIGSTOP)
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("dispatcher.ready", count=2)
    assert not is_alive(forker)
    do_another(pool, home, queue, 1)
    assert born(home) == [FORKER]


def test_what_kills_everything_of_a_job_leaves_it_alone(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """A job that is timed out with an orphan beside it is killed from all sides."""
    home.gate("never")
    queue.send("orphan-then never")
    expected = Expected(kills=frozenset({"job.timed_out", "job.stopping"}))
    options = ("--job-timeout", "1", "--exit-timeout", "0", "--delete-failed")
    pool = start(*options, app=APP, workers=1, expected=expected)
    forker = forker_of(pool)
    pool.wait_event("job.timed_out")
    pool.wait_event("message.deleted")
    (orphan,) = home.trace.lines("orphan")
    assert not is_alive(orphan.pid)
    assert forker_of(pool) == forker
    assert not is_stopped(forker)
