"""--local: the embedded server comes with the first pool, leaves with the last, and keeps what was
sent.
"""

import http.server
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.eventually import eventually
from tests.support.pool import QUIET, Expected, Home, Launch, Pool, run_fleet
from tests.support.processes import is_alive
from tests.support.servers import connect, free_port

KILLED = Expected(
    errors=frozenset({"message.unsettled"}),
    kills=frozenset({"helper.died", "dispatcher.died", "message.left"}),
)
FOREGROUND = Expected(noise=True, ledger=False)


@pytest.fixture
def port() -> int:
    return free_port()


class Local:
    """Pools and commands on the embedded server of one port."""

    def __init__(self, launch: Launch, home: Home, port: int) -> None:
        self.options = ("--local", "--local-port", str(port), "--queue", "jobs")
        self.port = port
        self._launch = launch
        self._home = home

    def start(self, *options: str, expected: Expected = QUIET) -> Pool:
        pool_options = ("--workers", "2", "--wait-time", "1", "--log-format", "json")
        return self._launch(
            "start", *self.options, *pool_options, *options, "jobs:job", expected=expected
        )

    def send(self, *bodies: str, text: str | None = None) -> str:
        sent = run_fleet(self._home, "send", *self.options, *bodies, text=text)
        assert (sent.status, sent.errors) == (0, "")
        return sent.output

    def servers(self) -> int:
        return sum(process.title.startswith("fleet: local") for process in self._home.processes())

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def local(launch: Launch, home: Home, port: int) -> Local:
    return Local(launch, home, port)


def test_a_pool_brings_its_server_and_takes_it_away(local: Local, home: Home) -> None:
    pool = local.start()
    pool.wait_ready(2)
    assert local.servers() == 1
    assert "2" in local.send("task 1", "task 2")
    pool.wait_event("message.deleted", count=2)
    assert sorted(home.trace.bodies("done")) == ["task 1", "task 2"]
    pool.terminate()
    assert pool.wait() == 0
    home.wait_empty()
    assert not local.listens()


def test_a_queue_has_its_dead_letter_queue(local: Local) -> None:
    pool = local.start()
    pool.wait_ready(2)
    client = connect(f"http://127.0.0.1:{local.port}")
    url = client.get_queue_url(QueueName="jobs")["QueueUrl"]
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])[
        "Attributes"
    ]
    client.close()
    policy = json.loads(found["RedrivePolicy"])
    assert policy["deadLetterTargetArn"].endswith(":jobs-dlq")
    assert int(policy["maxReceiveCount"]) == 3


def test_the_commands_leave_nothing_open(local: Local, home: Home) -> None:
    """Python in development mode tells of each file and connection that is given up without being
    closed.
    """
    local.start().wait_ready(2)
    strict = home.environment(PYTHONDEVMODE="1", PYTHONWARNINGS="error")
    for command in (
        ("send", *local.options, "task"),
        ("status",),
        ("scale", "1"),
        ("config",),
        ("stop",),
    ):
        ended = run_fleet(home, *command, env=strict)
        assert (ended.status, ended.errors) == (0, ""), command


def test_messages_survive_an_orderly_stop(local: Local, home: Home) -> None:
    server = local.start()
    server.wait_ready(2)
    gate = home.gate("g")
    local.send("hold g", "hold g", *(f"task {number}" for number in range(20)))
    home.trace.wait("started", 2)
    server.terminate()
    gate.open(2)
    assert server.wait() == 0
    home.wait_empty()
    again = local.start("--until-empty", "--empty-for", "1")
    assert again.wait() == 0
    done = home.trace.bodies("done")
    assert sorted(done) == sorted(["hold g", "hold g", *(f"task {number}" for number in range(20))])


def test_two_pools_share_the_server(local: Local, home: Home) -> None:
    first = local.start("--name", "first")
    first.wait_ready(2)
    second = local.start("--name", "second")
    second.wait_ready(2)
    assert local.servers() == 1
    first.terminate()
    assert first.wait() == 0
    local.send("task")
    second.wait_event("message.deleted")
    assert home.trace.bodies("done") == ["task"]


