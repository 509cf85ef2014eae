"""Whatever an endpoint answers is taken, and then fits everywhere, or is a QueueError: no dispatcher dies of it."""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.queue import Message, QueueError
from fleet.core.slots import State
from fleet.system.scoreboard import Record, Scoreboard, create
from fleet.system.sqs import Address, Sessions, SqsQueue
from fleet.system.sqs.letters import dead_letter

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=8,
)
POLICY = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:1:dlq", "maxReceiveCount": "3"})
GOOD: dict[str, Any] = {
    "Messages": [
        {
            "MessageId": "id",
            "ReceiptHandle": "handle",
            "Body": "body",
            "Attributes": {"ApproximateReceiveCount": "1", "AWSTraceHeader": "Root=1", "MessageGroupId": "blue"},
            "MessageAttributes": {"colour": {"DataType": "String", "StringValue": "blue"}},
        }
    ],
    "QueueUrl": "http://localhost/1/dlq",
    "MessageId": "2",
    "Attributes": {
        "RedrivePolicy": POLICY,
        "ApproximateNumberOfMessages": "1",
        "QueueArn": "arn:aws:sqs:us-east-1:1:jobs",
    },
}
OURS = Message("id", "handle", "body")


class Line:
    """A line that answers as the test says."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ARG002
        """The answer to that operation, or the good one."""
        return self._answers.get(operation, GOOD)

    def close(self) -> None:
        """Nothing."""

    def forget(self) -> None:
        """Nothing."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """None."""
        return ()


SESSIONS = Sessions(Address("jobs", "us-east-1", "http://127.0.0.1:1", "key", "secret"))
CALLS: dict[str, Callable[[SqsQueue], object]] = {
    "ReceiveMessage": lambda queue: queue.receive(1, 20),
    "ChangeMessageVisibility": lambda queue: queue.extend(OURS, 20),
    "DeleteMessage": lambda queue: queue.delete(OURS),
    "GetQueueAttributes": lambda queue: (queue.max_receive_count(), queue.depth(), queue.arn()),
    "RedrivePolicy": lambda queue: queue.dead_letter(OURS, {}),
    "GetQueueUrl": lambda queue: queue.url,
    "SendMessage": lambda queue: queue.dead_letter(OURS, {}),
}


def opened(operation: str, answer: object) -> SqsQueue:
    queue = SqsQueue(SESSIONS, None if operation == "GetQueueUrl" else "http://localhost/1/jobs")
    name = "GetQueueAttributes" if operation == "RedrivePolicy" else operation
    queue._long = queue._short = Line({name: answer})
    queue._user = os.getpid()  # its lines are this process's
    return queue


def fits(found: object) -> None:
    """It can be written to the scoreboard, and sent as a dead letter."""
    if not isinstance(found, Message):
        return
    fd = create()
    board = Scoreboard(fd)
    record = Record(State.WORKING, 1, message_id=found.id, receipt_handle=found.handle, attempt=found.attempt)
    board.write(0, record)
    assert board.read(0) == record
    board._memory.close()
    os.close(fd)
    letter = dead_letter(found, {"FleetDeath": "exit 1"}, fifo=True)
    json.dumps({name: value for name, value in letter.items() if name != "MessageAttributes"})


def spoiled(data: st.DataObject, good: Any) -> Any:
    """The answer with one value in it replaced, or left out."""
    if isinstance(good, dict) and good and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(good)))
        if data.draw(st.booleans()):
            return {**good, name: spoiled(data, good[name])}
        return {each: value for each, value in good.items() if each != name}
    if isinstance(good, list) and good and data.draw(st.booleans()):
        return [spoiled(data, good[0])]
    return data.draw(JSON | st.just("x" * 5000) | st.just("\ud800") | st.just(10**12) | st.just(-1))


@pytest.mark.parametrize("operation", CALLS)
@given(answer=JSON)
def test_any_answer(operation: str, answer: object) -> None:
    check(operation, answer)


@pytest.mark.parametrize("operation", CALLS)
@settings(max_examples=400)
@given(data=st.data())
def test_an_answer_with_one_thing_wrong(operation: str, data: st.DataObject) -> None:
    check(operation, spoiled(data, GOOD))


def check(operation: str, answer: object) -> None:
    queue = opened(operation, answer)
    with contextlib.suppress(QueueError):
        fits(CALLS[operation](queue))


def test_a_good_answer_is_taken() -> None:
    """The test above would pass if nothing was."""
    for operation, call in CALLS.items():
        call(opened(operation, GOOD))
