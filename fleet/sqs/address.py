"""What a user says of a queue: its name and the options about where it is."""

from dataclasses import dataclass, field

from fleet.core.protocol import Plan
from fleet.core.queue_config import QueueConfig
from fleet.core.queue_names import queue_name


@dataclass(frozen=True, slots=True)
class Address:
    """Which queue is meant. `queue` is a name, a URL or an ARN.

    None for the rest means what the queue's name says of it, or boto3's own choice. `direct`: no
    proxy is between us, whatever the environment says.
    """

    queue: str
    region: str | None = None
    endpoint_url: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    direct: bool = False

    @property
    def name(self) -> str:
        """The queue's name: the last part of its URL or ARN."""
        return queue_name(self.queue)


def address_of(plan: Plan, queue: QueueConfig) -> Address:
    """The address of one of the plan's queues.

    On the embedded server it is the queue of that name, wherever else that is.
    """
    local = plan.local_port is not None
    return Address(
        queue.name if local else queue.queue,
        plan.region,
        plan.endpoint_url,
        plan.access_key,
        plan.secret_key,
        direct=local,
    )
