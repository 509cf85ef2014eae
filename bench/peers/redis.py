"""A Redis server of our own on a free port, and rq's feed on it."""

import json
import socket
import subprocess
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from bench.harness import PATIENCE, ROOT, BenchError, accepts, await_true
from bench.peers import environments


class RedisFeed:
    """Feeds rq. The server writes its append-only file once a second, Redis's usual durability."""

    def __init__(self) -> None:
        self._directory = TemporaryDirectory(prefix="fleet-bench-")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._server = self._start_server()
        self._feed = subprocess.Popen(
            [environments.interpreter("rq"), "-m", "bench.peers.rq_feed", self.url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def _start_server(self) -> subprocess.Popen[bytes]:
        options = {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--save": "",
            "--appendonly": "yes",
            "--dir": self._directory.name,
            "--logfile": str(Path(self._directory.name) / "log"),
        }
        command = [
            environments.redis_server(),
            *(word for pair in options.items() for word in pair),
        ]
        server = subprocess.Popen(command)
        await_true(lambda: accepts(self.port), "Redis")
        return server

    def _ask(self, *words: object) -> Any:
        assert self._feed.stdin is not None
        self._feed.stdin.write(json.dumps(words) + "\n")
        self._feed.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._feed.stdout is not None
        line = self._feed.stdout.readline()
        if not line:
            raise BenchError("rq's feed has ended")
        return json.loads(line)

    def reset(self) -> None:
        self._ask("reset")

    def fill(self, count: int) -> None:
        self._ask("fill", 0, count)

    def put(self, number: int) -> None:
        self._ask("fill", number, number + 1)

    def await_deleted(self, count: int) -> None:
        while (done := self._ask("done")) < count:
            await_true(partial(self._has_more, done), f"one job more than {done}")

    def _has_more(self, done: int) -> bool:
        return bool(self._ask("done") > done)

    def await_polls(self, count: int) -> None:
        await_true(lambda: self.open_polls() >= count, f"{count} idle workers")

    def flush(self) -> None:
        """A worker of rq's that is told to stop wakes up by itself."""

    def open_polls(self) -> int:
        return int(self._ask("waiting"))

    def requests(self) -> dict[str, int]:
        return dict(self._ask("requests"))

    def messages(self) -> list[dict[str, Any]]:
        return list(self._ask("messages"))

    def go_down(self, seconds: float) -> None:
        """End the server; it comes back with its data when the time is over."""
        self._server.terminate()
        self._server.wait(PATIENCE)
        time.sleep(seconds)
        self._server = self._start_server()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.kill()
        self._feed.communicate()
        self._server.kill()
        self._server.wait()
        self._directory.cleanup()
