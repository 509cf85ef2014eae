"""The queues of a pool that has only one."""

from fleet.core.config import Config
from fleet.core.queue_config import QueueConfig


def one_queue(
    config: Config | None = None, queue: str = "jobs", app: str = "app:job"
) -> list[QueueConfig]:
    """The pool's own options are the queue's."""
    return [QueueConfig(queue, app, config or Config())]
