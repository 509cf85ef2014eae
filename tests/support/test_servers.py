"""The servers and queues that the pool's tests stand on do what the tests take for granted."""

import pytest

from tests.support.servers import MAX_RECEIVE_COUNT, Depth, LiveQueue


@pytest.mark.parametrize("fixture", ["queue", "moto_queue"])
def test_a_queue_counts_and_dead_letters(fixture: str, request: pytest.FixtureRequest) -> None:
    queue: LiveQueue = request.getfixturevalue(fixture)
    client = queue.server.client
    queue.send("a")
    for _ in range(MAX_RECEIVE_COUNT):
        assert queue.depth() == Depth(1, 0, 0)
        assert client.receive_message(QueueUrl=queue.url, VisibilityTimeout=0)["Messages"]
    assert "Messages" not in client.receive_message(QueueUrl=queue.url)
    assert queue.dead_depth() == Depth(1, 0, 0)
    assert queue.dead_bodies() == ["a"]
