"""The faults of the program that this one replaces, as far as no other file here tells their story.

| fault of the old program                           | its test                                                       |
|----------------------------------------------------|----------------------------------------------------------------|
| a second dispatch re-runs the stale message        | here                                                           |
| a handler that raises leaves the job stopped       | test_exit_handler.py, each way it can end                      |
| an SQS error in the exit sequence leaves an orphan | test_exit_handler.py, errors of SQS meanwhile                  |
| one failed heartbeat ends the dispatcher           | test_leases.py, failed extends                                 |
| a killed dispatcher orphans the job                | test_dispatcher_death.py, at every step                        |
| a finished job is surrendered when TERM comes      | test_exit_handler.py, one that had finished                    |
| TERM between receive and fork hides the message    | here                                                           |
| TERM when idle re-runs the last handler            | test_exit_handler.py, an idle pool                             |
| a deploy dead-letters work                         | test_outcomes.py, a deploy                                     |
| a death by a signal is a success                   | test_outcomes.py, what a job says                              |
| the error does not say which message               | here                                                           |
| the error claims a move that failed                | test_outcomes.py, a letter that cannot be sent                 |
| fractional time-outs crash                         | here                                                           |
| grandchildren outlive the job                      | test_leases.py, no message is given away                       |
| a stopped job is extended in silence               | test_job_process.py, a job that is stopped                     |
| a receive error exits the process                  | test_leases.py, every error of a receive, and what cannot heal |
| bodies and arguments in the log                    | test_leases.py, bodies and arguments                           |
"""

import os
import signal

import pytest

from tests.pool.settling.test_outcomes import APP, LOUD, fates
from tests.support.pool import Home, StartPool
from tests.support.processes import is_alive
from tests.support.servers import EMPTY, LiveQueue


def test_what_failed_is_not_run_again_instead_of_the_next(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """And each line about a failure names its message."""
    works = ["fail x", "die SEGV", "retry 600", "end 3"]
    pool = start("--retry-delay", "600", app=APP, workers=1, expected=LOUD)
    ids = []
    for work in works:
        ids += queue.send(work)
        pool.wait_event("message.released", message_id=ids[-1])
    (last,) = queue.send("task")
    pool.wait_event("message.deleted", message_id=last)
    assert [(line.body, line.message_id) for line in home.trace.lines("started")] == [
        *zip(works, ids, strict=True),
        ("task", last),
    ]
    badly = [event for event in pool.events() if event["level"] == "warning" and event["event"].startswith("job.")]
    assert [event["message_id"] for event in badly] == [ids[0], ids[1], ids[3]]


@pytest.mark.parametrize("step", ["after Received", "before the fork"])
def test_a_term_between_receive_and_fork(start: StartPool, home: Home, queue: LiveQueue, step: str) -> None:
    """The message is handed back at once, or worked on: never just hidden."""
    (message_id,) = queue.send(f"{step} :: task")
    pool = start("--visibility-timeout", "60", app="halting:job", workers=1)
    (line,) = home.trace.wait("halted")
    os.kill(line.pid, signal.SIGTERM)
    pool.drain()
    os.kill(line.pid, signal.SIGCONT)
    assert pool.wait() == 0
    if fates(pool, [message_id]) == [[("released", 0)]]:
        assert not home.trace.lines("started")
        queue.wait_depth(visible=1)
    else:
        assert home.trace.bodies("done") == ["attempts task/task"]
        assert queue.depth() == EMPTY


def test_times_may_be_fractions(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """Every option that takes seconds; a lease is extended, a job is timed out, another one interrupted."""
    home.gate("never")
    timed_out, _ = queue.send("deaf never", "task")
    times = ("visibility-timeout", "2.5"), ("job-timeout", "1.25"), ("exit-timeout", "0.5"), ("drain-timeout", "0.25")
    more = ("wait-time", "0.5"), ("retry-delay", "0.6,1.5"), ("depth-interval", "0.5"), ("start-timeout", "9.5")
    options = [word for name, value in (*times, *more) for word in (f"--{name}", value)]
    pool = start(*options, app=APP, expected=LOUD)
    pool.wait_event("message.released", message_id=timed_out)
    assert pool.events("lease.extended")
    pool.wait_event("message.deleted")
    (interrupted,) = queue.send("hold never")
    pool.wait_event("job.started", message_id=interrupted)
    pool.terminate()
    assert pool.wait() == 0
    assert not any(is_alive(line.pid) for line in home.trace.lines())
