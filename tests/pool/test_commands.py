"""The commands that talk to a running pool."""

import subprocess
import sys

import pytest

from fleet.cli.commands import COMMANDS
from tests.support.control import status
from tests.support.eventually import eventually
from tests.support.pool import APPS, Home, StartPool, run_fleet
from tests.support.servers import LiveQueue


@pytest.mark.parametrize(
    ("words", "page"),
    [(("start",), "fleet start"), (("strt",), "fleet"), (("send", "--locl"), "fleet send")],
)
def test_wrong_usage_names_the_page_that_helps(
    home: Home, words: tuple[str, ...], page: str
) -> None:
    found = run_fleet(home, *words)
    assert found.status == 2
    assert found.errors.endswith(f"({page} --help)\n")


@pytest.mark.parametrize("size", ["9" * 5000, "1" * 10, "few", ""])
def test_what_is_no_size_is_one_line(home: Home, size: str) -> None:
    found = run_fleet(home, "scale", size)
    assert found.status == 2
    assert found.error_line.endswith("; it must be auto or a number of at most 1024")
    assert len(found.error_line) < 100


@pytest.mark.parametrize("words", [(), *((each,) for each in COMMANDS)])
def test_h_is_help(home: Home, words: tuple[str, ...]) -> None:
    found = run_fleet(home, *words, "-h")
    assert (found.status, found.errors) == (0, "")
    assert found.output == run_fleet(home, *words, "--help").output


def test_without_a_word_the_help_is_shown(home: Home) -> None:
    found = run_fleet(home)
    assert (found.status, found.output) == (2, "")
    assert found.errors == run_fleet(home, "--help").output


def test_status_tells_what_the_pool_does(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    (message_id,) = queue.send("hold g")
    pool = start(workers=2)
    (line,) = home.trace.wait("started")
    pool.wait_ready(2)
    told = status(home)
    assert (told["state"], told["pid"], told["name"]) == (
        "running",
        pool.pid,
        f"jobs:job@{queue.name}",
    )
    assert (told["busy"], told["desired"], told["size"]) == (1, 2, 2)
    assert told["counts"]["received"] == 1
    (busy,) = (each for each in told["dispatchers"] if each["message_id"])
    assert (busy["state"], busy["message_id"], busy["job_pid"]) == ("working", message_id, line.pid)
    assert 0 < busy["lease_left"] <= 60
    text = run_fleet(home, "status").output
    assert f"jobs:job@{queue.name}  running" in text
    assert message_id[:8] in text
    assert str(line.pid) in text
    assert "dispatchers: 2 (desired 2), 1 busy, " in text
    assert max(map(len, text.splitlines())) <= 80
    gate.open()
    pool.wait_event("message.deleted")


def test_scale_pause_resume(start: StartPool, home: Home, queue: LiveQueue) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    assert "workers 1 → 3" in run_fleet(home, "scale", "3").output
    pool.wait_ready(3)
    assert "paused" in run_fleet(home, "pause").output
    assert status(home)["state"] == "paused"
    eventually(lambda: status(home)["polling"] == 0)
    queue.send("task")
    assert run_fleet(home, "scale", "1").status == 0
    eventually(lambda: status(home)["size"] == 1)
    assert home.trace.lines() == []  # all that time nobody received
    assert run_fleet(home, "resume").status == 0
    pool.wait_event("message.deleted")


def test_what_is_asked_of_a_queue_by_its_name(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    pool = start(workers=2)
    pool.wait_ready(2)
    of_it = ("--queue", queue.name)
    assert f"{queue.name} is paused" in run_fleet(home, "pause", *of_it).output
    pool.wait_event("queue.paused", queue=queue.name)
    eventually(lambda: status(home)["polling"] == 0)  # a poll that is open may bring a message
    queue.send("later")
    assert f"{queue.name} is resumed" in run_fleet(home, "resume", *of_it).output
    home.trace.wait("done")
    paused, received = pool.events("queue.resumed"), pool.events("message.received")
    assert pool.events_so_far.index(paused[0]) < pool.events_so_far.index(received[0])
    assert "none → 1" in run_fleet(home, "scale", *of_it, "--limit", "1").output
    assert "1 → none" in run_fleet(home, "scale", *of_it, "--limit", "none").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("scale", "0"), "0 is not between 1 and 1024"),
        (("scale", "1025"), "not between"),
        (("scale", "auto"), "fixed size"),
        (("scale", "many"), "'many'"),
        (("scale", "-3"), "No such option"),
        (("scale",), "no size given"),
        (("scale", "--queue", "other", "--limit", "2"), "this pool has no queue 'other'; it has "),
        (("pause", "--queue", "other"), "this pool has no queue 'other'; it has "),
    ],
)
def test_a_scale_that_is_refused(
    start: StartPool, home: Home, arguments: tuple[str, ...], said: str
) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    refused = run_fleet(home, *arguments)
    assert refused.status == 2
    assert said in refused.error_line
    assert status(home)["desired"] == 1


def test_stop_waits_for_the_end(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(workers=1)
    home.trace.wait("started")
    pool.terminated = True
    stopping = subprocess.Popen(
        [sys.executable, "-m", "fleet", "stop"],
        cwd=APPS,
        env=home.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    pool.wait_event("drain.started", why="an operator stopped it")
    assert status(home)["state"] == "draining"
    assert run_fleet(home, "pause").status == 2
    assert stopping.poll() is None
    gate.open()
    output, _ = stopping.communicate(timeout=30)
    assert stopping.returncode == 0
    assert output.splitlines()[-1].endswith("gone")
    assert pool.wait() == 0
    assert home.trace.bodies("done") == ["hold g"]


def test_stop_now(start: StartPool, home: Home, queue: LiveQueue) -> None:
    home.gate("g")
    queue.send("hold g")
    pool = start(workers=1)
    home.trace.wait("started")
    pool.terminated = True
    assert run_fleet(home, "stop", "--now").status == 0
    assert pool.wait() == 0
    assert pool.ledger()["released"] == 1


def test_stop_can_return_at_once(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(workers=1)
    home.trace.wait("started")
    pool.terminated = True
    assert "gone" not in run_fleet(home, "stop", "--no-wait").output
    assert pool.process.poll() is None
    gate.open()


def test_without_a_pool(home: Home) -> None:
    for command in (("status",), ("scale", "3"), ("pause",), ("resume",), ("stop",)):
        told = run_fleet(home, *command)
        assert told.status == 1
        assert "no pool runs here" in told.error_line


def test_pools_are_addressed_by_their_names(start: StartPool, home: Home) -> None:
    for name in ("one", "two"):
        start("--name", name, workers=1).wait_ready(1)
    told = run_fleet(home, "status")
    assert told.status == 2
    assert "one, two" in told.error_line
    assert status(home, "two")["name"] == "two"
    run_fleet(home, "scale", "2", "one")
    assert [status(home, name)["desired"] for name in ("one", "two")] == [2, 1]
    told = run_fleet(home, "status", "three")
    assert told.status == 1
    assert "one, two" in told.error_line


def test_the_list_of_commands_fits_a_terminal(home: Home) -> None:
    """No summary is cut."""
    listed = run_fleet(home, "--help", env=home.environment(COLUMNS="80")).output
    assert "..." not in listed.partition("Commands:")[2]
    assert max(map(len, listed.splitlines())) <= 80
