"""The processes of a pool of several queues: what each does for which queue.

How grants are chosen is core/scheduling's; here a queue is a place in words, records and processes.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.pool import QUIET, Expected, Home, Launch, Pool
from tests.support.servers import LiveQueue, Server

KILLED = Expected(kills=frozenset({"dispatcher.died", "helper.died", "message.left"}))
StartTwo = Callable[..., Pool]


@pytest.fixture
def high(ministack_server: Server) -> LiveQueue:
    """The first of two queues."""
    return LiveQueue.fresh(ministack_server)


@pytest.fixture
def low(ministack_server: Server) -> LiveQueue:
    """The second one."""
    return LiveQueue.fresh(ministack_server)


@pytest.fixture
def start(launch: Launch, high: LiveQueue, low: LiveQueue) -> StartTwo:
    """A function that starts a pool of both queues, directly or through a proxy."""

    def start(
        *options: str,
        workers: int = 1,
        endpoint: str | None = None,
        app: str = "jobs:job",
        expected: Expected = QUIET,
        **env: str,
    ) -> Pool:
        return launch(
            *("start", "--endpoint-url", endpoint or high.server.endpoint),
            *("--queue", high.name, "--queue", low.name, "--name", "pool"),
            *("--workers", str(workers), "--wait-time", "1", "--log-format", "json"),
            *(*options, app),
            expected=expected,
            **env,
        )

    return start


def environments(home: Home) -> list[str]:
    """The queue that each job that was told to describe itself has found in its environment."""
    found = []
    for line in home.trace.lines("found"):
        assert isinstance(line.detail, dict)
        found.append(line.detail["environment"]["FLEET_JOB_QUEUE"])
    return found


@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
def test_each_message_is_worked_on_and_settled_at_its_own_queue(
    start: StartTwo, home: Home, high: LiveQueue, low: LiveQueue, preload: str
) -> None:
    """By one dispatcher. Each job finds its own queue's name, in whichever order they come."""
    low.send("describe", "describe")
    pool = start(preload)
    pool.wait_event("message.deleted", count=2)
    high.send("describe")
    pool.wait_event("message.deleted", count=3)
    low.send("describe")
    pool.wait_event("message.deleted", count=4)
    assert environments(home) == [low.name, low.name, high.name, low.name]
    high.wait_depth()
    low.wait_depth()


def test_titles_name_the_queue_at_work(start: StartTwo, home: Home, low: LiveQueue) -> None:
    gate = home.gate("g")
    (message_id,) = low.send("hold g")
    pool = start()
    home.trace.wait("started")
    title = f"fleet: dispatcher 0 {low.name} job {message_id[:4]}"
    eventually(lambda: pool.titled(title), what=lambda: f"{title}: {pool.processes()}")
    gate.open()
    eventually(lambda: pool.titled("fleet: dispatcher 0 idle"))


@pytest.mark.parametrize("which", [0, 1])
def test_what_a_killed_dispatcher_had_in_hand_is_settled_at_its_queue(
    start: StartTwo, home: Home, high: LiveQueue, low: LiveQueue, which: int
) -> None:
    queue = (high, low)[which]
    queue.send("hold g")
    home.gate("g")
    pool = start(expected=KILLED)
    home.trace.wait("started")
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    home.trace.wait("started", count=2)
    attempts = [line.attempt for line in home.trace.lines("started")]
    assert attempts == [1, 2], "it was released at once"
    pool.send(signal.SIGQUIT)
    pool.terminated = True
    pool.wait()


def test_a_scout_that_is_killed_counts_both_queues_again(
    start: StartTwo, high: LiveQueue, low: LiveQueue
) -> None:
    pool = start("--log-level", "debug", "--depth-interval", "0.5", expected=KILLED)
    pool.wait_ready(1)
    (scout,) = pool.titled("fleet: scout")
    os.kill(scout.pid, signal.SIGKILL)
    pool.wait_event("helper.died")
    for queue in (high, low):
        pool.wait_event("queue.usable", count=2, queue=queue.name)
        pool.wait_event("queue.sampled", count=2, queue=queue.name)
    low.send("task")
    pool.wait_event("message.deleted")


@pytest.mark.parametrize("which", [0, 1])
def test_a_queue_that_is_missing_at_the_start_ends_the_pool(
    start: StartTwo, high: LiveQueue, low: LiveQueue, which: int
) -> None:
    queue = (high, low)[which]
    queue.delete()
    pool = start(expected=Expected(exit=5, noise=True, ledger=False))
    assert pool.wait() == 5
    assert queue.name in pool.refusal()


def test_a_queue_that_goes_later_degrades_itself_and_may_come_back(
    start: StartTwo, high: LiveQueue, low: LiveQueue
) -> None:
    """A scout that begins meanwhile says so, and goes on with the other one."""
    pool = start("--log-level", "debug", "--depth-interval", "0.5", expected=KILLED)
    pool.wait_ready(1)
    high.delete()
    (scout,) = pool.titled("fleet: scout")
    os.kill(scout.pid, signal.SIGKILL)
    (told,) = pool.wait_event("queue.unusable")
    assert told["queue"] == high.name
    assert high.name in told["why"]
    low.send("task")
    pool.wait_event("message.deleted")
    pool.wait_event("queue.sampled", count=len(pool.events("queue.sampled", queue=low.name)) + 1)
    again = LiveQueue(high.server, high.name)
    pool.wait_event("queue.usable", count=2, queue=high.name)
    again.send("task")
    pool.wait_event("message.deleted", count=2)


APPS = """
[[queue]]
name = "{high}"
app = "jobs:job"

[[queue]]
name = "{low}"
app = "of_low.py:job"
exit_handler = "of_low.py:clean"
job_timeout = 0.5
"""
OF_LOW = """
import os, time
def tell(what):
    with open(os.path.join(os.environ["POOL_TEST_DIR"], "of_low"), "a") as file:
        file.write(what + "\\n")
def job(body):
    tell(f"job {body} {os.environ['FLEET_JOB_QUEUE']}")
    time.sleep(1000)
def clean(body):
    tell(f"clean {body} {os.environ['FLEET_JOB_QUEUE']}")
"""


@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
def test_each_queue_has_its_own_app_and_its_own_time(
    launch: Launch, home: Home, high: LiveQueue, low: LiveQueue, tmp_path: Path, preload: str
) -> None:
    (tmp_path / "of_low.py").write_text(OF_LOW)
    file = tmp_path / "options.toml"
    file.write_text(
        APPS.format(high=high.name, low=low.name).replace("of_low.py", f"{tmp_path}/of_low.py")
    )
    low.send("one")
    high.send("describe")
    pool = launch(
        *("start", "--config", str(file), "--endpoint-url", high.server.endpoint, preload),
        *("--workers", "1", "--wait-time", "1", "--log-format", "json"),
        expected=Expected(kills=frozenset({"job.timed_out"})),
    )
    pool.wait_event("job.timed_out")
    pool.wait_event("job.succeeded")
    pool.drain()
    pool.wait()
    told = (home.directory / "of_low").read_text().splitlines()
    assert told[:2] == [f"job one {low.name}", f"clean one {low.name}"]
    assert environments(home) == [high.name]
