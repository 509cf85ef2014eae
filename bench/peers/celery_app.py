"""Celery's side: an app of one task on the stand-in. It runs in .venv-celery.

The settings are those of a careful user: a message is deleted after its task (acks_late), a task
whose worker dies comes back, no more is prefetched than there are workers, no results, no gossip,
long polls without Celery's pause of a second after an empty one. The pause is a millisecond: with
none, a worker that has all that it may take asks its own loop again and again, and the answers that
it waits for come late (two jobs a second with one process).

    python -m bench.peers.celery_app COUNT      sends so many messages, numbered from 0
"""

import importlib
import os
import sys

from celery import Celery

ENDPOINT = os.environ["BENCH_ENDPOINT"]
module, _, attribute = os.environ.get("BENCH_APP", "bench.apps:noop").partition(":")
work = getattr(importlib.import_module(module), attribute)

app = Celery("bench", broker=ENDPOINT.replace("http://", "sqs://bench:bench@"))
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "region": "us-east-1",
        "is_secure": False,
        "wait_time_seconds": int(os.environ.get("BENCH_WAIT", "10")),
        "polling_interval": 0.001,
        "visibility_timeout": int(os.environ.get("BENCH_VISIBILITY", "60")),
        "predefined_queues": {
            "bench": {
                "url": f"{ENDPOINT}/000000000000/bench",
                "access_key_id": "bench",
                "secret_access_key": "bench",
            }
        },
    },
    task_acks_late=True,
    task_default_queue="bench",
    task_ignore_result=True,
    task_reject_on_worker_lost=True,
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=1,
)


def job(key: str) -> None:
    work(key)


task = app.task(name="job")(job)

if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        task.delay(str(number))
