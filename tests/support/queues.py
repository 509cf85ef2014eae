"""The queues of a pool, as tests lay them out."""

from dataclasses import replace
from typing import Any

from fleet.core.config import Config
from fleet.core.pool import Pool
from fleet.core.pool.state import with_queue
from fleet.core.queue_config import QueueConfig


def one_queue(
    config: Config | None = None, queue: str = "jobs", app: str = "app:job"
) -> list[QueueConfig]:
    """The only one: the pool's own options are the queue's."""
    return [QueueConfig(queue, app, config or Config())]


def change_queue(pool: Pool, place: int, **changes: Any) -> Pool:
    """The pool with these fields of one queue changed."""
    return with_queue(pool, place, replace(pool.queues[place], **changes))
