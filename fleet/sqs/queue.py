"""Amazon SQS behind the `Queue` seam: with the files beside it the sole importer of botocore.

Two lines: one for the long poll, whose read time-out is longer than any wait (every abandoned try
can swallow a message), and one for the short calls, which the callers repeat themselves. Both try
once. They connect after the fork, with what `Sessions.prepare` loaded before it.
"""

import json
import math
import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from fleet.core.dead_letter import dead_letter
from fleet.core.depth import Depth
from fleet.core.queue import Message, QueueError, Trouble
from fleet.sqs import answers
from fleet.sqs.answers import Answer, Redrive
from fleet.sqs.errors import classified
from fleet.sqs.sessions import SHORT_CALL, Address, Line, Sessions, address, region_trouble
from fleet.sqs.wire import Means
from fleet.system.clock import now

__all__ = [
    "GROUP",
    "SHORT_CALL",
    "Address",
    "Means",
    "Sessions",
    "SqsQueue",
    "address",
    "make_with_dead_letter_queue",
]

GROUP = "fleet"  # of messages that are sent to a FIFO queue without one
READ_MARGIN = 10.0  # seconds on top of the wait time
REMEMBERED = 60.0  # seconds for which a redrive policy is taken as read


class SqsQueue:
    """One queue, through boto3. `url` is looked up at the first call if it is not given."""

    def __init__(
        self,
        sessions: Sessions,
        url: str | None = None,
        wait_time: float = 20.0,
        short_call: float = SHORT_CALL,
        means: Means | None = None,
    ):
        """The beat of `means` is called between the calls of what takes more than one, too."""
        self._sessions = sessions
        self._url = url
        self._wait_time, self._short_call = wait_time, short_call
        self._long: Line | None = None
        self._short: Line | None = None
        self._redrive: Redrive | None = None
        self._redrive_until = 0.0
        self._means = means or Means()
        self._dead_letter_urls: dict[str, str] = {}
        self._elsewhere: SqsQueue | None = None
        self._user = 0  # the process whose lines these are

    @property
    def url(self) -> str:
        """The queue's URL. Raises QueueError when it cannot be found."""
        if self._url is None:
            self._url = self._sessions.place.url or self._found()
        return self._url

    def _found(self) -> str:
        """By its name, in the account that its ARN says, else in our own. Raises QueueError."""
        place = self._sessions.place
        owner = {"QueueOwnerAWSAccountId": place.account} if place.account else {}
        return self._call("GetQueueUrl", answers.queue_url, QueueName=place.name, **owner)

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._sessions.address.name

    def wait_time(self) -> float:
        """The queue's own ReceiveMessageWaitTimeSeconds; 0, which is SQS's default, if nobody has
        set it.
        """
        return self._attributes(answers.wait_time, answers.WAIT_TIME)

    def hasten(self, seconds: float) -> None:
        """Give short calls at most so long. Before the first call."""
        self._short_call = min(self._short_call, seconds)

    @property
    def region(self) -> str | None:
        """The region that requests are signed for. Raises QueueError."""
        return self._sessions.region

    def region_trouble(self) -> str | None:
        """What is wrong with the region's name, if it is one of AWS's that is needed. Raises
        QueueError.
        """
        return None if self._sessions.endpoint_url else region_trouble(self._sessions.region)

    def renew(self) -> None:
        """Forget session and lines: a failed credential look-up is remembered by botocore for ever."""
        self.close()
        self._sessions = self._sessions.renewed()

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        self._own()
        for line in (self._long, self._short):
            if line is not None:
                line.close()
        if self._elsewhere is not None:
            self._elsewhere.close()
        self._long = self._short = self._elsewhere = None

    def _own(self) -> None:
        """Lines are not shared with the process that we were forked from: each would read the
        other's answers.
        """
        if self._user != (us := os.getpid()):
            for line in (self._long, self._short):
                if line is not None:
                    line.forget()
            if self._elsewhere is not None:
                self._elsewhere._own()
            self._user, self._long, self._short, self._elsewhere = us, None, None, None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The connections that stand: not for forked children."""
        return tuple(
            fd
            for line in (self._long, self._short, self._elsewhere)
            if line is not None
            for fd in line.descriptors
        )

    def receive(self, wait: float, visibility: float, receive_id: str = "") -> Message | None:
        """See core/queue.py."""
        named = {"ReceiveRequestAttemptId": receive_id} if receive_id else {}
        return self._poll(answers.first_message, wait, visibility, 1, **named)

    def receive_many(self, wait: float, visibility: float, most: int) -> list[Message]:
        """See core/queue.py."""
        return self._poll(answers.messages, wait, visibility, most)[
            :most
        ]  # more would have no place with us

    def _poll(
        self, read: Callable[[Any], Answer], wait: float, visibility: float, most: int, **more: Any
    ) -> Answer:
        self._own()
        if self._long is None:
            self._long = self._sessions.line(self._wait_time + READ_MARGIN, SHORT_CALL, self._means)
            self._made_short()  # now, while there is time: the first delete must not wait for it
        return self._ask(
            self._long,
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
        self._visibility(message, seconds)

    def release(self, message: Message, delay: int = 0) -> None:
        """See core/queue.py."""
        self._visibility(message, delay)

    def _visibility(self, message: Message, seconds: int) -> None:
        self._call(
            "ChangeMessageVisibility",
            answers.nothing,
            QueueUrl=self.url,
            ReceiptHandle=message.handle,
            VisibilityTimeout=seconds,
        )

    def delete(self, message: Message) -> None:
        """See core/queue.py."""
        self._call(
            "DeleteMessage", answers.nothing, QueueUrl=self.url, ReceiptHandle=message.handle
        )

    def send(self, bodies: list[str], group: str = "") -> int:
        """Send up to ten messages; returns how many SQS took. Raises QueueError when it refuses
        any.
        """
        sent, refused = self.hand_in(bodies, group)
        if refused:
            raise QueueError(Trouble.FINAL, f"queue {self.name!r} refused a message: {refused}")
        return sent

    def hand_in(self, bodies: list[str], group: str = "") -> tuple[int, str]:
        """Send up to ten messages, of this group if one is given: how many SQS took, and why it
        refused one, if so.

        Raises QueueError. On a FIFO queue, which needs a group, it is GROUP if none is given.
        """
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        if self.name.endswith(".fifo"):
            group = group or GROUP
            entries = [entry | {"MessageDeduplicationId": uuid.uuid4().hex} for entry in entries]
        if group:
            entries = [entry | {"MessageGroupId": group} for entry in entries]
        return self._call("SendMessageBatch", answers.sent, QueueUrl=self.url, Entries=entries)

    def depth(self) -> Depth:
        """See core/queue.py."""
        return self._attributes(answers.depth, *answers.COUNTS)

    def max_receive_count(self) -> int | None:
        """See core/queue.py."""
        redrive = self._policy()
        return redrive.max_receive_count if redrive else None

    def _policy(self) -> Redrive | None:
        """The redrive policy; an answer is good for a minute, so that a storm of failures does not
        double the bill.
        """
        if self._redrive_until < now():
            self._redrive = self._attributes(answers.redrive, "RedrivePolicy")
            self._redrive_until = now() + REMEMBERED
        return self._redrive

    def dead_letter(self, message: Message, attributes: Mapping[str, str]) -> None:
        """See core/queue.py. Raises QueueError also when there is no dead-letter queue."""
        there, name, url = self.find_dead_letters()
        letter = dead_letter(message, attributes, fifo=name.endswith(".fifo"))
        there._call("SendMessage", answers.letter_id, of=name, QueueUrl=url, **letter)

    def find_dead_letters(self) -> tuple["SqsQueue", str, str]:
        """Where calls to the dead-letter queue are made, its name, its URL. Raises QueueError if
        there is none.
        """
        arn = self._dead_letter_arn()
        region, account, name = answers.place(arn)
        there = self._in(region)
        self._means.beat()
        if arn not in self._dead_letter_urls:
            self._dead_letter_urls[arn] = there._call(
                "GetQueueUrl",
                answers.queue_url,
                of=name,
                QueueName=name,
                QueueOwnerAWSAccountId=account,
            )
            self._means.beat()
        return there, name, self._dead_letter_urls[arn]

    def dead_letters_name(self) -> str:
        """The name of the dead-letter queue, which need not exist. Raises QueueError if the policy
        names none.
        """
        return answers.place(self._dead_letter_arn())[2]

    def _dead_letter_arn(self) -> str:
        redrive = self._policy()
        if redrive is None:
            raise QueueError(
                Trouble.FINAL, f"queue {self._sessions.address.name!r} has no dead-letter queue"
            )
        return redrive.dead_letter_arn

    def _in(self, region: str) -> "SqsQueue":
        """Where calls to that region are made: here, or by one of its own."""
        if region in ("", self.region):
            return self
        if self._elsewhere is None or self._elsewhere.region != region:
            self._elsewhere = SqsQueue(
                self._sessions.elsewhere(region),
                short_call=self._short_call,
                means=self._means,
            )
        return self._elsewhere

    def arn(self) -> str:
        """The queue's ARN."""
        return self._attributes(answers.arn, "QueueArn")

    def _attributes(self, read: Callable[[Any], Answer], *names: str) -> Answer:
        return self._call("GetQueueAttributes", read, QueueUrl=self.url, AttributeNames=list(names))

    def create(self, attributes: dict[str, str]) -> None:
        """Make the queue if it is missing; one that is there keeps its attributes."""
        try:
            self._url = self._found()
        except QueueError as error:
            if error.trouble is not Trouble.GONE:
                raise
            name = self._sessions.address.name
            self._url = self._call(
                "CreateQueue", answers.queue_url, QueueName=name, Attributes=attributes
            )

    def _call(
        self, operation: str, read: Callable[[Any], Answer], *, of: str = "", **arguments: Any
    ) -> Answer:
        """`of`: the queue that an error names, if it is not this one."""
        self._own()
        return self._ask(self._made_short(), operation, read, of, **arguments)

    def _made_short(self) -> Line:
        if self._short is None:
            self._short = self._sessions.line(self._short_call, self._short_call, self._means)
        return self._short

    def _ask(
        self,
        line: Line,
        operation: str,
        read: Callable[[Any], Answer],
        of: str = "",
        **arguments: Any,
    ) -> Answer:
        """One call, and its answer read: whatever is wrong with either is told apart in one place."""
        try:
            return read(line.call(operation, arguments))
        except Exception as error:  # noqa: BLE001 - classified() knows them all
            address = self._sessions.address
            raise classified(
                error, of or address.name, self._sessions.endpoint_url, operation
            ) from None


def make_with_dead_letter_queue(address: Address) -> None:
    """Make the queue and its dead-letter queue `NAME-dlq` (maxReceiveCount 3) if they are missing."""
    fifo = address.name.endswith(".fifo")
    base = address.name.removesuffix(".fifo")
    kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
    letters = replace(address, queue=f"{base}-dlq{'.fifo' if fifo else ''}")
    with (
        closing(SqsQueue(Sessions(letters))) as dead_letters,
        closing(SqsQueue(Sessions(address))) as queue,
    ):
        dead_letters.create(kind)
        policy = json.dumps({"deadLetterTargetArn": dead_letters.arn(), "maxReceiveCount": "3"})
        queue.create(kind | {"RedrivePolicy": policy})
