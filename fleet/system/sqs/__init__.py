"""Amazon SQS behind the `Queue` seam: with errors.py and sessions.py the sole importer of boto3.

Two clients: one for the long poll, whose read time-out is longer than any wait (a shorter one makes botocore
ask again, and every abandoned try can swallow a message), and one for the short calls, which the callers
repeat themselves. Both try once. They are made after the fork, from data files that `preload` read before it.
"""

import json
import math
from dataclasses import dataclass, replace
from typing import Any

from fleet.core.books import Depth
from fleet.core.queue import Message, QueueError, Trouble
from fleet.system.sqs.errors import classified
from fleet.system.sqs.sessions import SHORT_CALL, Address, Sessions, address, region_trouble

__all__ = [
    "SHORT_CALL",
    "Address",
    "Redrive",
    "Sessions",
    "SqsQueue",
    "address",
    "make_with_dead_letter_queue",
    "region_trouble",
]

READ_MARGIN = 10.0  # seconds on top of the wait time


@dataclass(frozen=True, slots=True)
class Redrive:
    """A queue's redrive policy."""

    dead_letter_arn: str
    max_receive_count: int


class SqsQueue:
    """One queue, through boto3. `url` is looked up at the first call if it is not given."""

    def __init__(
        self,
        sessions: Sessions,
        url: str | None = None,
        wait_time: float = 20.0,
        short_call: float = SHORT_CALL,
    ):
        self._sessions = sessions
        self._url = url or (sessions.address.queue if sessions.address.is_url else None)
        self._wait_time, self._short_call = wait_time, short_call
        self._long: Any = None
        self._short: Any = None

    @property
    def url(self) -> str:
        """The queue's URL. Raises QueueError when it cannot be found."""
        if self._url is None:
            self._url = self._call("get_queue_url", QueueName=self._sessions.address.name)["QueueUrl"]
        return self._url

    @property
    def region(self) -> str | None:
        """The region that requests are signed for."""
        return self._sessions.region

    def renew(self) -> None:
        """Forget session and clients: a failed credential look-up is remembered by botocore for ever."""
        self._sessions = Sessions(self._sessions.address)
        self._long = self._short = None

    def receive(self, wait: float, visibility: float) -> Message | None:
        """See core/queue.py."""
        if self._long is None:
            self._long = self._sessions.client(self._wait_time + READ_MARGIN)
        answer = self._ask(
            self._long.receive_message,
            QueueUrl=self.url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=math.ceil(wait),
            VisibilityTimeout=math.ceil(visibility),
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        found = answer.get("Messages")
        return _message(found[0]) if found else None

    def extend(self, message: Message, seconds: int) -> None:
        """See core/queue.py."""
        self._visibility(message, seconds)

    def release(self, message: Message, delay: int = 0) -> None:
        """See core/queue.py."""
        self._visibility(message, delay)

    def _visibility(self, message: Message, seconds: int) -> None:
        self._call(
            "change_message_visibility",
            QueueUrl=self.url,
            ReceiptHandle=message.handle,
            VisibilityTimeout=seconds,
        )

    def delete(self, message: Message) -> None:
        """See core/queue.py."""
        self._call("delete_message", QueueUrl=self.url, ReceiptHandle=message.handle)

    def send(self, bodies: list[str]) -> int:
        """Send up to ten messages; returns how many SQS took. Raises QueueError when it refuses any."""
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        if self.url.endswith(".fifo"):
            for entry in entries:
                entry["MessageGroupId"] = "fleet"
        answer = self._call("send_message_batch", QueueUrl=self.url, Entries=entries)
        for refused in answer.get("Failed", []):
            raise QueueError(
                Trouble.FINAL,
                f"queue {self._sessions.address.name!r} refused a message: {refused.get('Code')}",
            )
        return len(answer["Successful"])

    def depth(self) -> Depth:
        """See core/queue.py."""
        found = self.attributes(
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        )
        return Depth(
            *(int(found.get(f"ApproximateNumberOfMessages{kind}", 0)) for kind in ("", "NotVisible", "Delayed"))
        )

    def redrive(self) -> Redrive | None:
        """The redrive policy; None without one."""
        policy = self.attributes("RedrivePolicy").get("RedrivePolicy")
        if not policy:
            return None
        read = json.loads(policy)
        return Redrive(read["deadLetterTargetArn"], int(read["maxReceiveCount"]))  # a number or its text

    def max_receive_count(self) -> int | None:
        """See core/queue.py."""
        policy = self.redrive()
        return policy.max_receive_count if policy else None

    def attributes(self, *names: str) -> dict[str, str]:
        """Attributes of the queue, those it has."""
        found: dict[str, str] = self._call("get_queue_attributes", QueueUrl=self.url, AttributeNames=list(names)).get(
            "Attributes", {}
        )
        return found

    def create(self, attributes: dict[str, str]) -> None:
        """Make the queue if it is missing; one that is there keeps its attributes."""
        try:
            self._url = self._call("get_queue_url", QueueName=self._sessions.address.name)["QueueUrl"]
        except QueueError as error:
            if error.trouble is not Trouble.FINAL:
                raise
            made = self._call("create_queue", QueueName=self._sessions.address.name, Attributes=attributes)
            self._url = made["QueueUrl"]

    def _call(self, operation: str, **arguments: Any) -> Any:
        if self._short is None:
            self._short = self._sessions.client(self._short_call, self._short_call)
        return self._ask(getattr(self._short, operation), **arguments)

    def _ask(self, call: Any, **arguments: Any) -> Any:
        try:
            return call(**arguments)
        except Exception as error:  # noqa: BLE001 - whatever a call raises is told apart in one place
            raise classified(error, self._sessions.address.name, self._sessions.address.endpoint_url) from None


def make_with_dead_letter_queue(address: Address) -> None:
    """Make the queue and its dead-letter queue `NAME-dlq` (maxReceiveCount 3) if they are missing."""
    fifo = address.name.endswith(".fifo")
    base = address.name.removesuffix(".fifo")
    kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
    dead_letters = SqsQueue(Sessions(replace(address, queue=f"{base}-dlq{'.fifo' if fifo else ''}")))
    dead_letters.create(kind)
    arn = dead_letters.attributes("QueueArn")["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "3"})
    SqsQueue(Sessions(address)).create(kind | {"RedrivePolicy": policy})


def _message(raw: dict[str, Any]) -> Message:
    system = raw.get("Attributes", {})
    return Message(
        id=raw["MessageId"],
        handle=raw["ReceiptHandle"],
        body=raw["Body"],
        attempt=int(system.get("ApproximateReceiveCount", 1)),
        attributes=raw.get("MessageAttributes", {}),
        system_attributes=system,
    )
