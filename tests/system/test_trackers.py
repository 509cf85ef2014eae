"""Which processes are resource trackers, or may be one in a moment."""

import os
import subprocess
import sys

import pytest

from fleet.system import pseudo_files, trackers

COMMAND = [sys.executable, "-c", "from x.resource_tracker import main; main(0)"]


def test_a_tracker_is_one_from_the_moment_it_is_there() -> None:
    """Its parent goes on, and may die, when it has no command line yet."""
    for _ in range(50):
        with subprocess.Popen(COMMAND, stderr=subprocess.DEVNULL) as tracker:
            is_one = trackers.is_tracker(tracker.pid)
            tracker.kill()
        assert is_one


def test_what_has_no_command_line_is_one_unless_it_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = pseudo_files.read
    monkeypatch.setattr(
        pseudo_files, "read", lambda path: b"" if path.endswith("/cmdline") else real(path)
    )
    assert trackers.is_tracker(os.getpid())
    monkeypatch.undo()
    with subprocess.Popen(COMMAND, stderr=subprocess.DEVNULL) as tracker:
        tracker.kill()
        os.waitid(os.P_PID, tracker.pid, os.WEXITED | os.WNOWAIT)
        assert not trackers.is_tracker(tracker.pid)
    assert not trackers.is_tracker(tracker.pid)


def test_other_processes_are_none() -> None:
    assert not trackers.is_tracker(os.getpid())
