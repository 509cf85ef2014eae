"""Names to addresses by a child that has only so much time."""

import os
import signal
import socket
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from fleet.sqs import dns
from fleet.system import processes, procfs

# pytest's own process has threads beside this one, a dispatcher has none.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def forbidden(*_: object) -> NoReturn:
    raise AssertionError("no process is needed for it")


def hang(*_: object, **__: object) -> NoReturn:
    while True:
        signal.pause()


Put = Callable[[Callable[..., object]], None]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Put:
    """Puts another resolver in place of the real one; numbers are read as ever."""
    real = socket.getaddrinfo

    def put(found: Callable[..., object]) -> None:
        def getaddrinfo(host: str, port: int, **more: Any) -> Any:
            numeric = more.get("flags", 0) & socket.AI_NUMERICHOST
            return real(host, port, **more) if numeric else found(host, port, **more)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return put


def test_what_it_finds_is_what_the_resolver_finds() -> None:
    assert dns.resolve_in_time("localhost", 80, 60) == dns.resolve("localhost", 80, 60)


def test_a_number_needs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "fork_with_signals_blocked", forbidden)
    assert dns.resolve_in_time("127.0.0.1", 80, 60) == [(socket.AF_INET, ("127.0.0.1", 80))]
    assert dns.resolve_in_time("::1", 80, 60) == [(socket.AF_INET6, ("::1", 80, 0, 0))]


def test_a_resolver_that_hangs_is_late(resolver: Put) -> None:
    """Its process is gone, and so are the descriptors."""
    resolver(hang)
    # With Path.iterdir its own descriptor would be in the list.
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(TimeoutError, match=r"queue\.test"):
        dns.resolve_in_time("queue.test", 80, 0.01)
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert not any(procfs.is_dead(pid) for pid in procfs.children())


def test_a_name_that_is_not_there(resolver: Put) -> None:
    def nobody(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    resolver(nobody)
    with pytest.raises(socket.gaierror) as caught:
        dns.resolve_in_time("queue.test", 80, 60)
    assert caught.value.errno == socket.EAI_NONAME


def test_a_child_that_dies_has_found_nothing(resolver: Put) -> None:
    resolver(lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(TimeoutError):
        dns.resolve_in_time("queue.test", 80, 60)


def test_where_there_is_no_process_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> NoReturn:
        raise BlockingIOError

    monkeypatch.setattr(processes, "fork_with_signals_blocked", nothing)
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(BlockingIOError):
        dns.resolve_in_time("queue.test", 80, 60)
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
