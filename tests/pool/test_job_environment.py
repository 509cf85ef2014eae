"""What a job finds around itself: its message's data, and a process that is its own."""

import signal
from typing import Any

import pytest

from tests.support.pool import APPS, Home, StartPool
from tests.support.servers import LiveQueue

PYTHON_IGNORES = {signal.SIGPIPE, signal.SIGXFSZ}
"""What every Python process ignores from its start."""


def signals(mask: int) -> set[int]:
    return {number for number in range(1, signal.NSIG) if mask >> (number - 1) & 1}


@pytest.fixture
def found(start: StartPool, home: Home, queue: LiveQueue) -> dict[str, Any]:
    (message_id,) = queue.send("describe")
    pool = start(workers=1)
    (line,) = home.trace.wait("found")
    found = line.detail
    assert isinstance(found, dict)
    assert line.message_id == message_id
    return found | {"pid": line.pid, "dispatcher": pool.dispatcher(0)}


def test_it(found: dict[str, Any], queue: LiveQueue) -> None:
    about = {
        name: value for name, value in found["environment"].items() if name.startswith("FLEET_JOB_")
    }
    assert about.pop("FLEET_JOB_ID")
    assert about == {"FLEET_JOB_QUEUE": queue.name, "FLEET_JOB_ATTEMPT": "1", "FLEET_JOB_SLOT": "0"}
    assert found["directory"] == str(APPS)
    assert found["parent"] == found["dispatcher"]
    assert found["session"] == found["group"] == found["pid"]
    assert found["input"] == ""
    assert signals(found["signals"]["SigBlk"]) == set()
    assert signals(found["signals"]["SigCgt"]) <= {signal.SIGINT}
    assert signals(found["signals"]["SigIgn"]) <= PYTHON_IGNORES
    assert set(found["descriptors"]) == {"0", "1", "2"}, found["descriptors"]


def test_what_it_prints_reaches_the_pools_output(start: StartPool, queue: LiveQueue) -> None:
    queue.send("say good morning")
    pool = start()
    pool.wait_event("message.deleted")
    assert pool.output() == "good morning\n"
