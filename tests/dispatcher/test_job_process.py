"""What a dispatcher holds for a process of user code, and gives back when it is gone."""

import os
import select
import signal
import subprocess
from typing import Any, NoReturn

import pytest

from fleet.core.outcomes import Exit
from fleet.dispatcher.job_process import start
from fleet.system import processes, procfs
from tests.support.eventually import PATIENCE
from tests.support.forks import in_a_fork
from tests.support.processes import children


def test_nothing_that_is_gone_keeps_a_dispatcher_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job leaves something that needs two looks to be gone: each of its descriptors is ready for
    ever then.
    """
    others = children()
    with subprocess.Popen(["sleep", "60"]) as left:
        sweeps = [[left.pid], [left.pid], []]
        monkeypatch.setattr(processes, "sweep", lambda _others, **_spared: sweeps.pop(0))
        poll = select.poll()
        running = start(lambda _dispatcher: os._exit(0), os.getpid(), poll)
        assert poll.poll(PATIENCE * 1000), "the job's end wakes the dispatcher"
        others.add(left.pid)
        assert running.poll_exit(others) is None
        assert poll.poll(0) == [], "the job's own descriptor is given back"
        left.kill()
        assert poll.poll(PATIENCE * 1000), "the end of what it left wakes the dispatcher"
        assert running.poll_exit(others) is None
        assert len(poll.poll(0)) == 1
    assert running.poll_exit(others) == Exit(code=0)
    assert poll.poll(0) == []


@pytest.mark.parametrize("leaves", [False, True])
def test_a_process_that_has_left_nothing_needs_no_sweep(leaves: bool) -> None:
    """Its own children, and theirs, would be on the list of ours when it has ended."""

    def act(_dispatcher: int) -> NoReturn:
        if leaves and os.fork() == 0:
            os.setsid()
            signal.pause()
        os._exit(0)

    def check() -> None:
        sweeps: list[set[int]] = []
        sweep = processes.sweep

        def note(keep: set[int], **more: Any) -> list[int]:
            sweeps.append(keep)
            return sweep(keep, **more)

        processes.sweep = note  # type: ignore[assignment]
        poll = select.poll()
        kept = os.fork()
        if kept == 0:
            signal.pause()
        running = start(act, os.getpid(), poll, (kept,))
        exit_ = None
        while exit_ is None:
            assert poll.poll(PATIENCE * 1000)
            exit_ = running.poll_exit()
        assert exit_ == Exit(code=0)
        assert bool(sweeps) == leaves
        assert procfs.children() == [kept]
        assert poll.poll(0) == []
        os.kill(kept, signal.SIGKILL)

    in_a_fork(check)
