"""What a test and the jobs it runs share: gates that hold a job, and the trace that jobs write.

Jobs find both through one directory, named by the environment variable DIRECTORY_VARIABLE. The
other side is tests/apps/jobs.py.
"""

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import eventually

DIRECTORY_VARIABLE = "POOL_TEST_DIR"

TRACE_FILE = "trace"


class Gate:
    """A FIFO on which a job blocks until the test lets it through.

    Held open for reading and writing, so that a job's open never blocks and a job's death takes
    nothing away.
    """

    def __init__(self, directory: Path, name: str) -> None:
        path = directory / f"gate-{name}"
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def open(self, jobs: int = 1) -> None:
        """Let `jobs` jobs through, those that wait now or those that come."""
        os.write(self._descriptor, b"." * jobs)

    def close(self) -> None:
        """Give the descriptor back; jobs that come later wait for ever."""
        os.close(self._descriptor)


@dataclass(frozen=True)
class Line:
    """One line that a job wrote."""

    what: str
    """started, done, or what else the job reports."""
    body: str
    message_id: str
    attempt: int
    pid: int
    detail: object = None


class Trace:
    """The file that every job of a test appends to, one write a line."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / TRACE_FILE
        self._path.touch()
        self._lock = threading.Lock()
        self._read = 0  # bytes
        self._lines: list[Line] = []
        self._of: dict[str, list[Line]] = {}

    def lines(self, what: str | None = None) -> list[Line]:
        """Return the lines in the order of writing, all of them or those that report `what`."""
        self._take_in()
        return [line for line in self._lines if what in (None, line.what)]

    def of(self, message_id: str) -> list[Line]:
        """Return what has been written about one message."""
        self._take_in()
        return list(self._of.get(message_id, ()))

    def _take_in(self) -> None:
        """Read what is new; a line that is not whole yet is left for the next time."""
        with self._lock, self._path.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
            self._read += len(whole) + len(end)
            for text in whole.splitlines():
                line = Line(**json.loads(text))
                self._lines.append(line)
                self._of.setdefault(line.message_id, []).append(line)

    def bodies(self, what: str) -> list[str]:
        """Return the bodies of the messages whose jobs reported `what`, in the order of writing."""
        return [line.body for line in self.lines(what)]

    def wait(self, what: str, count: int = 1) -> list[Line]:
        """Wait until `count` lines report `what` and return them."""
        eventually(lambda: len(self.lines(what)) >= count, what=f"{count} of {what!r} in the trace")
        return self.lines(what)
