"""The stand-in does what peers and measures ask of it, by boto3's own client."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from bench.harness import Endpoint, await_true

pytestmark = pytest.mark.process
BODIES = ["one", "two", "three"]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(BODIES) as endpoint:
        yield endpoint


@pytest.fixture
def sqs(endpoint: Endpoint) -> Iterator[Any]:
    session = boto3.Session("bench", "bench", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1})
    client = session.client("sqs", endpoint_url=endpoint.url, config=config)
    yield client
    client.close()


def receive(sqs: Any, url: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600
    ).get("Messages", [])
    return messages


def test_messages_carry_the_given_bodies_in_turn(endpoint: Endpoint, sqs: Any) -> None:
    url = sqs.get_queue_url(QueueName="bench")["QueueUrl"]
    endpoint.fill(4)
    endpoint.put(2)
    assert [m["Body"] for m in receive(sqs, url)] == ["one", "two", "three", "one", "three"]


def test_a_batch_is_deleted_and_another_shown_again(endpoint: Endpoint, sqs: Any) -> None:
    url = sqs.get_queue_url(QueueName="bench")["QueueUrl"]
    endpoint.fill(4)
    entries = [
        {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
        for index, message in enumerate(receive(sqs, url))
    ]
    assert receive(sqs, url) == []
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=entries[:2])
    shown = sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[entry | {"VisibilityTimeout": 0} for entry in entries[2:]]
    )
    assert [each["Id"] for each in deleted["Successful"] + shown["Successful"]] == list("0123")
    await_true(lambda: endpoint.call("GET", "/stats")["visible"] == 2, "two visible messages")
    assert len(receive(sqs, url)) == 2
    assert [len(message["deliveries"]) for message in endpoint.messages()] == [1, 1, 2, 2]


def test_what_is_down_refuses(endpoint: Endpoint, sqs: Any) -> None:
    url = sqs.get_queue_url(QueueName="bench")["QueueUrl"]
    endpoint.call("POST", "/down?seconds=1000")
    await_true(lambda: not answers(sqs, url), "the refusal")


def test_what_was_down_has_its_messages(endpoint: Endpoint, sqs: Any) -> None:
    url = sqs.get_queue_url(QueueName="bench")["QueueUrl"]
    endpoint.fill(2)
    endpoint.go_down(0.0)
    await_true(lambda: answers(sqs, url), "an answer")
    assert len(endpoint.messages()) == 2


def answers(sqs: Any, url: str) -> bool:
    try:
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    except (EndpointConnectionError, ConnectionClosedError):
        return False
    return True
