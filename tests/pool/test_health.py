"""--health-file and `fleet health`: what a container's probe looks at."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import fleet
from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, StartPool, run_fleet
from tests.support.servers import LiveQueue

KEYS = (
    *("timestamp", "cycles", "total_messages", "failed_messages", "pause_count"),
    *("queue_count", "queue_count_delayed", "queue_count_not_visible"),
    *("state", "size", "busy", "desired", "version"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the health file will be."""
    return tmp_path / "health.json"


def read(path: Path) -> dict[str, Any]:
    """What is in it; a reader never finds half of it, or nothing between two."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def wait(path: Path, **wanted: object) -> dict[str, Any]:
    """Wait until the file says so."""
    eventually(path.exists, what="a health file")
    eventually(
        lambda: wanted.items() <= read(path).items(), what=lambda: f"{wanted}: {path.read_text()}"
    )
    return read(path)


def wait_rewritten(path: Path) -> None:
    """Wait until it is younger than it is now."""
    stamp = read(path)["timestamp"]
    eventually(lambda: read(path)["timestamp"] != stamp, what="another timestamp")


def test_it_tells_what_the_pool_is_and_does(
    start: StartPool, home: Home, queue: LiveQueue, path: Path
) -> None:
    gate = home.gate("g")
    queue.send("task", "fail x", "hold g")
    options = ("--health-file", str(path), "--retry-delay", "600", "--depth-interval", "0.5")
    pool = start(*options, workers=2, expected=Expected(noise=True))
    found = wait(
        path,
        total_messages=2,
        failed_messages=1,
        busy=1,
        queue_count_delayed=0,
        queue_count=0,
        size=2,
    )
    assert tuple(found) == KEYS
    assert (found["state"], found["desired"], found["version"]) == ("running", 2, fleet.__version__)
    assert found["cycles"] >= 3
    assert (
        abs((datetime.now(UTC) - datetime.fromisoformat(found["timestamp"])).total_seconds()) < 60
    )
    gate.open()
    pool.terminate()
    pool.wait()
    assert read(path)["state"] == "stopped"


@pytest.mark.slow
def test_it_is_written_again_while_a_job_runs_and_nothing_happens(
    start: StartPool, home: Home, queue: LiveQueue, path: Path
) -> None:
    """The other dispatcher's poll is still open then: nothing else has woken the master."""
    gate = home.gate("g")
    queue.send("hold g")
    options = ("--wait-time", "20", "--depth-interval", "600", "--max-jobs", "2")
    pool = start("--health-file", str(path), *options)
    pool.wait_event("job.started")
    polls = wait(path, busy=1)["cycles"]
    for _ in range(2):
        wait_rewritten(path)
        assert (read(path)["cycles"], read(path)["busy"]) == (polls, 1)
    queue.send("task")
    gate.open()
    assert pool.wait() == 0


def test_a_file_that_cannot_be_written_is_said_once_and_hurts_nobody(
    start: StartPool, home: Home, queue: LiveQueue, tmp_path: Path
) -> None:
    directory = tmp_path / "not-there-yet"
    pool = start("--health-file", str(directory / "health"))
    (said,) = pool.wait_event("health.unwritten")
    assert said["path"] == str(directory / "health")
    assert "No such file" in said["message"]
    queue.send("task")
    pool.wait_event("message.deleted")
    directory.mkdir()
    eventually((directory / "health").exists, what="a health file after all")
    assert len(pool.events("health.unwritten")) == 1
    assert home.trace.bodies("done") == ["task"]


@pytest.mark.parametrize("command", ["health", "check"])  # `check` is what it was called first
def test_a_probe_finds_a_pool_alive_and_then_not(
    start: StartPool, home: Home, path: Path, command: str
) -> None:
    asked = (command, "--health-file", str(path), "--max-age", "120")
    missing = run_fleet(home, *asked)
    assert missing.status == 1
    assert str(path) in missing.error_line
    pool = start("--health-file", str(path))
    wait(path, state="running")
    good = run_fleet(home, *asked)
    assert (good.status, good.errors) == (0, "")
    (line,) = good.output.splitlines()
    assert "running" in line
    pool.terminate()
    pool.wait()
    ended = run_fleet(home, *asked)
    assert (ended.status, ended.output) == (1, "")
    assert "stopped" in ended.error_line


