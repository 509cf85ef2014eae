"""What tests of the library share: jobs that leave word, and programs that use the library, run as
a user's are.
"""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import PATIENCE, eventually
from tests.support.pool import Home

PRELUDE = """
import functools, json, logging, os, select, signal, subprocess, sys, threading, time, warnings
from pathlib import Path
import fleet
from tests.support.eventually import eventually
from tests.support.memory import MemoryQueue
HERE = Path(os.environ["POOL_TEST_DIR"])
def word(*said):
    with (HERE / "words").open("a") as words:
        words.write(json.dumps(said) + "\\n")
def queue(*bodies, **more):
    return MemoryQueue(*bodies, trace=HERE / "calls", **more)
def descriptors():
    names = os.listdir("/proc/self/fd")  # one of them is the listing's own
    return sorted(int(name) for name in names if os.path.exists(f"/proc/self/fd/{name}"))
def pass_gate(name):
    with (HERE / f"gate-{name}").open("rb", buffering=0) as gate:
        gate.read(1)
"""


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass
class Words:
    """What was said by jobs, handlers and programs, in order."""

    directory: Path

    def say(self, *said: Any) -> None:
        """For a job that runs in a fork of the test."""
        with (self.directory / "words").open("a") as words:
            words.write(json.dumps(said) + "\n")

    def all(self) -> list[Any]:
        """Everything so far."""
        return _lines(self.directory / "words")

    def of(self, what: str) -> list[Any]:
        """The rest of every line that begins so."""
        return [said[1:] for said in self.all() if said[0] == what]

    def wait(self, what: str, count: int = 1) -> list[Any]:
        """Wait for so many of them."""
        eventually(
            lambda: len(self.of(what)) >= count, what=lambda: f"{count} {what!r} in {self.all()}"
        )
        return self.of(what)


@dataclass
class Program:
    """A running program of somebody's."""

    home: Home
    process: "subprocess.Popen[str]"

    @property
    def words(self) -> Words:
        """What was said."""
        return Words(self.home.directory)

    def calls(self, verb: str | None = None) -> list[Any]:
        """What was asked of the program's `queue(…)`."""
        calls = _lines(self.home.directory / "calls")
        return calls if verb is None else [call[1:] for call in calls if call[0] == verb]

    def wait(self) -> int:
        """Its exit status, negative for a signal."""
        return self.process.wait(PATIENCE)

    def errors(self) -> str:
        """Standard error, whole; the program has ended."""
        assert self.process.stderr
        return self.process.stderr.read()

    def output(self) -> str:
        """Standard output, whole; the program has ended."""
        assert self.process.stdout
        return self.process.stdout.read()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """The test's own directory, gates and environment. At its end no process may be left."""
    home = Home(tmp_path)
    yield home
    left = home.processes()
    home.close()
    assert not left, f"left behind: {left}"


@pytest.fixture
def words(home: Home) -> Words:
    """What jobs say."""
    return Words(home.directory)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """From Python 3.12 on a fork in a process that has threads, as pytest-xdist's has, is warned
    of.
    """
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"))


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """What a test dispatches itself must leave none."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors


Run = Callable[..., Program]


@pytest.fixture
def run(home: Home) -> Iterator[Run]:
    """A function that runs a program, which leads a group of its own."""
    started: list[subprocess.Popen[str]] = []

    def run(text: str, *arguments: str, prelude: str = PRELUDE, **env: str) -> Program:
        path = home.directory / f"program{len(started)}.py"
        path.write_text(prelude + textwrap.dedent(text))
        process = subprocess.Popen(
            [sys.executable, str(path), *arguments],
            env=home.environment(
                SPT_NOENV="1", **env
            ),  # a title leaves the mark in the environment alone
            cwd=home.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return Program(home, process)

    yield run
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream
            stream.close()
