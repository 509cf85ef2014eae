"""Puts rq's jobs into Redis and sees what becomes of them. It runs in .venv-rq.

    python -m bench.peers.rq_feed URL       then one JSON array a line, `[word, argument…]`, each
                                            answered by a line of JSON

Redis and rq write wall-clock times; they become CLOCK_MONOTONIC's by the difference of the two
clocks now.
"""

import datetime as dt
import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry

JOB = "bench.peers.rq_app.job"


class RqFeed:
    """The queue `bench` of one server."""

    def __init__(self, url: str) -> None:
        self.redis = Redis.from_url(url)
        self.queue = Queue("bench", connection=self.redis)
        self.ids: list[str] = []

    def reset(self) -> None:
        self.redis.flushall()
        self.redis.config_resetstat()
        self.ids = []

    def fill(self, numbers: Iterable[int]) -> None:
        jobs = [Queue.prepare_data(JOB, args=(str(number),)) for number in numbers]
        self.ids += [job.id for job in self.queue.enqueue_many(jobs)]

    def done(self) -> int:
        """How many are at their end, well or badly."""
        registries = (FinishedJobRegistry(queue=self.queue), FailedJobRegistry(queue=self.queue))
        return sum(self.redis.zcard(registry.key) for registry in registries)

    def waiting(self) -> int:
        """How many workers wait for a job."""
        return int(self.redis.info("clients")["blocked_clients"])

    def requests(self) -> dict[str, int]:
        """The commands since the reset, by name."""
        stats = self.redis.info("commandstats")
        return {name.partition("_")[2]: each["calls"] for name, each in stats.items()}

    def messages(self) -> list[dict[str, Any]]:
        """Of every job when it was put, begun and ended; 0 for what has not come."""
        offset = time.monotonic_ns() - time.time_ns()

        def monotonic(at: dt.datetime | None) -> int:
            return round(at.replace(tzinfo=dt.UTC).timestamp() * 1e9) + offset if at else 0

        return [
            {
                "sent": monotonic(job.enqueued_at),
                "received": monotonic(job.started_at),
                "deleted": monotonic(job.ended_at) if job.get_status() == JobStatus.FINISHED else 0,
                "deliveries": [],
            }
            for job in Job.fetch_many(self.ids, connection=self.redis)
        ]


def main(url: str) -> None:
    feed = RqFeed(url)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        word, *arguments = json.loads(line)
        if word == "fill":
            feed.fill(range(*arguments))
        print(json.dumps(None if word == "fill" else getattr(feed, word)()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
