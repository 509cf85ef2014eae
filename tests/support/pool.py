"""A pool as its user sees it: a started process, its log, its children, its exit status."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import PATIENCE, eventually
from tests.support.gates import DIRECTORY_VARIABLE, Gate, Trace
from tests.support.processes import MARK_VARIABLE, Process, kill_marked, marked
from tests.support.servers import CREDENTIALS, environment

REPOSITORY = Path(__file__).parents[2]

APPS = REPOSITORY / "tests" / "apps"

Event = dict[str, Any]


class Home:
    """One test's own world: directories, environment, gates, trace, and its processes' mark."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mark = uuid.uuid4().hex
        self._gates: list[Gate] = []
        for name in ("run", "state"):
            (directory / name).mkdir(mode=0o700)
        self.trace = Trace(directory)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of this test's programs, with `more`.

        Nothing of it is the caller's; the credentials are for show.
        """
        return (
            environment(
                self.directory,
                PYTHONPATH=str(REPOSITORY),
                XDG_RUNTIME_DIR=str(self.directory / "run"),
                XDG_STATE_HOME=str(self.directory / "state"),
                AWS_EC2_METADATA_DISABLED="true",
                **CREDENTIALS,
                **{MARK_VARIABLE: self.mark, DIRECTORY_VARIABLE: str(self.directory)},
            )
            | more
        )

    def gate(self, name: str) -> Gate:
        """Make a gate that jobs find by its name."""
        gate = Gate(self.directory, name)
        self._gates.append(gate)
        return gate

    def processes(self) -> list[Process]:
        """Return every living process that this test has started, daemons and orphans too."""
        return marked(self.mark)

    def wait_empty(self) -> None:
        """Wait until no process is left."""
        eventually(lambda: not self.processes(), what=lambda: f"gone: {self.processes()}")

    def close(self) -> None:
        """Give back what the test held and end what a failed test has left."""
        for gate in self._gates:
            gate.close()
        kill_marked(self.mark)


@dataclass(frozen=True)
class Finished:
    """A command that has run to its end."""

    status: int
    output: str
    errors: str

    @property
    def error_line(self) -> str:
        """The one line on standard error; an assertion fails if there are more, or none."""
        lines = self.errors.splitlines()
        assert len(lines) == 1, f"not one line on standard error but {len(lines)}:\n{self.errors}"
        return lines[0]


def run_fleet(
    home: Home,
    *arguments: str,
    cwd: Path = APPS,
    text: str | None = None,
    env: dict[str, str] | None = None,
    timeout: float = PATIENCE,
) -> Finished:
    """Run `fleet arguments` to its end, with `text` as its standard input.

    `env` replaces the environment.
    """
    process = subprocess.run(
        [sys.executable, "-m", "fleet", *arguments],
        cwd=cwd,
        env=env or home.environment(),
        input=text if text is not None else "",
        capture_output=True,
        text=True,
        timeout=timeout,
        start_new_session=True,
        check=False,
    )
    return Finished(process.returncode, process.stdout, process.stderr)


@dataclass(frozen=True)
class Expected:
    """What the audit at a test's end must not complain about."""

    exit: int = 0
    unconfirmed: bool = False
    """Deletes may not be confirmed, which is exit status 8: the server forgets, or leases are so
    short that calls are given up which a busy machine still answers.
    """
    errors: frozenset[str] = frozenset()
    """Names of events that may be logged as errors."""
    kills: frozenset[str] = frozenset()
    """Names of events that may tell of a SIGKILL."""
    noise: bool = False
    """Lines that are no JSON may come: the app writes to standard error itself."""
    ledger: bool = True
    """The pool tells its ledger: every pool does that came to an orderly end."""
    unheard: int = 0
    """Messages whose dispatcher was killed before it could tell that it had received them."""


QUIET = Expected()
"""A pool that drains, with nothing to be said."""


