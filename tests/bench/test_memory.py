"""Every process of a pool is in the figures of its memory, under its role."""

import signal

import pytest

from bench import memory
from bench.harness import Endpoint
from bench.subjects import fleet

pytestmark = pytest.mark.process


def test_each_process_is_counted_under_its_role() -> None:
    with Endpoint() as endpoint, fleet(endpoint, 2, "noop", "--log-format", "json") as tree:
        tree.await_events("dispatcher.ready", 2)
        memory.work(endpoint, 0, 4)
        found = list(memory.shares(tree))
        tree.end(endpoint, signal.SIGTERM)
    roles = memory._roles(found)
    assert {role: roles[role] for role in ("master", "template", "scout")} == {
        "master": 1,
        "template": 1,
        "scout": 1,
    }
    assert roles["dispatcher"] == 2
    assert all(0 < share.private <= share.pss for share in found)
