"""The proxy that the pool's tests lean on does what it says."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, Depth, LiveQueue, connect


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Any]:
    client = connect(proxy.endpoint)
    yield client
    client.close()


def receive(client: Any, queue: LiveQueue) -> list[dict[str, Any]]:
    answer = client.receive_message(QueueUrl=queue.url, WaitTimeSeconds=1)
    return list(answer.get("Messages", []))


def test_it_passes_and_keeps_a_journal(proxy: FaultProxy, client: Any, queue: LiveQueue) -> None:
    client.send_message(QueueUrl=queue.url, MessageBody="a")
    assert [message["Body"] for message in receive(client, queue)] == ["a"]
    assert [exchange.action for exchange in proxy.journal()] == ["SendMessage", "ReceiveMessage"]
    exchange = proxy.journal("ReceiveMessage")[0]
    assert exchange.status == 200
    assert exchange.request["WaitTimeSeconds"] == 1


def test_a_queue_found_through_it_is_used_through_it(
    proxy: FaultProxy, client: Any, queue: LiveQueue
) -> None:
    assert client.get_queue_url(QueueName=queue.name)["QueueUrl"].startswith(proxy.endpoint)


def test_a_stalled_answer_waits_for_its_release(
    proxy: FaultProxy, client: Any, queue: LiveQueue
) -> None:
    proxy.stall("ReceiveMessage")
    bodies: list[str] = []
    poll = threading.Thread(target=lambda: bodies.extend(m["Body"] for m in receive(client, queue)))
    poll.start()
    proxy.wait_open("ReceiveMessage")
    queue.send("a")
    proxy.wait_held("ReceiveMessage")
    assert queue.depth() == Depth(0, 1, 0)
    assert bodies == []
    proxy.release("ReceiveMessage", 1)
    poll.join()
    assert bodies == ["a"]


@pytest.mark.parametrize("after", [False, True])
def test_a_cut_request_has_no_answer(
    proxy: FaultProxy, client: Any, queue: LiveQueue, after: bool
) -> None:
    queue.send("a")
    (message,) = receive(client, queue)
    proxy.cut("DeleteMessage", after=after)
    with pytest.raises(HTTPClientError):
        client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    assert (queue.depth() == EMPTY) == after


def test_errors_are_made_as_often_as_ordered(
    proxy: FaultProxy, client: Any, queue: LiveQueue
) -> None:
    proxy.fail("SendMessage")
    proxy.throttle("SendMessage")
    codes = []
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            client.send_message(QueueUrl=queue.url, MessageBody="a")
        codes.append(caught.value.response["Error"]["Code"])
    client.send_message(QueueUrl=queue.url, MessageBody="b")
    assert codes == ["InternalFailure", "ThrottlingException"]
    assert queue.depth() == Depth(1, 0, 0)
