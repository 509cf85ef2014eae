"""The floors do what they are measured by, and end."""

import pytest

from bench.harness import Endpoint
from bench.subjects import BOTO3, CALLS, FLEET, SIGNED, SOCKET, Subject

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    "subject", [SIGNED, SOCKET, BOTO3, CALLS, FLEET], ids=lambda each: each.name
)
def test_each_message_is_worked_on_once_and_deleted(subject: Subject) -> None:
    with Endpoint() as endpoint, subject.start(endpoint, 2, "stamp") as tree:
        endpoint.fill(6)
        endpoint.await_deleted(6)
        endpoint.await_polls(1)
        messages = endpoint.messages()
        cost = tree.end(endpoint, subject.stop)
        assert sorted(tree.stamped("job")) == [str(index) for index in range(6)]
    assert [message["receives"] for message in messages] == [1] * 6
    assert all(each["sent"] <= each["received"] < each["deleted"] for each in messages)
    assert cost.cpu > 0
    assert cost.faults > 0
