"""Program A's call sites as production has them, moved: examples/downloads.py and
examples/validator.py.
"""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.library.conftest import Words
from tests.support.eventually import PATIENCE, eventually
from tests.support.pool import Home
from tests.support.servers import LiveQueue

# psql, as a parent of processes of its own: one in its group, one that has left its session.
PSQL = """#!/bin/sh
echo "[\\"psql\\", $$]" >> "$POOL_TEST_DIR/words"
echo "id,name"
setsid sleep 600 &
sleep 600 &
head -c 1 "$POOL_TEST_DIR/gate-psql" > /dev/null
echo "1,$3"
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Where results go."""
    path = tmp_path / "results"
    path.mkdir()
    return path


@pytest.fixture
def start(home: Home, queue: LiveQueue) -> Iterator[Start]:
    """A function that starts an example as the leader of a group, as a supervisor does; `psql` is
    on its path.
    """
    (home.directory / "bin").mkdir()
    psql = home.directory / "bin" / "psql"
    psql.write_text(PSQL)
    psql.chmod(psql.stat().st_mode | stat.S_IXUSR)
    path = f"{psql.parent}:{os.environ['PATH']}"
    environment = home.environment(SPT_NOENV="1", AWS_ENDPOINT_URL_SQS=queue.server.endpoint) | {
        "PATH": path
    }
    started: list[subprocess.Popen[str]] = []

    def start(example: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", f"examples.{example}", *arguments]
        program = subprocess.Popen(
            command,
            env=environment,
            cwd=home.directory,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(program)
        return program

    yield start
    for program in started:
        program.kill()
        program.wait()
        assert program.stderr
        program.stderr.close()


def request(job_id: int, query: str = "select") -> str:
    return json.dumps({"job_id": job_id, "query": query})


def names(results: Path) -> list[str]:
    return sorted(path.name for path in results.iterdir())


def test_a_group_that_is_stopped_in_the_middle_of_a_download(
    start: Start, home: Home, words: Words, queue: LiveQueue, results: Path
) -> None:
    """Everything of the job is gone, the partial file too; the message comes back, and another run
    finishes it.
    """
    gate = home.gate("psql")
    urgent = LiveQueue.fresh(queue.server)
    queue.send(request(7))
    program = start("downloads", urgent.name, queue.name, str(results))
    words.wait("psql")
    assert names(results) == ["7.partial"]
    os.killpg(program.pid, signal.SIGTERM)
    assert program.wait(PATIENCE) == -signal.SIGTERM
    home.wait_empty()
    assert names(results) == []
    queue.wait_depth(visible=1)
    again = start("downloads", urgent.name, queue.name, str(results))
    words.wait("psql", count=2)
    gate.open()
    queue.wait_depth()
    assert (results / "7.csv").read_text() == "id,name\n1,select\n"
    os.killpg(again.pid, signal.SIGTERM)
    assert again.wait(PATIENCE) == -signal.SIGTERM
    assert len(words.of("psql")) == 2


def test_urgent_downloads_first_and_nonsense_not_at_all(
    start: Start, home: Home, words: Words, queue: LiveQueue, results: Path
) -> None:
    gate = home.gate("psql")
    urgent = LiveQueue.fresh(queue.server)
    queue.send(request(1))
    program = start("downloads", urgent.name, queue.name, str(results))
    words.wait("psql")
    queue.send("no JSON", json.dumps({"job_id": 3}), request(2))
    urgent.send(request(10))
    gate.open()
    words.wait("psql", count=2)
    assert names(results) == ["1.csv", "10.partial"]
    gate.open(2)
    eventually(lambda: (results / "2.csv").exists(), what="the last one")
    queue.wait_depth()
    assert queue.dead_bodies() == sorted(["no JSON", json.dumps({"job_id": 3})])
    program.terminate()
    assert program.wait(PATIENCE) == -signal.SIGTERM
    assert program.stderr
    assert "no JSON" not in program.stderr.read()


def test_a_killed_supervisors_program_leaves_no_query_behind(
    start: Start, home: Home, words: Words, queue: LiveQueue, results: Path
) -> None:
    home.gate("psql")
    queue.send(request(7))
    program = start("downloads", queue.name, LiveQueue.fresh(queue.server).name, str(results))
    words.wait("psql")
    os.killpg(program.pid, signal.SIGKILL)
    program.wait(PATIENCE)
    home.wait_empty()
    assert queue.depth().in_flight == 1, "until its lease ends"


def test_a_second_attempt_cleans_up_after_the_first(
    start: Start, home: Home, queue: LiveQueue, results: Path
) -> None:
    """The job dies by a signal of its own, as by the OOM killer: exit handler, a delay, another
    attempt.
    """
    os.mkfifo(results / "source")
    queue.send_one("a", {"kind": {"DataType": "String", "StringValue": "generation"}})
    program = start("validator", queue.name, str(results))
    eventually(lambda: (results / "a.working").exists(), what="the job is at work")
    with (results / "source").open("w"):  # the job waits for a writer: now it waits for a line
        (job,) = [
            each for each in home.processes() if each.title.startswith("fleet: job generate ")
        ]
        os.kill(job.pid, signal.SIGKILL)
        eventually(lambda: (results / "a.stopped").exists(), what="the exit handler has run")
    assert names(results) == ["a.stopped", "a.working", "source"]
    assert "retry: False" in (results / "a.stopped").read_text()
    with (results / "source").open("w") as source:  # blocks until the next attempt reads
        source.write("one\ntwo\n")
    eventually(lambda: (results / "a.done").exists(), what="the second attempt is done")
    assert (results / "a.done").read_text() == "one\ntwo\n"
    queue.wait_depth()
    program.terminate()
    assert program.wait(PATIENCE) == -signal.SIGTERM
    assert program.stderr
    assert "attempt 1: " in (log := program.stderr.read())
    assert "its job was killed (SIGKILL)" in log


def test_without_the_attribute_it_is_another_job(
    start: Start, queue: LiveQueue, results: Path
) -> None:
    (results / "source").write_text("something\n")
    queue.send("b")
    program = start("validator", queue.name, str(results))
    eventually(lambda: (results / "b.done").exists(), what="validated")
    assert (results / "b.done").read_text() == "valid\n"
    queue.wait_depth()
    program.terminate()
    assert program.wait(PATIENCE) == -signal.SIGTERM
