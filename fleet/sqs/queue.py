"""Amazon SQS behind the `Queue` protocol of core/queue.py: one method a call."""

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fleet.core.dead_letter import dead_letter
from fleet.core.depth import Depth
from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.queue_names import is_fifo
from fleet.sqs import answers
from fleet.sqs.access import Access
from fleet.sqs.answers import Redrive
from fleet.sqs.stream import ConnectOptions
from fleet.sqs.transport import SHORT_CALL
from fleet.sqs.transports import Transports
from fleet.system.clock import now

GROUP = "fleet"  # of messages that are sent to a FIFO queue without one
REMEMBERED = 60.0  # seconds for which a redrive policy is taken as read

Result = TypeVar("Result")


class SqsQueue:
    """One queue. Its URL is looked up at the first call if neither `url` nor its access says it.

    Every method that makes a call raises QueueError.
    """

    def __init__(
        self,
        access: Access,
        url: str | None = None,
        wait_time: float = 20.0,
        short_call: float = SHORT_CALL,
        options: ConnectOptions | None = None,
    ):
        """`wait_time` (seconds): the longest that a poll waits; `short_call`: for any other call.

        The heartbeat of `options` is called between the calls of what takes more than one, too.
        """
        self.access = access
        self._url = url
        self._wait_time, self._options = wait_time, options or ConnectOptions()
        self._transports = Transports(access, wait_time, short_call, self._options)
        self._redrive: Redrive | None = None
        self._redrive_until = 0.0
        self._dead_letter_urls: dict[str, str] = {}
        self._in_other_region: SqsQueue | None = None

    # Where it is.

    @property
    def url(self) -> str:
        """The queue's URL."""
        if self._url is None:
            self._url = self.access.url or self._look_up_url()
        return self._url

    def _look_up_url(self) -> str:
        """By its name, in the account that its ARN says, else in our own."""
        account = self.access.account
        owner = {"QueueOwnerAWSAccountId": account} if account else {}
        return self._transports.call("GetQueueUrl", answers.queue_url, QueueName=self.name, **owner)

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.access.name

    @property
    def region(self) -> str | None:
        """The region that requests are signed for."""
        return self.access.region

    # Its connections.

    def shorten_calls(self, seconds: float) -> None:
        """Give short calls at most so long. Before the first call."""
        self._transports.short_call = min(self._transports.short_call, seconds)

    def renew(self) -> None:
        """After a refusal of the keys: have others, now or soon."""
        access = self.access.renew()
        if access is self.access:
            return
        self.close()
        self.access = access
        self._transports = Transports(
            access, self._wait_time, self._transports.short_call, self._options
        )

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        self._transports.close()
        if self._in_other_region is not None:
            self._in_other_region.close()
            self._in_other_region = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The connections that stand: not for forked children."""
        other = self._in_other_region
        return (*self._transports.descriptors, *(other.descriptors if other else ()))

    # Messages. See core/queue.py.

    def receive(self, wait: float, visibility: float, receive_id: str = "") -> Message | None:
        """See core/queue.py."""
        named = {"ReceiveRequestAttemptId": receive_id} if receive_id else {}
        return self._poll(answers.first_message, wait, visibility, 1, **named)

    def receive_many(self, wait: float, visibility: float, most: int) -> list[Message]:
        """See core/queue.py. More messages than were asked for would have no place with us."""
        return self._poll(answers.messages, wait, visibility, most)[:most]

    def _poll(
        self, read: Callable[[Any], Result], wait: float, visibility: float, most: int, **more: Any
    ) -> Result:
        return self._transports.poll(
            "ReceiveMessage",
            read,
            QueueUrl=self.url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=math.ceil(wait),
            VisibilityTimeout=math.ceil(visibility),
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
            **more,
        )

    def extend(self, message: Message, seconds: int) -> None:
        """See core/queue.py."""
        self._change_visibility(message, seconds)

    def release(self, message: Message, delay: int = 0) -> None:
        """See core/queue.py."""
        self._change_visibility(message, delay)

    def _change_visibility(self, message: Message, seconds: int) -> None:
        self._transports.call(
            "ChangeMessageVisibility",
            answers.ignore,
            QueueUrl=self.url,
            ReceiptHandle=message.handle,
            VisibilityTimeout=seconds,
        )

    def delete(self, message: Message) -> None:
        """See core/queue.py."""
        self._transports.call(
            "DeleteMessage", answers.ignore, QueueUrl=self.url, ReceiptHandle=message.handle
        )

    def send(self, bodies: list[str], group: str = "") -> int:
        """Send up to ten messages; returns how many SQS took.

        Raises QueueError when SQS refuses any.
        """
        sent, refused = self.send_batch(bodies, group)
        if refused:
            raise QueueError(Trouble.FINAL, f"queue {self.name!r} refused a message: {refused}")
        return sent

    def send_batch(self, bodies: list[str], group: str = "") -> tuple[int, str]:
        """Send up to ten messages, of this group if a group is given.

        Returns how many SQS took, and why it refused one, if so. On a FIFO queue, which needs a
        group, it is GROUP if none is given.
        """
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        if is_fifo(self.name):
            group = group or GROUP
            entries = [
                entry | {"MessageDeduplicationId": os.urandom(16).hex()} for entry in entries
            ]
        if group:
            entries = [entry | {"MessageGroupId": group} for entry in entries]
        return self._transports.call(
            "SendMessageBatch", answers.batch_result, QueueUrl=self.url, Entries=entries
        )

    # Attributes.

    def depth(self) -> Depth:
        """See core/queue.py."""
        return self._attributes(answers.depth, *answers.COUNTS)

    def wait_time(self) -> float:
        """The queue's own ReceiveMessageWaitTimeSeconds; 0, SQS's default, if nobody has set it."""
        return self._attributes(answers.wait_time, answers.WAIT_TIME)

    def arn(self) -> str:
        """The queue's ARN."""
        return self._attributes(answers.arn, "QueueArn")

    def max_receive_count(self) -> int | None:
        """See core/queue.py."""
        redrive = self._read_redrive()
        return redrive.max_receive_count if redrive else None

    def _read_redrive(self) -> Redrive | None:
        """The redrive policy.

        An answer is good for a minute, so that a storm of failures does not double the bill.
        """
        if self._redrive_until < now():
            self._redrive = self._attributes(answers.redrive, "RedrivePolicy")
            self._redrive_until = now() + REMEMBERED
        return self._redrive

    def _attributes(self, read: Callable[[Any], Result], *names: str) -> Result:
        return self._transports.call(
            "GetQueueAttributes", read, QueueUrl=self.url, AttributeNames=list(names)
        )

    # The dead-letter queue.

    def dead_letter(self, message: Message, attributes: Mapping[str, str]) -> None:
        """See core/queue.py. Raises QueueError also when there is no dead-letter queue."""
        there, name, url = self.find_dead_letter_queue()
        letter = dead_letter(message, attributes, fifo=is_fifo(name))
        there._transports.call("SendMessage", answers.message_id, of=name, QueueUrl=url, **letter)

    def find_dead_letter_queue(self) -> tuple["SqsQueue", str, str]:
        """Where calls to the dead-letter queue are made, its name, and its URL.

        Raises QueueError also if there is none.
        """
        arn = self._dead_letter_arn()
        region, account, name = answers.arn_parts(arn)
        there = self._in_region(region)
        self._options.heartbeat()
        if arn not in self._dead_letter_urls:
            self._dead_letter_urls[arn] = there._transports.call(
                "GetQueueUrl",
                answers.queue_url,
                of=name,
                QueueName=name,
                QueueOwnerAWSAccountId=account,
            )
            self._options.heartbeat()
        return there, name, self._dead_letter_urls[arn]

    def dead_letter_queue_name(self) -> str:
        """The name of the dead-letter queue, which need not exist.

        Raises QueueError also if the policy names none.
        """
        return answers.arn_parts(self._dead_letter_arn())[2]

    def _dead_letter_arn(self) -> str:
        redrive = self._read_redrive()
        if redrive is None:
            raise QueueError(Trouble.FINAL, f"queue {self.name!r} has no dead-letter queue")
        return redrive.dead_letter_arn

    def _in_region(self, region: str) -> "SqsQueue":
        """Where calls to that region are made: here, or by a queue with an access to it."""
        if region in ("", self.region):
            return self
        other = self._in_other_region
        if other is None or other.region != region:
            access, short_call = self.access.for_region(region), self._transports.short_call
            other = SqsQueue(access, short_call=short_call, options=self._options)
            self._in_other_region = other
        return other

    def create(self, attributes: dict[str, str]) -> None:
        """Make the queue if it is missing; a queue that is there keeps its attributes."""
        try:
            self._url = self._look_up_url()
        except QueueError as error:
            if error.trouble is not Trouble.GONE:
                raise
            self._url = self._transports.call(
                "CreateQueue", answers.queue_url, QueueName=self.name, Attributes=attributes
            )
