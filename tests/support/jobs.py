"""A job's process without a pool: forked from the test, run to its end, and what came of it."""

import faulthandler
import io
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.core.config import Config
from fleet.core.outcomes import Exit
from fleet.core.queue import Message
from fleet.ipc.shared_page import SharedPage
from fleet.job import process
from fleet.job.user_code import UserCode
from fleet.system import log, processes
from tests.support.eventually import eventually

BODY = "some body"


@dataclass
class Forked:
    """The process, until `end` has seen it end."""

    pid: int
    page: SharedPage
    output: Path
    """What it has written to standard output and standard error."""

    def said(self) -> str:
        """Output so far."""
        return self.output.read_text()

    def wait_said(self, what: str) -> None:
        """Until it has said that."""
        eventually(lambda: what in self.said(), what=lambda: f"{what!r} in {self.said()!r}")

    def send(self, number: signal.Signals) -> None:
        """A signal to its group."""
        processes.kill_group(self.pid, number)

    def end(self) -> Exit:
        """Wait for it; nothing of its group is left."""
        eventually(
            lambda: processes.dead_child(self.pid), what=lambda: f"the job's end: {self.said()}"
        )
        death = processes.dead_child(self.pid)
        assert death is not None
        processes.kill_group(self.pid, signal.SIGKILL)
        processes.reap(self.pid)
        self.output.unlink()
        return death.exit


def fork(
    call: Callable[..., Any],
    *,
    json: bool = False,
    handler: bool = False,
    body: str = BODY,
    **more: Any,
) -> Forked:
    """Begin. `more`: the other callables of UserCode.

    With `handler` it is the exit handler's process.
    """
    page, us = SharedPage(), os.getpid()
    with tempfile.NamedTemporaryFile(delete=False) as output:
        pid = processes.fork_with_signals_blocked()
        if pid == 0:
            _speak_to(output.fileno(), json=json)
            loaded = UserCode(call, **more)
            work = process.Work(
                "work:job",
                Config(),
                loaded,
                "jobs",
                0,
                Message("message-1", "handle", body),
                None,
                page,
            )
            (process.run_exit_handler if handler else process.run_job)(work, us)
        return Forked(pid, page, Path(output.name))


def run(call: Callable[..., Any], **more: Any) -> tuple[Exit, str]:
    """To its end: how it did, and what it said."""
    forked = fork(call, **more)
    eventually(
        lambda: processes.dead_child(forked.pid), what=lambda: f"the job's end: {forked.said()}"
    )
    said = forked.said()
    return forked.end(), said


def _speak_to(fd: int, *, json: bool) -> None:
    """In the child: a program's standard streams, not what pytest has put in their place."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(fd, number)
        stream = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(number, "w", closefd=False)), encoding="utf-8"
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.excepthook, sys.unraisablehook = sys.__excepthook__, sys.__unraisablehook__
    threading.excepthook = threading.__excepthook__
    faulthandler.disable()
    if json:
        log.configure("info", "json")
