"""A job's process is a program's like any other: what Python promises a process holds in it."""

import os
import signal
from typing import Any

import pytest

from tests.pool.settling.test_outcomes import APP, LOUD
from tests.support.pool import Home, StartPool
from tests.support.servers import LiveQueue


def test_it(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """Score, limits, alarm, input, and what multiprocessing needs."""
    queue.send("several", "surroundings")
    pool = start(app=APP, workers=1)
    pool.wait_event("message.deleted", count=2)
    (computed,) = home.trace.lines("computed")
    assert computed.detail == {"squares": [0, 1, 4, 9, 16], "answered": True}
    (finalized,) = home.trace.lines("finalized")
    assert finalized.pid == computed.pid, "its exit functions run, in the job only"
    assert pool.output() == "printed without a line end"
    found: Any = home.trace.lines("surroundings")[0].detail
    outside = found.pop("before")
    assert found["oom_score_adj"] > 0
    assert found["alarm"] == [0.0, 0.0]
    assert found["core"] == outside["core"], "whoever wants core dumps has set it"
    assert found["wakeup"] == -1
    assert found["blocked"] == []
    assert found["handlers"] == {
        "SIGTERM": 0,
        "SIGHUP": 0,
        "SIGQUIT": 0,
        "SIGCHLD": 0,
        "SIGALRM": 0,
        "SIGUSR1": 0,
    }
    assert found["input"] == ""
    assert found["descriptors"] == [0, 1, 2]
    assert found["death_signal"] == 9
    assert found["main_process"] is True


@pytest.mark.slow
def test_a_job_that_is_stopped_is_told(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """SIGSTOP from outside: its lease is kept, and not in silence."""
    home.gate("never")
    queue.send("hold never")
    pool = start(
        "--visibility-timeout",
        "2",
        "--job-timeout",
        "6",
        "--exit-timeout",
        "1",
        "--retry-delay",
        "60",
        app=APP,
        workers=1,
        expected=LOUD,
    )
    (line,) = home.trace.wait("started")
    os.kill(line.pid, signal.SIGSTOP)
    pool.wait_event("job.frozen", job_pid=line.pid)
    pool.wait_event("job.timed_out", job_pid=line.pid)
    pool.wait_event("message.released")
