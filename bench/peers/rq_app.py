"""rq's side: its job, and a worker that has imported it before it forks. It runs in .venv-rq.

rq imports a job's module in each job's process, unless its worker has done so before; a worker
class from this module is the shortest way to that.
"""

import importlib
import os

from rq import Worker

module, _, attribute = os.environ.get("BENCH_APP", "bench.apps:noop").partition(":")
work = getattr(importlib.import_module(module), attribute)


def job(key: str) -> None:
    work(key)


PreloadedWorker = type("PreloadedWorker", (Worker,), {})
