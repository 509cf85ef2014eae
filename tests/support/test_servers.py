"""The servers and queues that the pool's tests stand on do what the tests take for granted."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.pool import REPOSITORY
from tests.support.processes import is_alive
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


def test_a_server_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """Killed, it ends nothing itself."""
    program = (
        "import pathlib, sys; from tests.support import servers\n"
        "with servers.ministack(pathlib.Path(sys.argv[1])):"
        " print(*servers.RUNNING, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout
        server = int(run.stdout.readline())
        run.kill()
    eventually(lambda: not is_alive(server), what=f"the end of {server}")
