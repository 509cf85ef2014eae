"""A stop that hits a job before it is one."""

import pytest

from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, StartPool
from tests.support.processes import is_alive
from tests.support.servers import LiveQueue

KILLED = Expected(kills=frozenset({"job.stopped"}))
STEPS = pytest.mark.parametrize("step", ["session", "handlers", "signals"])
FORKERS = pytest.mark.parametrize("no_forker", ["", "1"], ids=["forker", "dispatcher"])


@FORKERS
@STEPS
def test_a_term_at_birth_is_not_lost(
    start: StartPool, home: Home, queue: LiveQueue, step: str, no_forker: str
) -> None:
    """Else the job would run until --exit-timeout kills it."""
    gate = home.gate("birth")
    home.gate("never")
    queue.send("hold never")
    pool = start(
        "--drain-timeout",
        "0",
        "--exit-timeout",
        "600",
        app="newborn:job",
        workers=1,
        BIRTH_STEP=step,
        NO_FORKER=no_forker,
    )
    home.trace.wait("newborn")
    pool.terminate()
    pool.wait_event("job.stopping")
    gate.open()
    (stopped,) = pool.wait_event("job.stopped")
    assert stopped["exit"] == "SIGTERM"
    assert pool.wait() == 0
    queue.wait_depth(visible=1)


@FORKERS
@STEPS
def test_a_kill_at_birth_is_not_lost(
    start: StartPool, home: Home, queue: LiveQueue, step: str, no_forker: str
) -> None:
    home.gate("birth")
    queue.send("task")
    options = ("--drain-timeout", "0", "--exit-timeout", "0")
    env = {"BIRTH_STEP": step, "NO_FORKER": no_forker}
    pool = start(*options, app="newborn:job", workers=1, expected=KILLED, **env)
    (line,) = home.trace.wait("newborn")
    pool.terminate()
    assert pool.wait() == 0
    eventually(lambda: not is_alive(line.pid))
    assert pool.ledger()["released"] == 1