def test_a_pool_whose_master_is_gone_grows_old(start: StartPool, home: Home, path: Path) -> None:
    pool = start("--health-file", str(path))
    wait(path, state="running")
    pool.kill_master()
    old = read(path) | {"timestamp": "2020-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(old))
    ended = run_fleet(home, "health", "--health-file", str(path))
    assert ended.status == 1
    assert "--max-age is 120 s" in ended.error_line


def test_one_variable_is_enough_for_both(home: Home, start: StartPool, path: Path) -> None:
    start(FLEET_HEALTH_FILE=str(path))
    wait(path, state="running")
    assert run_fleet(home, "health", env=home.environment(FLEET_HEALTH_FILE=str(path))).status == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--health-file"),
        (("--health-file", "x", "--max-age", "0"), "--max-age"),
        (("--health-file", "x", "--max-age", "soon"), "--max-age"),
        (("--health-file", "x", "--max-age", "nan"), "--max-age"),
        (("--health-file", ""), "--health-file"),
    ],
)
def test_a_probe_that_makes_no_sense(home: Home, arguments: tuple[str, ...], says: str) -> None:
    ended = run_fleet(home, "health", *arguments)
    assert ended.status == 2
    assert says in ended.error_line


def test_a_pipe_in_its_place_does_not_hold_up_the_master(
    start: StartPool, queue: LiveQueue, path: Path
) -> None:
    os.mkfifo(path)
    pool = start("--health-file", str(path))
    (said,) = pool.wait_event("health.unwritten")
    assert "no regular file" in said["message"]
    queue.send("task")
    pool.wait_event("message.deleted")


@pytest.mark.parametrize("content", [b"", b"no JSON", b"\xff\xfe", b"[]"])
def test_a_file_that_is_none(home: Home, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    ended = run_fleet(home, "health", "--health-file", str(path))
    assert ended.status == 1
    assert "no health file" in ended.error_line


def test_a_probe_looks_at_nothing_else(home: Home, path: Path) -> None:
    """What is wrong with the pool's other settings is not the probe's to judge."""
    path.write_text(json.dumps({"timestamp": datetime.now(UTC).isoformat(), "state": "paused"}))
    bad = {"FLEET_WORKERS": "many", "FLEET_LOG_LEVEL": "loud", "FLEET_MAX_AGE": "60"}
    found = run_fleet(
        home, "health", "-v", env=home.environment(FLEET_HEALTH_FILE=str(path), **bad)
    )
    assert (found.status, found.errors) == (0, "")
    assert found.output.startswith("healthy: paused")
    assert '"state": "paused"' in found.output
    old = {"timestamp": "2020-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(old))
    late = run_fleet(home, "health", env=home.environment(FLEET_HEALTH_FILE=str(path), **bad))
    assert late.status == 1
    assert "--max-age is 60 s" in late.error_line


def test_the_file_may_be_named_in_fleet_toml(home: Home, path: Path) -> None:
    path.write_text(json.dumps({"timestamp": datetime.now(UTC).isoformat()}))
    config = path.with_name("pool.toml")
    config.write_text(f"workers = 'many'\nhealth_file = '{path}'\n")
    assert run_fleet(home, "health", "--config", str(config)).status == 0
    config.write_text("health_file = [")
    broken = run_fleet(home, "health", "--config", str(config))
    assert broken.status == 2
    assert str(config) in broken.error_line


def test_a_pipe_in_its_place_does_not_keep_a_probe_waiting(home: Home, path: Path) -> None:
    os.mkfifo(path)
    found = run_fleet(home, "health", "--health-file", str(path))
    assert found.status == 1
    assert "no health file" in found.error_line


@pytest.mark.parametrize("arguments", [("--version",), ("health", "--health-file", "x")])
def test_what_must_be_quick_imports_nothing_big(arguments: tuple[str, ...]) -> None:
    code = (
        f"import sys; from fleet.__main__ import main; sys.argv[1:] = {arguments}\ntry: main()\n"
        "except SystemExit: print(*sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert not loaded & {
        "typer",
        "rich",
        "botocore",
        "loguru",
        "asyncio",
        "fleet.options.settings",
        "fleet.core.pool.machine",
    }


def test_a_probe_whose_output_has_no_place_answers_all_the_same(home: Home, path: Path) -> None:
    path.write_text(json.dumps({"timestamp": datetime.now(UTC).isoformat()}))
    with Path("/dev/full").open("w") as full:
        asked = [sys.executable, "-m", "fleet", "health", "--health-file", str(path)]
        assert (
            subprocess.run(asked, stdout=full, env=home.environment(), check=False).returncode == 0
        )
