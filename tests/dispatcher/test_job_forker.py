"""Jobs are started by the forker where it can do it, and by the dispatcher where it cannot."""

import ctypes
import errno
import gc
import os
import resource
import select
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.queue import Message
from fleet.dispatcher.job_forker import JobForker, Means, find_means
from fleet.ipc.shared_page import SharedPage
from fleet.job import api, forker_process, own_process
from fleet.job.process import Work
from fleet.job.user_code import UserCode
from fleet.system import fork_handlers, log, processes, procfs, sibling_fork, titles
from fleet.system.log_events import EVENTS
from tests.support.forks import in_a_fork

SHORT = Message("1", "handle", "body")
QUEUES = ["high", "low"]


class Dispatcher:
    """In a process of its own: what a dispatcher has, and a job that says which message it has."""

    keeps: Sequence[int] = ()  # descriptors that jobs have

    def __init__(self, means: Means | None) -> None:
        self.read, self.write = os.pipe()
        self.logged: list[str] = []
        log.emit = self._emit
        self.page = SharedPage()
        works = [self.work(SHORT, self.page, place) for place in range(len(QUEUES))]
        self.forker = JobForker(works, means)

    def _emit(self, event: str, /, **fields: Any) -> None:
        EVENTS[event].phrase(fields)
        self.logged.append(event)

    def work(self, message: Message, page: SharedPage, place: int = 0) -> Work:
        def say(_: str) -> None:
            is_alone = all(b"secret" not in each for each in rooms()) and not secrets()
            told = [os.environ[f"FLEET_JOB_{name}"] for name in ("QUEUE", "SLOT")]
            is_good = is_alone and told == [queue, "7"]
            os.write(self.write, b"%d;" % (hash_of(api.message()) if is_good else 0))

        keep, queue = sorted({0, 1, 2, self.write, *self.keeps}), QUEUES[place]
        return Work(queue, Config(), UserCode(say), queue, 7, message, keep, page, place=place)

    def run(self, message: Message, place: int = 0) -> int:
        """Its job, to its end: the exit status."""
        job = self.forker.start(self.work(message, self.page, place), select.poll())
        exit_ = None
        while exit_ is None:
            processes.await_end(job.pid, 10)
            exit_ = job.poll_exit()
        assert exit_.code is not None
        return exit_.code

    def said(self) -> list[int]:
        """By the jobs so far, of their messages."""
        os.set_blocking(self.read, False)
        return [int(part) for part in os.read(self.read, 10_000).split(b";") if part]


def rooms() -> list[bytes]:
    """What requests are read into, as user code can find it."""
    frame, found = sys._getframe(), []
    while frame := frame.f_back:  # type: ignore[assignment]
        found += [bytes(v) for v in frame.f_locals.values() if isinstance(v, memoryview)]
    return found


def secrets() -> list[Message]:
    """Others' messages that are still in memory."""
    messages = [each for each in gc.get_objects() if isinstance(each, Message)]
    return [each for each in messages if "x secret" in each.body and each is not api.message()]


def hash_of(message: Message) -> int:
    return hash(
        (
            message.id,
            message.body,
            message.attempt,
            repr(sorted(message.attributes.items())),
            repr(sorted(message.system_attributes.items())),
        )
    )


def with_dispatcher(
    act: Callable[[Dispatcher], Any], *, knows_means: bool = True, means: str = ""
) -> Any:
    def act_there() -> Any:
        dispatcher = Dispatcher(means or (find_means() if knows_means else None))
        result = act(dispatcher)
        dispatcher.forker.close()
        assert procfs.children() == [], "the forker is gone"
        return result

    return in_a_fork(act_there)


@pytest.mark.parametrize(
    ("message", "is_sent"),
    [
        (SHORT, True),
        (Message("1", "h", "ä\udcff\0\U0001f600", 7, {"a": {"b": b"\xff"}}, {"c": "d"}), True),
        (Message("1", "h", "x" * (300 << 10)), True),
        (Message("1", "h", "x" * (1 << 20)), False),
        (Message("1", "h", "x", attributes={"a": object}), False),
    ],
)
def test_a_job_has_its_message_whoever_forks_it(message: Message, is_sent: bool) -> None:
    work = Work("app", Config(), None, "high", 7, message, None, SharedPage())
    assert (forker_process.encode(work) is not None) is is_sent

    def act(dispatcher: Dispatcher) -> list[Any]:
        forker = dispatcher.forker.pids
        statuses = [dispatcher.run(message), dispatcher.run(SHORT)]
        is_unharmed = dispatcher.forker.pids == forker and not dispatcher.logged
        return [statuses, is_unharmed, dispatcher.said() == [hash_of(message), hash_of(SHORT)]]

    assert with_dispatcher(act) == [[0, 0], True, True]


