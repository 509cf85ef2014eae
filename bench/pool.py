"""The measurements of the pool as a whole: what a death costs, a drain, a burst on an idle pool, a
large idle pool.

As in measures.py each is a function from the stand-in to figures.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from bench.cpu import ROUNDS
from bench.figures import Figure
from bench.harness import ROOT, BenchError, Endpoint, Tree, activity, await_true
from bench.subjects import SIGNED, WAIT_TIME, fleet

JSON_LOG = ("--log-format", "json")
BURST, POLLERS = 200, 32
TICKS = 1000  # jobs


def respawn(endpoint: Endpoint) -> list[Figure]:
    """8 idle workers: from the SIGKILL of one to its successor's word that it is ready.

    Each slot is killed once: the second death in a row is answered with a delay on purpose.
    """
    times = []
    for _ in range(ROUNDS):
        with fleet(endpoint, 8, "noop", *JSON_LOG) as tree:
            for event in tree.await_events("dispatcher.ready", 8):
                known = len(tree.events("dispatcher.ready"))
                killed = time.time()
                os.kill(event["pid"], signal.SIGKILL)
                times.append(
                    (tree.await_events("dispatcher.ready", known + 1)[-1]["time"] - killed) * 1000
                )
            tree.end(endpoint, signal.SIGTERM)
    return [
        Figure(
            "killed worker's successor ready, 8 workers, median",
            "ms",
            [statistics.median(times)],
            bar=50.0,
        )
    ]


def handback(endpoint: Endpoint) -> list[Figure]:
    """8 workers, one at work: from the SIGKILL of its dispatcher until its message is visible
    again.

    The endpoint writes down when it was told to show the message. That the job was dead by then is
    for the tests.
    """
    times = []
    for _ in range(ROUNDS):
        with fleet(endpoint, 8, "hold", *JSON_LOG, "--drain-timeout", "0") as tree:
            tree.await_events("dispatcher.ready", 8)
            endpoint.fill(1)
            for deaths in range(6):
                working = tree.await_events("job.started", deaths + 1)[-1]
                dispatcher = _parent(working["job_pid"])
                killed = time.monotonic_ns()
                os.kill(dispatcher, signal.SIGKILL)
                released = _await_release(endpoint, killed)
                times.append((released - killed) / 1e6)
            tree.await_events("job.started", 7)
            tree.end(endpoint, signal.SIGTERM)
    return [
        Figure(
            "killed worker's message visible again, median",
            "ms",
            [statistics.median(times)],
            bar=1000.0,
        )
    ]


def _await_release(endpoint: Endpoint, since: int) -> int:
    """When the only message was released after that moment, both in ns."""
    await_true(lambda: endpoint.messages()[0]["released"] > since, "the release")
    return int(endpoint.messages()[0]["released"])


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - as short as it can be
        return int(stat.read().rpartition(")")[2].split()[1])


def drain(endpoint: Endpoint) -> list[Figure]:
    """64 idle workers: from TERM to the end, with a long poll that has just begun, and with none,
    in a paused pool.
    """
    polling, quiet = [], []
    for _ in range(ROUNDS):
        with fleet(endpoint, 64, "noop", *JSON_LOG) as tree:
            tree.await_events("dispatcher.ready", 64)
            endpoint.flush()
            endpoint.await_polls(1)
            polling.append(_end(tree))
        with fleet(endpoint, 64, "noop", *JSON_LOG) as tree:
            tree.await_events("dispatcher.ready", 64)
            tell(tree, "pause")
            endpoint.flush()
            await_true(lambda: endpoint.open_polls() == 0, "no poll")
            quiet.append(_end(tree))
    return [
        Figure(
            f"idle pool of 64 drained, a poll of {WAIT_TIME} s open",
            "s",
            polling,
            bar=WAIT_TIME + 1.0,
        ),
        Figure("idle pool of 64 drained, no poll open", "s", quiet, bar=1.0),
    ]


def _end(tree: Tree) -> float:
    """Seconds from SIGTERM to the end."""
    began = time.monotonic()
    tree.process.send_signal(signal.SIGTERM)
    if tree.process.wait(60):
        raise BenchError(
            f"it ended with status {tree.process.returncode}: {tree.log.read_text()[-2000:]}"
        )
    return time.monotonic() - began


def tell(tree: Tree, *command: str) -> None:
    """One of fleet's commands, for the only pool that runs in the tree's directories."""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tree.log.parent), "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-m", "fleet", *command],
        env=environment,
        cwd=tree.log.parent,
        capture_output=True,
        check=True,
    )


def boot(endpoint: Endpoint) -> list[Figure]:
    """64 workers: from the end of the app's import until all are ready."""
    times = []
    for _ in range(ROUNDS):
        with fleet(endpoint, 64, "stamp", *JSON_LOG) as tree:
            events = tree.await_events("dispatcher.ready", 64)
            imported = max(wall for _, wall in tree.stamped("import").values()) / 1e9
            times.append((events[63]["time"] - imported) * 1000)
            tree.end(endpoint, signal.SIGTERM)
    return [Figure("app imported to 64 workers ready", "ms", times, bar=1000.0)]


