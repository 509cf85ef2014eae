"""What a dispatcher holds for a process of user code, and gives back when it is gone."""

import os
import select

import pytest

from fleet.core.outcomes import Exit
from fleet.dispatcher.job_process import Running
from fleet.system import processes
from fleet.system.processes import Death, Usage

JOB, LEFT = 55, 56
DONE = Exit(code=0)


def test_nothing_that_is_gone_keeps_a_dispatcher_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job leaves something that needs two looks to be gone: each of its descriptors is ready for
    ever then.
    """
    watched: dict[int, int] = {}

    def open_pidfd(pid: int) -> int:
        fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)  # ready for ever, too
        watched[fd] = pid
        return fd

    sweeps = [[LEFT], [LEFT], []]
    monkeypatch.setattr(processes, "open_pidfd", open_pidfd)
    monkeypatch.setattr(processes, "kill_group", lambda _pid, _number: None)
    monkeypatch.setattr(processes, "dead_child", lambda _pid: Death(JOB, DONE))
    monkeypatch.setattr(processes, "reap", lambda _pid: Usage(0.0, 0.0))
    monkeypatch.setattr(processes, "has_children", lambda: True)
    monkeypatch.setattr(processes, "sweep", lambda _others, **_spared: sweeps.pop(0))
    poll = select.poll()
    running = Running(JOB, 0.0, poll)
    assert [running.gone(), running.gone()] == [None, None]
    assert [watched[fd] for fd, _ in poll.poll(0)] == [LEFT]
    assert running.gone() == DONE
    assert poll.poll(0) == []
