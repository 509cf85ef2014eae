"""What a test leaves running is ended: it may have failed, been skipped midway, or forgotten it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.eventually import PATIENCE
from tests.support.pool import REPOSITORY, Home
from tests.support.processes import is_alive

PLUGINS = ("-p", "tests.conftest", "-p", "no:cacheprovider", "-p", "no:xdist")
PRELUDE = """
import os, signal
from pathlib import Path
import pytest
from fleet.library.shim import Shims
from fleet.system import procfs
LEFT = Path(os.environ["PYTEST_LEFT"])
def left(*pids):
    with LEFT.open("a") as file:
        file.writelines(f"{pid}\\n" for pid in pids)
"""
IN_PROCESS = """
import select
def act(_shim):
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
    os.write(ready, b".")
    signal.pause()
here, ready = os.pipe()
def test_one():
    job = Shims(lambda: (), select.poll()).start(act)
    left(job.pid, procfs.children()[-1], *procfs.descendants(job.pid))
    os.read(here, 1), os.read(here, 1)
    left(*procfs.descendants(job.pid))
"""
PROGRAM = """
def test_one(run, home):
    home.gate("never")
    program = run('''
        import fleet
        def job(body):
            word("job", os.getpid(), os.getppid())
            pass_gate("never")
        fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job)
    ''')
    left(*program.words.wait("job")[0], program.process.pid)
"""
POOL = """
def test_one(start, home, queue):
    home.gate("never")
    queue.send("hold never")
    start("--drain-timeout", "600", workers=1)
    left(home.trace.wait("started")[0].pid, *(process.pid for process in home.processes()))
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


@pytest.mark.parametrize("end", ["raise ValueError", "pytest.skip('in the middle')"])
@pytest.mark.parametrize(
    ("test", "plugins", "count"),
    [
        (IN_PROCESS, (), 3),
        (PROGRAM, ("-p", "tests.library.conftest"), 3),
        (POOL, ("-p", "tests.pool.conftest"), 5),
    ],
    ids=["in-process", "program", "pool"],
)
def test_nothing_outlives_a_test(
    home: Home, test: str, plugins: tuple[str, ...], count: int, end: str
) -> None:
    file, left = home.directory / "test_it.py", home.directory / "left"
    file.write_text(f"{PRELUDE}{test}    {end}\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        *PLUGINS,
        *plugins,
        "--rootdir",
        str(home.directory),
        str(file),
    ]
    run = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=home.environment(PYTEST_LEFT=str(left)),
        timeout=3 * PATIENCE,  # a run of pytest, with a server and a pool
        capture_output=True,
        text=True,
        check=False,
    )
    pids = {int(line) for line in left.read_text().split()}
    assert len(pids) >= count, run.stdout
    assert not [pid for pid in pids if is_alive(pid)], run.stdout
    assert ("1 failed" if "raise" in end else "1 skipped") in run.stdout
