"""A clean-up of the runtime directory takes a pool's lock, its socket, or all: it is found all the
same, and alone.
"""

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.control import status
from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, StartPool, run_fleet
from tests.support.processes import is_stopped

REFUSED = Expected(exit=2, noise=True, ledger=False)


def remove(directory: Path, what: str) -> None:
    """As a clean-up does, or somebody who makes an empty file in its place."""
    if what == "all":
        shutil.rmtree(directory)
        return
    (path,) = directory.glob("*.sock" if what == "socket" else "*.lock")
    path.unlink()
    if what == "replaced":
        path.touch()


WHAT = ("lock", "socket", "all", "replaced")


@pytest.mark.parametrize("what", WHAT)
def test_it_is_found_again(start: StartPool, home: Home, what: str) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    remove(home.directory / "run" / "fleet", what)
    if what == "socket":  # the lock says where it was, so it is missed only when the master looks
        pool.wait_event("control.restored")
    assert status(home)["pid"] == pool.pid
    assert len(pool.events("control.restored")) == 1
    assert status(home)["pid"] == pool.pid


@pytest.mark.parametrize("what", WHAT)
def test_a_second_pool_of_its_name_is_refused_all_the_same(
    start: StartPool, home: Home, what: str
) -> None:
    first = start(workers=1)
    first.wait_ready(1)
    remove(home.directory / "run" / "fleet", what)
    second = start(workers=1, expected=REFUSED)
    assert second.wait() == 2
    assert f"already runs here (pid {first.pid})" in second.refusal()


def test_even_while_the_first_one_is_stopped(start: StartPool, home: Home) -> None:
    first = start(workers=1)
    first.wait_ready(1)
    shutil.rmtree(home.directory / "run" / "fleet")
    first.send(signal.SIGSTOP)
    eventually(lambda: is_stopped(first.pid), what="it is stopped")
    second = start(workers=1, expected=REFUSED)
    assert second.wait() == 2
    first.send(signal.SIGCONT)
    assert status(home)["pid"] == first.pid


def test_what_cannot_be_made_again_is_said_once_and_tried_again(
    start: StartPool, home: Home
) -> None:
    directory = home.directory / "run" / "fleet"
    pool = start(workers=1)
    pool.wait_ready(1)
    shutil.rmtree(directory)
    directory.write_text("in the way")
    run_fleet(home, "status", env=home.environment())
    (told,) = pool.wait_event("control.lost")
    directory.unlink()
    assert status(home)["pid"] == pool.pid
    assert len(pool.events("control.lost")) == 1
    assert told["level"] == "warning"


def test_a_pipe_that_calls_itself_a_lock_holds_nobody_up(start: StartPool, home: Home) -> None:
    pool = start(workers=1)
    pool.wait_ready(1)
    os.mkfifo(home.directory / "run" / "fleet" / "other.lock")
    assert status(home)["pid"] == pool.pid
