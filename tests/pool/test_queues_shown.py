"""What people see of a pool of two queues: its log, its status, its ledgers."""

import pytest

from tests.support.control import status
from tests.support.eventually import eventually
from tests.support.pool import Home, Launch, Pool, run_fleet
from tests.support.servers import LiveQueue, Server

TABLES = """
wait_time = 1
workers = 2
log_format = "json"
endpoint_url = "{endpoint}"

[[queue]]
name = "{high}"
app = "jobs:job"

[[queue]]
name = "{low}"
app = "jobs:job"
limit = 1
"""


class Two:
    """A pool of two queues, each with a table that names its app; APP is left out."""

    def __init__(self, launch: Launch, home: Home, server: Server) -> None:
        self.high, self.low = LiveQueue.fresh(server), LiveQueue.fresh(server)
        names = {"high": self.high.name, "low": self.low.name}
        file = home.directory / "two.toml"
        file.write_text(TABLES.format(endpoint=server.endpoint, **names))
        self.pool: Pool = launch("start", "--config", str(file))
        self.pool.wait_ready(2)


@pytest.fixture
def two(launch: Launch, home: Home, ministack_server: Server) -> Two:
    return Two(launch, home, ministack_server)


def test_every_event_about_a_queue_says_which(two: Two) -> None:
    for queue in (two.high, two.low):
        (message_id,) = queue.send("one")
        two.pool.wait_event("message.deleted", message_id=message_id)
        events = two.pool.events(message_id=message_id)
        assert {event["queue"] for event in events} == {queue.name}
        assert all(event["message"].endswith(f" · queue {queue.name}") for event in events)
    two.pool.terminate()
    assert two.pool.wait() == 0
    two.pool.wait_log_end()
    (started,) = two.pool.events("master.started")
    assert started["queues"] == f"{two.high.name}, {two.low.name}"
    told = [(each.get("queue"), each["received"]) for each in two.pool.events("drain.finished")]
    assert told == [(two.high.name, 1), (two.low.name, 1), (None, 2)]
    high, _, whole = (each["message"] for each in two.pool.events("drain.finished"))
    assert high.endswith(f"left 0 · queue {two.high.name}")
    assert whole.endswith("left 0")


def test_the_status_has_a_line_for_each_and_a_queue_is_paused_alone(two: Two, home: Home) -> None:
    gate = home.gate("g")
    two.low.send("hold g")
    home.trace.wait("started")
    assert "is paused" in run_fleet(home, "pause", "--queue", two.high.name).output
    high, low = status(home)["queues"]
    assert (high["name"], high["state"], high["busy"], high["limit"]) == (
        two.high.name,
        "paused",
        0,
        None,
    )
    assert (low["name"], low["state"], low["busy"], low["limit"]) == (
        two.low.name,
        "running",
        1,
        1,
    )
    assert status(home)["state"] == "running"
    lines = run_fleet(home, "status").output.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[:3] for line in lines if line.startswith("jobs-")] == [
        [two.high.name, "paused", "0"],
        [two.low.name, "running", "1"],
    ]
    gate.open()
    eventually(lambda: status(home)["busy"] == 0)