@dataclass
class Pool:
    """A running `fleet start` (or another command in the foreground), its log read as it comes."""

    home: Home
    arguments: tuple[str, ...]
    expected: Expected
    env: dict[str, str]
    wrapper: tuple[str, ...] = ()
    """A program that starts it, and stays its parent."""
    events_so_far: list[Event] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)
    """Lines on standard error that are no JSON."""

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._ended = False
        self.terminated = False
        self._output = self.home.directory / f"output-{uuid.uuid4().hex[:6]}"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", "fleet", *self.arguments],
                cwd=APPS,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The master's pid, which is its process group's and session's too."""
        return self.process.pid

    # The log

    def _read(self) -> None:
        assert self.process.stderr
        with self.process.stderr as lines:
            for line in lines:
                self._take(line.decode(errors="replace").rstrip("\n"))
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        with self._changed:
            if isinstance(event, dict):
                self.events_so_far.append(event)
            else:
                self.noise.append(line)
            self._changed.notify_all()

    def events(self, name: str | None = None, **fields: object) -> list[Event]:
        """Return the events so far with this name and these fields, in the order of the log."""
        with self._changed:
            return [
                event
                for event in self.events_so_far
                if name in (None, event.get("event"))
                and all(event.get(key) == fields[key] for key in fields)
            ]

    def wait_event(
        self, name: str, count: int = 1, timeout: float = PATIENCE, **fields: object
    ) -> list[Event]:
        """Wait until `count` such events are in the log and return them.

        Fails at once when the log ends.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(found := self.events(name, **fields)) < count:
                left = deadline - time.monotonic()
                missing = f"{len(found)} of {count} {name} {fields or ''}"
                assert not self._ended, f"{missing}, and the log has ended:\n{self.log()}"
                assert left > 0, f"{missing} within {timeout:g} s:\n{self.log()}"
                self._changed.wait(left)
            return found

    def wait_change(self) -> None:
        """Wait until one more line is in the log, or the log has ended."""
        with self._changed:
            if not self._ended:
                self._changed.wait(PATIENCE)

    def wait_ready(self, workers: int) -> None:
        """Wait until `workers` dispatchers have said that they are ready."""
        self.wait_event("dispatcher.ready", count=workers)

    def log(self, lines: int = 60) -> str:
        """Return the end of the log, for people."""
        shown = [json.dumps(event) for event in self.events_so_far[-lines:]]
        return "\n".join([*shown, *self.noise[-lines:]])

    def refusal(self) -> str:
        """Why the command ended, once its log has: the one line that says it."""
        self.wait_log_end()
        (told,) = self.events("start.failed")
        return str(told["error"])

    def output(self) -> str:
        """Return what has come on standard output."""
        return self._output.read_text()

    def ledger(self) -> Event:
        """Return the event that says how the pool ended."""
        return self.wait_event("drain.finished")[-1]

    # Its processes

    def processes(self) -> list[Process]:
        """Return the living processes of this test."""
        return self.home.processes()

    def titled(self, start: str) -> list[Process]:
        """Return the living processes whose title starts with `start`, such as "fleet: scout"."""
        return [process for process in self.processes() if process.title.startswith(start)]

    def dispatcher(self, slot: int) -> int:
        """Return the pid of the dispatcher that was last ready in `slot`."""
        return int(self.events("dispatcher.ready", slot=slot)[-1]["pid"])

    def slot_table(self) -> str:
        """Have the master write its slot table to the log, and return it."""
        tables = len(self.events("pool.slots"))
        self.send(signal.SIGUSR1)
        return str(self.wait_event("pool.slots", count=tables + 1)[-1]["table"])

    # Signals and the end

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the master alone."""
        self.process.send_signal(number)

    def send_group(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group, as a terminal and some supervisors do."""
        os.killpg(self.pid, number)

    def terminate(self) -> None:
        """Ask the master to drain."""
        self.terminated = True
        self.send(signal.SIGTERM)

    def drain(self) -> None:
        """Ask the master to drain, and wait until it has passed the order on: its title tells.

        A pool that has nothing to wait for may have ended before its title is seen.
        """
        self.terminate()
        eventually(
            lambda: (
                any(process.title.endswith(" draining") for process in self.titled("fleet: master"))
                or self.process.poll() is not None
            ),
            what=lambda: f"draining:\n{self.log()}",
        )

    def kill_master(self) -> None:
        """Kill the master and wait for its death, which is then the expected end."""
        self.expected = replace(self.expected, exit=-signal.SIGKILL, ledger=False)
        self.process.kill()
        self.process.wait(PATIENCE)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the end and return the exit status, negative for a signal."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s:\n{self.log()}") from None
        return status

    def destroy(self) -> None:
        """End and reap the master if it still runs: a failed test has left it."""
        self.process.kill()
        self.process.wait()

    def wait_log_end(self) -> None:
        """Wait until nobody can write to the log any more."""
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive(), f"somebody holds the log open: {self.processes()}"


both_transports = pytest.mark.parametrize("transport", ["auto", "boto3"])
"""A test that it marks runs with pools of fleet's own client, and with pools of boto3's."""

Launch = Callable[..., Pool]
StartPool = Callable[..., Pool]
