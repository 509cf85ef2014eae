"""dramatiq's side: an actor on the stand-in by dramatiq-sqs. It runs in .venv-dramatiq.

One thread a process, so that a job has a process of its own while it runs, as with the others.

    python -m bench.peers.dramatiq_app COUNT    sends so many messages, numbered from 0
"""

import importlib
import os
import sys

import dramatiq
from dramatiq_sqs import SQSBroker

module, _, attribute = os.environ.get("BENCH_APP", "bench.apps:noop").partition(":")
work = getattr(importlib.import_module(module), attribute)

broker = SQSBroker(
    endpoint_url=os.environ["BENCH_ENDPOINT"],
    visibility_timeout=int(os.environ.get("BENCH_VISIBILITY", "60")),
)
dramatiq.set_broker(broker)


def job(key: str) -> None:
    work(key)


actor = dramatiq.actor(job, actor_name="job", queue_name="bench")

if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        actor.send(str(number))