def test_the_server_outlives_a_killed_master_until_its_jobs_are_settled(
    local: Local, home: Home
) -> None:
    gate = home.gate("g")
    pool = local.start()
    pool.wait_ready(2)
    local.send("hold g")
    home.trace.wait("started")
    pool.kill_master()
    gate.open()
    home.wait_empty()
    again = local.start("--until-empty", "--empty-for", "1")
    assert again.wait() == 0
    assert again.ledger()["received"] == 0
    assert home.trace.bodies("done") == ["hold g"]


def test_fleet_local_keeps_a_server_until_it_is_told_to_end(
    local: Local, launch: Launch, home: Home
) -> None:
    server = launch("local", "--local-port", str(local.port), expected=FOREGROUND)
    eventually(local.listens)
    assert "1" in local.send("task")
    pool = local.start("--until-empty", "--empty-for", "1")
    assert pool.wait() == 0
    assert home.trace.bodies("done") == ["task"]
    assert local.servers() == 1
    server.terminate()
    assert server.wait() == 0
    home.wait_empty()


def kill_server(home: Home) -> None:
    (server,) = (
        process for process in home.processes() if process.title.startswith("fleet: local")
    )
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(server.pid), what="the server is gone")


@pytest.mark.slow
def test_a_server_that_is_killed_is_started_again(local: Local, home: Home) -> None:
    """Not with the scout that has started it, nor before the pool; twice, because then it is not
    the master's child.
    """
    pool = local.start(expected=KILLED)
    pool.wait_ready(2)
    for count in (1, 2):
        kill_server(home)
        pool.wait_event("local.restarted", count=count)
        local.send(f"task {count}")
        pool.wait_event("message.deleted", count=count)
    (scout,) = pool.titled("fleet: scout")
    os.kill(scout.pid, signal.SIGKILL)
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    pool.wait_event("queue.usable", count=2)
    pool.wait_event("dispatcher.ready", count=2, slot=0)
    assert local.servers() == 1
    local.send("task 3")
    pool.wait_event("message.deleted", count=3)
    pool.terminate()
    assert pool.wait() == 0
    home.wait_empty()
    assert not local.listens()


def test_two_pools_start_it_again_once(local: Local, home: Home) -> None:
    pools = [local.start("--name", name, expected=KILLED) for name in ("first", "second")]
    for pool in pools:
        pool.wait_ready(2)
    kill_server(home)
    eventually(
        lambda: any(pool.events("local.restarted") for pool in pools), what="it is started again"
    )
    local.send("task")
    eventually(lambda: home.trace.bodies("done") == ["task"], what="it is done")
    assert local.servers() == 1
    pools[0].terminate()
    assert pools[0].wait() == 0
    local.send("another")
    eventually(lambda: len(home.trace.bodies("done")) == 2, what="the other one is done too")


def test_send_takes_lines(local: Local, home: Home) -> None:
    pool = local.start()
    pool.wait_ready(2)
    assert "3" in local.send(text="one\ntwo words\nthree\n")
    pool.wait_event("message.deleted", count=3)
    assert sorted(home.trace.bodies("done")) == ["one", "three", "two words"]


def test_send_without_a_server_says_how_to_have_one(local: Local, home: Home) -> None:
    sent = run_fleet(home, "send", *local.options, "task")
    assert sent.status == 5
    assert "run fleet local" in sent.error_line
    assert sent.output == ""


class NotSqs(http.server.BaseHTTPRequestHandler):
    """A web server that has never heard of SQS."""

    def do_POST(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@pytest.fixture
def web_server() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotSqs)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("command", ["start", "local"])
def test_a_port_that_something_else_holds(home: Home, web_server: int, command: str) -> None:
    arguments = (
        ("start", "--local", "--queue", "jobs", "jobs:job") if command == "start" else ("local",)
    )
    ended = run_fleet(home, *arguments, "--local-port", str(web_server))
    assert ended.status == 2
    assert str(web_server) in ended.error_line
