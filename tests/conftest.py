"""What all tests share: surroundings, SQS servers, queues on them, a limit on every test's time;
that nothing stays.
"""

import faulthandler
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType

import pytest

from fleet.system import log
from tests.support import inherited, needs
from tests.support.processes import children, end_families
from tests.support.proxy import FaultProxy
from tests.support.servers import RUNNING, LiveQueue, Server, ministack, moto

HARD_LIMIT = 150.0
"""Seconds after which a test is stopped, each of set-up, call and teardown on its own."""


MARKERS = (
    f"needs(what): of the machine: {', '.join(needs.NEEDS)}; without it a test is skipped",
    "process: starts programs of fleet; set by itself in tests/pool, and where `home` is used",
    "slow: takes more than about five seconds, as the models do",
)
PROCESS_TESTS = Path(__file__).parent / "pool"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_configure(config: pytest.Config) -> None:
    """Put away what is the caller's.

    End on SIGTERM as on Ctrl-C, so that fixtures still end what they have started.
    """
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    inherited.put_away()
    signal.signal(signal.SIGTERM, _interrupt)


@pytest.hookimpl(tryfirst=True)  # before -m chooses by the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts programs; skip what this machine, or this user, cannot do."""
    for item in items:
        if "home" in getattr(item, "fixturenames", ()) or PROCESS_TESTS in item.path.parents:
            item.add_marker("process")
        for reason in [
            needs.missing(what) for mark in item.iter_markers("needs") for what in mark.args
        ]:
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


class TookTooLongError(BaseException):
    """The test has passed its hard limit; no handler of exceptions may swallow this."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    faulthandler.dump_traceback()
    raise TookTooLongError


def _limited() -> Generator[None, object, object]:
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, HARD_LIMIT)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """Limit the fixtures' start."""
    return (yield from _limited())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Limit the test."""
    return (yield from _limited())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """Limit the fixtures' end."""
    return (yield from _limited())


@pytest.fixture(scope="session", autouse=True)
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the user's own may have a configuration of AWS's."""
    os.environ["HOME"] = str(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    """What a test has started itself must be gone at its end, reaped too.

    What a failing one has left is ended here.
    """
    before = children()
    yield
    left = children() - before - RUNNING
    end_families(left)
    assert not left, f"children left behind: {left}"


@pytest.fixture(autouse=True)
def own_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test makes of this process's log, and what the log has said of late, is not the next
    one's.
    """
    monkeypatch.setattr(log, "current", log.ProcessLog())


@pytest.fixture(scope="session")
def ministack_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ministack server for all tests."""
    with ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A moto server for all tests: the second opinion."""
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def queue(ministack_server: Server) -> LiveQueue:
    """A fresh queue with its dead-letter queue, on ministack."""
    return LiveQueue.fresh(ministack_server)


@pytest.fixture
def moto_queue(moto_server: Server) -> LiveQueue:
    """A fresh queue with its dead-letter queue, on moto."""
    return LiveQueue.fresh(moto_server)


@pytest.fixture
def proxy(ministack_server: Server) -> Iterator[FaultProxy]:
    """A proxy before ministack that makes faults on demand."""
    proxy = FaultProxy(ministack_server.port)
    yield proxy
    proxy.close()
