"""What a tree is made of, and that nothing of it stays."""

import sys

import psutil
import pytest

from bench import proc
from bench.harness import Endpoint, Program, await_true, started
from bench.subjects import FLEET

pytestmark = pytest.mark.process

ORPHAN = (
    "import os, signal\nif os.fork():\n    os.kill(os.getpid(), signal.SIGKILL)\nsignal.pause()"
)
BURN = (
    "import os, signal\nif not os.fork():\n    while os.times().user < 0.3: pass\n    os._exit(0)\n"
)


def test_a_pool_is_all_found_by_its_environment() -> None:
    with Endpoint() as endpoint, FLEET.start(endpoint, 2, "noop") as tree:
        children = psutil.Process(tree.pid).children(recursive=True)
        assert proc.processes(tree.directory) == {tree.pid, *(child.pid for child in children)}
        assert proc.pss(proc.processes(tree.directory)) > proc.pss([tree.pid]) > 0
        tree.end(endpoint, FLEET.stop)


def test_what_a_killed_parent_has_left_is_ended() -> None:
    with started(Program([sys.executable, "-c", ORPHAN], {}, polls=0)) as tree:
        tree.process.wait()
        orphans = proc.processes(tree.directory)
        assert len(orphans) == 1
    assert proc.processes(tree.directory) == set()


def test_the_time_of_a_reaped_child_counts() -> None:
    program = BURN + "os.wait()\nprint('x', flush=True)\nsignal.pause()"
    with started(Program([sys.executable, "-c", program], {}, polls=0)) as tree:
        await_true(lambda: tree.log.read_text(), "the child's end")
        assert proc.cpu_seconds([tree.pid]) >= 0.29
