"""A benchmark that is told to end leaves nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench.harness import ROOT, await_true

pytestmark = pytest.mark.process


def test_a_benchmark_that_gets_term_ends_what_it_has_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.run", "latency"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    bench = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    started: list[psutil.Process] = []

    def has_started() -> bool:
        started[:] = psutil.Process(bench.pid).children(recursive=True)
        return len(started) > 5  # the stand-in, the master and its helpers, workers

    await_true(has_started, "a pool")
    bench.send_signal(signal.SIGTERM)
    assert bench.wait(60) == 128 + signal.SIGTERM
    await_true(lambda: not any(runs(process) for process in started), "the end of all")
    assert list(tmp_path.iterdir()) == []


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
