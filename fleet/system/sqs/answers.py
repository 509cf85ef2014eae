"""What SQS answers → what we want of it. Anything missing or of another shape raises, and is told apart elsewhere.

What has passed here fits everywhere: in the scoreboard, in a log line, in a dead letter.
"""

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from fleet.core.depth import Depth
from fleet.core.queue import Message

Answer = TypeVar("Answer")

LONGEST_ID, LONGEST_HANDLE = 100, 1024  # SQS's own limits
MOST_ATTEMPTS = 1 << 31

COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
WAIT_TIME = "ReceiveMessageWaitTimeSeconds"


@dataclass(frozen=True, slots=True)
class Redrive:
    """A queue's redrive policy: where a message goes after how many deliveries."""

    dead_letter_arn: str
    max_receive_count: int


def nothing(_: Any) -> None:
    """An answer that says nothing but that it was done."""


def queue_url(answer: Any) -> str:
    """Of GetQueueUrl and CreateQueue."""
    return _text(answer["QueueUrl"])


def letter_id(answer: Any) -> str:
    """Of SendMessage: nothing but SQS says that it has the message, and the original is deleted then."""
    return _text(answer["MessageId"])


def _text(value: Any, longest: int = 2048) -> str:
    """A text of at most so many bytes."""
    if not isinstance(value, str) or not 0 < len(value.encode()) <= longest:
        raise TypeError("not a text, or too long")
    return value


def first_message(answer: Any) -> Message | None:
    """Of ReceiveMessage: we ask for one."""
    found = answer.get("Messages")
    return _message(found[0]) if found else None


def messages(answer: Any) -> list[Message]:
    """Of ReceiveMessage, when we ask for several."""
    return [_message(raw) for raw in answer.get("Messages") or ()]


def sent(answer: Any) -> tuple[int, str]:
    """Of SendMessageBatch: how many were taken, and why one was not."""
    refused = answer.get("Failed") or []
    return len(answer.get("Successful") or []), str(refused[0].get("Code", "no reason")) if refused else ""


def depth(answer: Any) -> Depth:
    """Of GetQueueAttributes with COUNTS."""
    found = answer.get("Attributes", {})
    return Depth(*(int(found.get(name, 0)) for name in COUNTS))


def redrive(answer: Any) -> Redrive | None:
    """Of GetQueueAttributes with RedrivePolicy; maxReceiveCount is a number or its text."""
    policy = answer.get("Attributes", {}).get("RedrivePolicy")
    if not policy:
        return None
    read = json.loads(policy)
    return Redrive(str(read["deadLetterTargetArn"]), int(read["maxReceiveCount"]))


def place(arn: str) -> tuple[str, str, str]:
    """Region, account and name of a queue; empty where it does not say."""
    region, account, name = ["", "", *arn.split(":")][-3:]
    return region, account, name


def wait_time(answer: Any) -> float:
    """Of GetQueueAttributes with WAIT_TIME."""
    return float(answer.get("Attributes", {}).get(WAIT_TIME, 0))


def arn(answer: Any) -> str:
    """Of GetQueueAttributes with QueueArn."""
    return str(answer["Attributes"]["QueueArn"])


def _message(raw: dict[str, Any]) -> Message:
    system, attributes, body = raw.get("Attributes", {}), raw.get("MessageAttributes", {}), raw["Body"]
    attempt = int(system.get("ApproximateReceiveCount", 1))
    if not isinstance(body, str) or not 0 <= attempt <= MOST_ATTEMPTS:
        raise TypeError("not a message")
    if not all(isinstance(each, dict) for each in attributes.values()):
        raise TypeError("not a message's attributes")
    return Message(
        id=_text(raw["MessageId"], LONGEST_ID),
        handle=_text(raw["ReceiptHandle"], LONGEST_HANDLE),
        body=body,
        attempt=attempt,
        attributes=attributes,
        system_attributes=system,
    )