def large(endpoint: Endpoint) -> list[Figure]:
    """A master with 256 idle dispatchers, for 20 s."""
    with fleet(endpoint, 256, "noop", *JSON_LOG) as tree:
        tree.await_events("dispatcher.ready", 256)
        time.sleep(2.0)  # what follows the start
        before, began = activity(tree.pid, whole_tree=False), time.monotonic()
        time.sleep(20.0)
        share = (activity(tree.pid, whole_tree=False) - before).cpu / (time.monotonic() - began)
        tree.end(endpoint, signal.SIGTERM)
    return [Figure("idle master's share of a core, 256 workers", "%", [share * 100], bar=0.5)]


def burst(endpoint: Endpoint) -> list[Figure]:
    """200 messages at once on an idle pool of 32, and on 32 independent pollers: until 32 jobs have
    begun.

    A job takes two seconds, so 32 that have begun are 32 at work. The pollers all have a poll open
    when the messages come; the pool has one. Its first burst finds dispatchers that have never
    asked SQS for anything; that costs each some milliseconds of processor time, once. The bar is
    for a pool that has worked before.
    """
    first, later, floors = [], [], []
    for _ in range(ROUNDS):
        with fleet(endpoint, POLLERS, "nap") as tree:
            first.append(_filled(endpoint, tree, 1))
            later.append(_filled(endpoint, tree, 2))
            tree.end(endpoint, signal.SIGTERM)
        with SIGNED.start(endpoint, POLLERS, "nap") as tree:
            floors.append(_filled(endpoint, tree, 1))
            tree.end(endpoint, None)
    return [
        Figure(
            "200 messages, idle pool of 32: all 32 busy, first time", "ms", first, floors, "pollers"
        ),
        Figure("200 messages, idle pool of 32: all 32 busy", "ms", later, floors, "pollers"),
        Figure("… later than 32 independent pollers", "ms", _minus(later, floors), bar=30.0),
    ]


def _filled(endpoint: Endpoint, tree: Tree, burst: int) -> float:
    """Milliseconds from a burst of messages to the 32nd job's first line; then until all of them
    are deleted.
    """
    endpoint.await_polls(1)
    sent = time.monotonic_ns()
    endpoint.fill(BURST)
    endpoint.await_deleted(burst * BURST)
    began = sorted(at for at, _ in tree.stamped("nap").values() if at > sent)
    return (began[POLLERS - 1] - sent) / 1e6


def _minus(these: Sequence[float], those: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(these, those, strict=True)]


def ticks(endpoint: Endpoint) -> list[Figure]:
    """The master's CPU per no-op job at 8 workers: the first thousand jobs, and the fifth."""
    costs = []
    with fleet(endpoint, 8) as tree:
        for block in range(1, 6):
            before = activity(tree.pid, whole_tree=False).cpu
            endpoint.fill(TICKS)
            endpoint.await_deleted(block * TICKS)
            costs.append((activity(tree.pid, whole_tree=False).cpu - before) * 1000 / TICKS)
        tree.end(endpoint, signal.SIGTERM)
    name = "master's CPU per job, after 4000 jobs beside the first 1000"
    return [
        Figure(name, "ms", costs[4:], costs[:1], beside="first 1000", bar=1.2, bar_of_ratio=True)
    ]


MEASURES: dict[str, Callable[[Endpoint], list[Figure]]] = {
    "respawn": respawn,
    "handback": handback,
    "drain": drain,
    "boot": boot,
    "large": large,
    "burst": burst,
    "ticks": ticks,
}
