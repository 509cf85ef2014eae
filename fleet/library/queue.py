"""`fleet.Queue`: how a user of the library names an SQS queue, or hands over a boto3 one."""

from typing import Any

from fleet.core import queue as core_queue
from fleet.sqs.address import Address
from fleet.sqs.borrowed_session import borrow_queue, borrow_session
from fleet.sqs.queue import SqsQueue
from fleet.sqs.sessions import Sessions


class Queue(core_queue.MessageQueue):
    """What a dispatcher needs of a queue.

    Any object with these methods will do; a class may also derive from this one.

    The dispatcher also uses `name` and `wait_time()` (seconds) of an object that has them.
    """

    @staticmethod
    def open(
        name_or_url: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        session: Any = None,
    ) -> SqsQueue:
        """An SQS queue. Nothing is asked of SQS before the first call.

        None for `region` or `endpoint_url` leaves the choice to boto3. `session` is a boto3
        session, whose credentials, region and profile are used. Raises TypeError for a `session`
        of any other type.
        """
        borrowed = None if session is None else borrow_session(session)
        return SqsQueue(Sessions(Address(name_or_url, region, endpoint_url), borrowed=borrowed))

    @staticmethod
    def wrap(resource: Any) -> SqsQueue:
        """The queue that a boto3 Queue resource stands for.

        With that resource's credentials, region and endpoint.

        Time-outs, retries and proxies are fleet's own, not those of the resource's client. Raises
        TypeError for a `resource` of any other type.
        """
        borrowed, url, endpoint_url = borrow_queue(resource)
        return SqsQueue(Sessions(Address(url, endpoint_url=endpoint_url), borrowed=borrowed))


def name_of(queue: core_queue.MessageQueue) -> str:
    """The queue's own name, or the name of its class where it has none."""
    return str(getattr(queue, "name", type(queue).__name__))


def renew(queue: core_queue.MessageQueue) -> None:
    """Have the queue make new connections, if it knows how to."""
    getattr(queue, "renew", lambda: None)()
