"""One queue of a pool as the options say it.

What concerns the pool as a whole is `Config` (config.py). What concerns the messages of one queue
is a Config as well: the pool's, with the queue's own table laid over it. So whatever works on a
message reads one record, wherever its values came from.
"""

from dataclasses import dataclass
from math import inf

from fleet.core.config import Config
from fleet.core.queue_names import is_fifo, queue_name

# Of a pool: so many fit into the packet that tells them to each process.
MOST_QUEUES = 32
# What a [[queue]] table may say, beside `name`, `weight`, `limit` and `app`: the options that are
# about a message. All others are about the pool.
OF_A_QUEUE = (
    "target_wait",
    "visibility_timeout",
    "wait_time",
    "exit_timeout",
    "job_timeout",
    "body",
    "sns_topic",
    "sns_verify",
    "sns_max_age",
    "transformer",
    "router",
    "exit_handler",
    "on_failure",
    "job_init",
    "job_exit",
    "retry_delay",
    "delete_failed",
    "on_lease_lost",
    "dead_letter",
    "batch_size",
)


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """`queue`: its name, URL or ARN, as given. `app`: its job, `module:attribute`.

    `weight`: its share of the job time; None in a strict order, which is that of the queues.
    `limit`: jobs of it that run at the same time.
    """

    queue: str
    app: str
    config: Config
    weight: float | None = None
    limit: float = inf

    @property
    def name(self) -> str:
        """The queue's own name, by which it is shown and asked for; no other queue has it."""
        return queue_name(self.queue)

    @property
    def is_fifo(self) -> bool:
        """Whether the queue keeps the order of a group's messages."""
        return is_fifo(self.queue)
