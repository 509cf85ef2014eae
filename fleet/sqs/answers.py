"""What SQS answers becomes what we want of it: one function for each kind of answer.

Anything missing or of another shape raises, and errors.py tells it apart. What has passed here fits
everywhere: in the scoreboard, in a log line, in an environment, in a dead letter. A member that is
null counts as missing. A message that is no good does not take the messages beside it away: it
comes as an unusable message.

docs/decisions/0006 and docs/decisions/0018 have the reasons.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fleet.core.depth import Depth
from fleet.core.queue import Message
from fleet.sqs.digests import md5
from fleet.sqs.error_text import clean

LONGEST_ID, LONGEST_HANDLE = 100, 1024  # SQS's own limits
MOST_ATTEMPTS = 1 << 31
MOST_COUNTED = 1 << 50  # messages: what does not fit into a float is no count

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


def ignore(_: Any) -> None:
    """Of a call whose answer says nothing but that it was done."""


def queue_url(answer: Any) -> str:
    """Of GetQueueUrl and CreateQueue."""
    return _text(answer["QueueUrl"])


def message_id(answer: Any) -> str:
    """Of SendMessage. Only this id says that SQS has the message: the original is deleted then."""
    return _text(answer["MessageId"])


def _text(value: Any, longest: int = 2048) -> str:
    """A text of at most so many bytes that no terminal, environment or line would act on."""
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError("not a text")
    if not 0 < len(value.encode()) <= longest:
        raise TypeError("empty, or too long")
    return value


def first_message(answer: Any) -> Message | None:
    """Of ReceiveMessage: we ask for one."""
    return next(iter(messages(answer)), None)


def messages(answer: Any) -> list[Message]:
    """Of ReceiveMessage."""
    raws = answer.get("Messages") or []
    if not isinstance(raws, list):
        raise TypeError("not a list")
    return [_message(raw) for raw in raws]


def batch_result(answer: Any) -> tuple[int, str]:
    """Of SendMessageBatch: how many were taken, and why one was not; empty if all were."""
    why = ""
    if refused := answer.get("Failed"):
        why = f"{refused[0].get('Code') or 'no reason'} {refused[0].get('Message') or ''}"
    return len(answer.get("Successful") or []), clean(why)


def depth(answer: Any) -> Depth:
    """Of GetQueueAttributes with COUNTS."""
    return Depth(*(_count(answer["Attributes"][name]) for name in COUNTS))


def _count(value: Any) -> int:
    """A number of messages. One that is missing is not 0: an empty queue ends pools."""
    if not 0 <= (count := int(value)) <= MOST_COUNTED:
        raise ValueError("not a number of messages")
    return count


def redrive(answer: Any) -> Redrive | None:
    """Of GetQueueAttributes with RedrivePolicy; maxReceiveCount is a number or its text."""
    policy = (answer.get("Attributes") or {}).get("RedrivePolicy")
    if not policy:
        return None
    read = json.loads(policy)
    return Redrive(_text(read["deadLetterTargetArn"]), int(read["maxReceiveCount"]))


def arn_parts(arn: str) -> tuple[str, str, str]:
    """Region, account and name of a queue; empty where the ARN does not say."""
    region, account, name = ["", "", *arn.split(":")][-3:]
    return region, account, name


def wait_time(answer: Any) -> float:
    """Of GetQueueAttributes with WAIT_TIME."""
    return min(20.0, max(0.0, float((answer.get("Attributes") or {}).get(WAIT_TIME) or 0)))


def arn(answer: Any) -> str:
    """Of GetQueueAttributes with QueueArn."""
    return _text(answer["Attributes"]["QueueArn"])


def _message(raw: Any) -> Message:
    """A message. Never raises: a message that is no good is unusable, and says why."""
    try:
        message = _read_message(raw)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        return Message(_id_if_known(raw), "", "", unusable="it is not as SQS describes messages")
    if not _is_whole(message.body, raw.get("MD5OfBody")):
        return replace(message, body="", unusable="its body is not what was sent (MD5OfBody)")
    return message


def _read_message(raw: Any) -> Message:
    """A message. Raises whatever a member of another type raises."""
    system = _present(raw.get("Attributes"))
    attributes = _present(raw.get("MessageAttributes"))
    body = raw["Body"]
    attempt = int(system.get("ApproximateReceiveCount", 1))
    if not isinstance(body, str) or not 0 <= attempt <= MOST_ATTEMPTS:
        raise TypeError("not a message")
    return Message(
        id=_text(raw["MessageId"], LONGEST_ID),
        handle=_text(raw["ReceiptHandle"], LONGEST_HANDLE),
        body=body,
        attempt=attempt,
        attributes={name: _with_bytes(_present(value)) for name, value in attributes.items()},
        system_attributes=system,
    )


def _present(members: Mapping[str, Any] | None) -> dict[str, Any]:
    """The members that are not null."""
    return {name: value for name, value in (members or {}).items() if value is not None}


def _with_bytes(attribute: dict[str, Any]) -> dict[str, Any]:
    """The attribute with bytes for its base64: JSON has none.

    botocore's client has read them already.
    """
    binary = attribute.get("BinaryValue")
    if not isinstance(binary, str):
        return attribute
    return attribute | {"BinaryValue": base64.b64decode(binary)}


def _id_if_known(raw: Any) -> str:
    """The message's id, if it says a good one itself."""
    try:
        return _text(raw["MessageId"], LONGEST_ID)
    except (TypeError, ValueError, KeyError):
        return "(not known)"


def _is_whole(body: str, digest: Any) -> bool:
    """Whether the digest is that of the body. Some servers send none."""
    if digest is None:
        return True
    try:
        return bool(md5(body.encode(), usedforsecurity=False).hexdigest() == digest)
    except UnicodeEncodeError:  # half a character: no body that anybody has sent
        return False
