"""Which processes are resource trackers, also in the first moment of their program."""

import os
import subprocess
import sys

import pytest

from fleet.system import procfs, pseudo_files, trackers

COMMAND = [sys.executable, "-c", "from x.resource_tracker import main; main(0)"]


def test_a_tracker_is_one_from_the_moment_it_is_there() -> None:
    """Its parent goes on, and may die, when it has no command line yet."""
    for _ in range(50):
        with subprocess.Popen(COMMAND, stderr=subprocess.DEVNULL) as tracker:
            is_one = trackers.is_tracker(tracker.pid)
            tracker.kill()
        assert is_one


@pytest.mark.parametrize(
    ("in_exec", "reads"),
    [([True, True, False], 4), ([True, False], 3), ([False], 2)],
    ids=["long", "short", "over in between"],
)
def test_what_has_no_command_line_is_asked_again_after_its_exec(
    monkeypatch: pytest.MonkeyPatch, in_exec: list[bool], reads: int
) -> None:
    answers = [*(b"" for _ in range(reads - 1)), b"\0".join(map(os.fsencode, COMMAND))]
    monkeypatch.setattr(procfs, "is_in_exec", lambda _: in_exec.pop(0))
    monkeypatch.setattr(pseudo_files, "read", lambda _: answers.pop(0))
    assert trackers.is_tracker(1)
    assert not answers


def test_an_exec_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "is_in_exec", lambda _: True)
    monkeypatch.setattr(pseudo_files, "read", lambda _: b"")
    assert not trackers.is_tracker(1)


def test_what_has_ended_is_none() -> None:
    with subprocess.Popen(COMMAND, stderr=subprocess.DEVNULL) as tracker:
        tracker.kill()
        os.waitid(os.P_PID, tracker.pid, os.WEXITED | os.WNOWAIT)
        assert not procfs.is_in_exec(tracker.pid)
        assert not trackers.is_tracker(tracker.pid)
    assert not procfs.is_in_exec(tracker.pid)
    assert not trackers.is_tracker(tracker.pid)


def test_other_processes_are_none() -> None:
    assert not procfs.is_in_exec(os.getpid())
    assert not trackers.is_tracker(os.getpid())