def test_a_job_finds_nothing_of_the_message_before() -> None:
    def act(dispatcher: Dispatcher) -> list[Any]:
        secret = Message("1", "h", "x" * 1000 + " secret")
        statuses = [dispatcher.run(secret), dispatcher.run(SHORT)]
        return [statuses, dispatcher.said() == [hash_of(secret), hash_of(SHORT)]]

    assert with_dispatcher(act) == [[0, 0], True]


def test_a_job_has_its_own_queues_work_and_nothing_of_anothers() -> None:
    """Whichever comes first. Its message, its name in the environment, its code."""

    def act(dispatcher: Dispatcher) -> list[Any]:
        secret = Message("1", "h", "x" * 1000 + " secret")
        statuses = [dispatcher.run(SHORT, 1), dispatcher.run(secret), dispatcher.run(SHORT, 1)]
        told = dispatcher.said() == [hash_of(SHORT), hash_of(secret), hash_of(SHORT)]
        return [statuses, told, len(dispatcher.forker.pids), dispatcher.logged]

    assert with_dispatcher(act) == [[0, 0, 0], True, 1, []]


def test_what_the_first_queues_jobs_inherit_is_not_done_again_in_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor in those of an only queue: it costs page faults in each."""
    introduce = own_process.introduce_slot

    def note(queue: str, slot: int) -> None:
        introduce(queue, slot)
        os.write(end[0], b"%s;" % queue.encode())

    def act(dispatcher: Dispatcher) -> list[Any]:
        statuses = [dispatcher.run(SHORT, place) for place in (0, 0, 1)]
        return [statuses, os.read(read, 1000).decode()]

    read, *end = os.pipe()
    monkeypatch.setattr(own_process, "introduce_slot", note)
    monkeypatch.setattr(Dispatcher, "keeps", end)
    try:
        assert with_dispatcher(act) == [[0, 0, 0], "high;low;"]
    finally:
        for each in (read, *end):
            os.close(each)


def test_a_job_that_the_dispatcher_forks_is_of_its_own_queue_too() -> None:
    def act(dispatcher: Dispatcher) -> list[Any]:
        statuses = [dispatcher.run(SHORT, place) for place in (1, 0, 1)]
        return [statuses, dispatcher.said() == [hash_of(SHORT)] * 3, dispatcher.forker.pids]

    assert with_dispatcher(act, means="there is none") == [[0, 0, 0], True, []]


def replace_environment() -> None:
    os.environ = dict(os.environ)  # type: ignore[assignment] # noqa: B003


@pytest.mark.parametrize(
    ("as_imported", "begin"),
    [(None, None), (lambda: None, None), (None, replace_environment)],
    ids=["by the forker", "after what the import has changed", "another environment"],
)
def test_a_job_is_told_its_own_message(
    as_imported: Callable[[], None] | None, begin: Callable[[], None] | None
) -> None:
    """By the environment, fleet.message() and the title."""

    def act(dispatcher: Dispatcher) -> list[Any]:
        def say(_: str) -> None:
            message, environment = api.message(), os.environ
            said = [environment[name] for name in ("FLEET_JOB_ID", "FLEET_JOB_ATTEMPT")]
            told = f"{said} {message.id} {message.attempt} {shown[-1]}"
            os.write(dispatcher.write, told.encode())

        shown: list[str] = []
        titles.put = shown.append
        shared = dispatcher.work(SHORT, dispatcher.page)
        shared.as_imported, shared.loaded = as_imported, UserCode(say)
        dispatcher.forker.close()
        dispatcher.forker = JobForker([shared], find_means(), begin or (lambda: None))
        told = []
        for message in (Message("first", "h", "b", 12), Message("2nd", "h", "b", 3)):
            dispatcher.run(message)
            told.append(os.read(dispatcher.read, 10_000).decode())
        return told

    assert with_dispatcher(act) == [
        "['first', '12'] first 12 fleet: job high first attempt 12",
        "['2nd', '3'] 2nd 3 fleet: job high 2nd attempt 3",
    ]


def test_means_that_the_template_could_not_find_are_looked_for_again() -> None:
    def act(dispatcher: Dispatcher) -> list[Any]:
        forker = dispatcher.forker.pids
        return [len(forker), dispatcher.run(SHORT), dispatcher.forker.pids == forker]

    assert with_dispatcher(act, knows_means=False) == [1, 0, True]


def test_a_packet_that_the_kernel_does_not_carry_costs_no_forker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host may allow less room for packets than is asked for."""
    monkeypatch.setattr(forker_process, "LONGEST", 16 << 20)

    def act(dispatcher: Dispatcher) -> list[Any]:
        forker = dispatcher.forker.pids
        statuses = [dispatcher.run(Message("1", "h", "x" * (8 << 20))), dispatcher.run(SHORT)]
        return [statuses, dispatcher.forker.pids == forker, dispatcher.logged]

    assert with_dispatcher(act) == [[0, 0], True, []]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_a_host_without_a_process_for_the_job_is_told_of(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(forker_process, "_fork_job", lambda *_: -number)

    def act(dispatcher: Dispatcher) -> list[Any]:
        with pytest.raises(OSError, match=os.strerror(number)):
            dispatcher.run(SHORT)
        return [len(dispatcher.forker.pids), dispatcher.logged]

    assert with_dispatcher(act) == [1, []]


@pytest.mark.parametrize("answer", [-errno.EPERM, -errno.EINVAL, -errno.ENOSYS, 1 << 30])
def test_a_kernel_that_forks_no_siblings_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    """A sandbox may refuse; or take no notice, and a pid is told that is no child of ours."""
    monkeypatch.setattr(forker_process, "_fork_job", lambda *_: answer)

    def act(dispatcher: Dispatcher) -> list[Any]:
        statuses = [dispatcher.run(SHORT), dispatcher.run(SHORT)]
        return [statuses, len(dispatcher.said()), dispatcher.forker.pids, dispatcher.logged]

    assert with_dispatcher(act) == [[0, 0], 2, [], ["forker.unused"]]


def test_a_job_that_is_not_its_dispatchers_child_never_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clone_parent = 0x8000
    monkeypatch.setattr(sibling_fork, "_FLAGS", sibling_fork._FLAGS & ~clone_parent)

    def act(dispatcher: Dispatcher) -> list[Any]:
        status = dispatcher.run(SHORT)
        return [status, len(dispatcher.said()), dispatcher.logged]

    assert with_dispatcher(act) == [0, 1, ["forker.unused"]]


@pytest.mark.parametrize("what", ["list", "sibling", "handlers"])
def test_where_a_forker_could_do_harm_there_is_none(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    match what:
        case "list":
            monkeypatch.setattr(procfs, "has_list", lambda: False)
        case "sibling":
            monkeypatch.setattr(sibling_fork, "_SYSTEM_CALLS", {})
        case "handlers":
            monkeypatch.setattr(fork_handlers, "find", lambda: ["/lib/libtroubled.so"])

    def act(dispatcher: Dispatcher) -> list[Any]:
        return [dispatcher.run(SHORT), dispatcher.forker.pids, dispatcher.logged]

    assert with_dispatcher(act) == [0, [], ["forker.unused"]]


def test_a_want_of_descriptors_passes() -> None:
    def act() -> list[Any]:
        dispatcher = Dispatcher(find_means())
        dispatcher.forker.close()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        without = [dispatcher.forker._open() is None, dispatcher.forker.pids]
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        return [*without, dispatcher.run(SHORT), len(dispatcher.forker.pids), dispatcher.logged]

    assert in_a_fork(act) == [True, [], 0, 1, []]


def test_a_request_that_was_taken_is_never_taken_for_one_that_was_not() -> None:
    """The kernel may have no room for the answer: there is a job all the same."""

    class NoRoom:
        def __init__(self, end: socket.socket) -> None:
            self.send, self.close, self._end = end.send, end.close, end

        def recv(self, size: int) -> bytes:
            self._end.recv(size)
            raise OSError(errno.ENOBUFS, "no room")

    def act(dispatcher: Dispatcher) -> list[Any]:
        forker: Any = dispatcher.forker
        forker._end = NoRoom(forker._end)
        return [dispatcher.run(SHORT), len(dispatcher.said()), dispatcher.logged]

    assert with_dispatcher(act) == [0, 1, ["forker.lost"]]


def test_a_child_that_nobody_can_name_is_no_job_and_no_reason_for_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel could not write its pid, say: it is killed, and the message is given back."""

    def fork_and_die(*_: Any) -> int:
        elsewhere = ctypes.c_int()
        siblings = sibling_fork.SiblingFork()
        if siblings.fork(ctypes.addressof(elsewhere)) == 0:
            os.read(os.pipe()[0], 1)
        os._exit(1)

    monkeypatch.setattr(forker_process, "_fork_job", fork_and_die)

    def act(dispatcher: Dispatcher) -> list[Any]:
        with pytest.raises(BlockingIOError):
            dispatcher.run(SHORT)
        return [procfs.children(), dispatcher.logged]

    assert with_dispatcher(act) == [[], ["forker.lost"]]
