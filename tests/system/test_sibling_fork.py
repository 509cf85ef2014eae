"""A sibling is a child like any other: to the kernel, to the C library and to Python."""

import ctypes
import faulthandler
import mmap
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fleet.system import processes, sibling_fork
from fleet.system.sibling_fork import CannotFork, SiblingFork, is_only_thread
from tests.support.forks import in_a_fork

libc = ctypes.CDLL(None, use_errno=True)
GOOD = 0


class Siblings:
    """In a process of its own: a forker below it, and memory that all share."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.told = ctypes.c_int.from_buffer(self.memory)

    def fork(self, *acts: Callable[[], object]) -> list[int]:
        """Have a child of ours fork a sibling for each; their pids. What they raise is their end.

        `told` has the last one's pid.
        """
        read, write = os.pipe()
        forker = os.fork()
        if forker == 0:
            siblings = SiblingFork()
            for act in acts:
                pid = siblings.fork(ctypes.addressof(self.told))
                if pid == 0:
                    os.close(write)
                    _end_with(act)
                os.write(write, b"%d\n" % pid)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as told:
            pids = [int(line) for line in told]
        assert processes.await_child(forker) == 0
        return pids

    def run(self, *acts: Callable[[], object]) -> list[int]:
        """As `fork`, to their ends: their exit statuses, negative for signals."""
        return [processes.await_child(pid) for pid in self.fork(*acts)]


def _end_with(act: Callable[[], object]) -> None:
    status = 99
    try:
        status = GOOD if act() is not False else 1
    except BaseException as error:  # noqa: BLE001 - shown
        os.write(2, repr(error).encode())
    finally:
        os._exit(status)


def run(*acts: Callable[[], object]) -> Any:
    return in_a_fork(lambda: Siblings().run(*acts))


def test_it_is_the_child_of_its_forkers_parent() -> None:
    def act() -> bool:
        us, siblings = os.getpid(), Siblings()
        pids = siblings.fork(lambda: os.getppid() == us)
        assert [siblings.told.value] == pids
        return [processes.await_child(pid) for pid in pids] == [GOOD]

    assert in_a_fork(act)


def test_the_kernel_names_it_though_its_forker_never_does() -> None:
    """The forker is killed in the moment after: by what Python calls before it returns."""

    def act() -> bool:
        siblings = Siblings()

        def die() -> None:
            if siblings.told.value:
                os.kill(os.getpid(), signal.SIGKILL)

        os.register_at_fork(after_in_parent=die)
        forker = os.fork()
        if forker == 0:
            if SiblingFork().fork(ctypes.addressof(siblings.told)) == 0:
                os._exit(7)
            os._exit(0)
        assert processes.await_child(forker) == -signal.SIGKILL
        return processes.await_child(siblings.told.value) == 7

    assert in_a_fork(act)


def test_threads_have_their_own_ids() -> None:
    """Else a debugger finds no thread, and every mutex that knows its owner has the wrong one."""

    def act() -> bool:
        mutex, attributes = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
        libc.pthread_mutexattr_init(attributes)
        libc.pthread_mutexattr_settype(attributes, 1)  # PTHREAD_MUTEX_RECURSIVE
        libc.pthread_mutex_init(mutex, attributes)
        libc.pthread_mutex_lock(mutex)
        libc.pthread_mutex_lock(mutex)
        owner = ctypes.c_int.from_buffer(mutex, 8).value
        return owner == os.getpid() == threading.get_native_id()

    assert run(act, act) == [GOOD, GOOD]


def test_a_recursive_mutex_in_shared_memory_has_one_owner() -> None:
    """With the id of their forker two siblings would both be the owner."""

    def act() -> list[int]:
        siblings, attributes = Siblings(), ctypes.create_string_buffer(64)
        mutex = (ctypes.c_char * 64).from_buffer(siblings.memory, 64)
        libc.pthread_mutexattr_init(attributes)
        libc.pthread_mutexattr_settype(attributes, 1)  # PTHREAD_MUTEX_RECURSIVE
        libc.pthread_mutexattr_setpshared(attributes, 1)
        libc.pthread_mutex_init(mutex, attributes)
        read, write = os.pipe()

        def hold() -> None:
            libc.pthread_mutex_lock(mutex)
            os.write(write, b".")
            signal.pause()

        def ask() -> bool:
            os.read(read, 1)
            return bool(libc.pthread_mutex_trylock(mutex) != 0)

        holder, asker = siblings.fork(hold, ask)
        status = processes.await_child(asker)
        os.kill(holder, signal.SIGKILL)
        return [status, processes.await_child(holder)]

    assert in_a_fork(act) == [GOOD, -signal.SIGKILL]


def test_a_robust_mutex_knows_that_its_owner_has_died() -> None:
    def act() -> list[int]:
        siblings, attributes = Siblings(), ctypes.create_string_buffer(64)
        mutex = (ctypes.c_char * 64).from_buffer(siblings.memory, 64)
        libc.pthread_mutexattr_init(attributes)
        libc.pthread_mutexattr_setrobust(attributes, 1)
        libc.pthread_mutexattr_setpshared(attributes, 1)
        libc.pthread_mutex_init(mutex, attributes)
        (status,) = siblings.run(lambda: libc.pthread_mutex_lock(mutex) == 0)
        return [status, libc.pthread_mutex_trylock(mutex)]

    owner_died = 130  # EOWNERDEAD
    assert in_a_fork(act) == [GOOD, owner_died]


def test_signals_reach_it() -> None:
    def dies_of(number: int) -> Callable[[], object]:
        def act() -> None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

        return act

    def aborts() -> None:
        faulthandler.disable()
        os.abort()

    assert run(dies_of(signal.SIGTERM), aborts) == [-signal.SIGTERM, -signal.SIGABRT]


def test_it_may_have_threads_and_children_of_its_own() -> None:
    def act() -> bool:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which a pool ends its processes
        with ThreadPoolExecutor(8) as pool:
            sums = list(pool.map(lambda n: len(bytearray(n) * 3), range(1, 50_000, 1000)))
        done = subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, check=True)
        with multiprocessing.get_context("fork").Pool(2) as processes_:
            squares = processes_.map(abs, [-1, 2])
        return len(sums) == 50 and done.stdout == b"7\n" and squares == [1, 2]

    assert run(act) == [GOOD]


def test_malloc_works_in_many_of_its_threads() -> None:
    def act() -> None:
        libc.malloc.restype = ctypes.c_void_p
        libc.free.argtypes = [ctypes.c_void_p]

        def churn() -> None:
            for size in range(1, 4000):
                libc.free(libc.malloc(size * 17))

        threads = [threading.Thread(target=churn) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert run(act) == [GOOD]


def test_functions_registered_at_a_fork_are_called_on_both_sides() -> None:
    def act() -> list[str]:
        said: list[str] = []
        read, write = os.pipe()
        os.register_at_fork(
            before=lambda: said.append("before"),
            after_in_parent=lambda: os.write(write, f"{said} parent;".encode()),
            after_in_child=lambda: said.append("child"),
        )
        Siblings().run(lambda: os.write(write, f"{said};".encode()))
        os.close(write)
        with os.fdopen(read) as told:
            return sorted(told.read().split(";"))

    # The first two of a list are of the forker's own birth.
    assert in_a_fork(act) == sorted(
        [
            "",
            "['before'] parent",
            "['before', 'child', 'before'] parent",
            "['before', 'child', 'before', 'child']",
        ]
    )


def test_what_the_kernel_refuses_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    # CLONE_SIGHAND without CLONE_VM.
    monkeypatch.setattr(sibling_fork, "_FLAGS", sibling_fork._FLAGS | 0x800)

    def act() -> int | None:
        siblings = Siblings()
        try:
            SiblingFork().fork(ctypes.addressof(siblings.told))
        except OSError as error:
            return error.errno
        return None

    assert in_a_fork(act) == 22  # EINVAL


def test_a_process_with_threads_is_told_from_one_without() -> None:
    def act() -> list[bool]:
        told, done = [is_only_thread()], threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        told.append(is_only_thread())
        done.set()
        thread.join()
        return told

    assert in_a_fork(act) == [True, False]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_SYSTEM_CALLS", {}),  # another architecture
        ("_OLDEST_GLIBC", (99, 0)),
    ],
)
def test_where_it_is_not_known_to_work_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(sibling_fork, name, value)
    with pytest.raises(CannotFork):
        SiblingFork()


def test_a_c_library_that_keeps_the_id_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What stands there must be our id."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(CannotFork):
        SiblingFork()
