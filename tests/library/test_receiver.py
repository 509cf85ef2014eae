"""How a dispatcher asks the queue, and when: wait time, policy, constructor, a fork in between."""

import logging
import os
import socket
from typing import Any

import pytest

from fleet import Dispatcher, Message, Queue, QueueError, Trouble
from fleet.library import receiver
from fleet.library.standalone import StandaloneInbox
from tests.library.conftest import Run, Words
from tests.support.eventually import eventually
from tests.support.memory import MemoryQueue
from tests.support.pool import Home
from tests.support.proxy import FaultProxy
from tests.support.servers import CREDENTIALS, EMPTY, LiveQueue


class Setting(MemoryQueue):
    """A queue with a setting of its own."""

    def __init__(self, *bodies: str, seconds: float) -> None:
        super().__init__(*bodies)
        self.seconds = seconds

    def wait_time(self) -> float:
        """The setting."""
        self.calls.append(("wait_time",))
        return self.seconds


@pytest.mark.parametrize(
    ("queue", "given", "asked"),
    [
        (MemoryQueue(), 3, 3),
        (MemoryQueue(), 0, 0),
        (MemoryQueue(), None, 10),
        (Setting(seconds=7), None, 7),
        (Setting(seconds=7), 0, 0),
        (Setting(seconds=0), None, 10),  # SQS's default: nobody has set it
    ],
)
def test_the_wait_is_the_argument_else_the_queues_own_else_ten(
    queue: MemoryQueue, given: float | None, asked: float
) -> None:
    Dispatcher(queue, wait_time=given).dispatch(print)
    assert queue.asked("receive") == [(asked, 20.0)]


@pytest.mark.parametrize(("visibility", "asked"), [(5.0, (3.0, 5.0)), (60.0, (20.0, 30.0))])
def test_a_poll_is_over_before_the_lease(visibility: float, asked: tuple[float, float]) -> None:
    queue = MemoryQueue()
    Dispatcher(queue, wait_time=20, visibility_timeout=visibility).dispatch(print)
    assert queue.asked("receive") == [asked]


def test_the_queues_own_setting_is_read_once_and_not_before_it_is_needed() -> None:
    queue = Setting(seconds=7)
    lone = Dispatcher(queue)
    assert not queue.calls
    lone.dispatch(print)
    lone.dispatch(print)
    assert [call[0] for call in queue.calls] == ["wait_time", "receive", "receive"]


def test_a_setting_that_cannot_be_read_is_a_queue_error() -> None:
    class Denied(MemoryQueue):
        """Says nothing of itself."""

        def wait_time(self) -> float:
            """Not to you."""
            raise QueueError(Trouble.FINAL, "denied")

    with pytest.raises(QueueError, match="denied"):
        Dispatcher(Denied("x")).dispatch(print)


class Silent(MemoryQueue):
    """A queue whose polls get no answer: the client gives each up ten seconds after its wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.waits = 100.0, list[float]()

    def receive(self, wait: float, visibility: float) -> Message | None:  # noqa: ARG002
        """None comes home."""
        self.waits.append(wait)
        self.now += wait + 10.0
        raise QueueError(Trouble.PASSING, "no answer", unanswered=True, answered=False)


class Unhurried(StandaloneInbox):
    """Nothing is waited for."""

    def __init__(self) -> None:
        self.leaving = False

    def wait(self, until: float) -> None:
        """No time passes."""


def test_polls_that_get_no_answer_become_shorter_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is judged by its own wait, and not by the longest."""
    queue = Silent()
    monkeypatch.setattr(receiver, "now", lambda: queue.now)
    asking = receiver.Receiver(queue, 20.0, 60.0)
    for _ in range(7):
        with pytest.raises(QueueError):
            asking.receive(Unhurried(), 20.0, 30.0)
    assert queue.waits == [20.0, 20.0, 10.0, 5.0, 2.0, 1.0, 1.0]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for show."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("aws")
def test_nothing_is_connected_or_opened_before_the_first_dispatch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def connect(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket.socket, "connect", connect)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names
    lone = Dispatcher(Queue.open("jobs", region="us-east-1"), wait_time=0)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208 - names
    assert not lone.is_exiting


@pytest.mark.usefixtures("aws")
def test_an_sqs_queue_is_opened_by_name_or_url(queue: LiveQueue, words: Words) -> None:
    queue.send("a", "b")
    for name in (queue.name, queue.url):
        opened = Queue.open(name, region="us-east-1", endpoint_url=queue.server.endpoint)
        assert Dispatcher(opened, wait_time=1).dispatch(words.say)
        opened.close()
    assert sorted(words.all()) == [["a"], ["b"]]
    assert queue.depth() == EMPTY


@pytest.mark.usefixtures("aws")
def test_an_sqs_queues_own_wait_is_asked_for(
    queue: LiveQueue, proxy: FaultProxy, words: Words
) -> None:
    waits: list[int] = []

    def watch(exchange: Any) -> None:
        if exchange.action == "ReceiveMessage" and exchange.answer is None:
            waits.append(exchange.request["WaitTimeSeconds"])

    proxy.watches.append(watch)
    queue.send("a", "b")
    opened = Queue.open(queue.name, endpoint_url=proxy.endpoint)
    assert Dispatcher(opened).dispatch(words.say)
    client: Any = queue.server.client
    client.set_queue_attributes(
        QueueUrl=queue.url, Attributes={"ReceiveMessageWaitTimeSeconds": "4"}
    )
    assert Dispatcher(opened).dispatch(words.say)
    opened.close()
    assert waits == [10, 4]


def test_it_may_be_made_before_a_fork_and_used_in_both(run: Run, queue: LiveQueue) -> None:
    """Each process has connections of its own."""
    queue.send("a", "b", "c")
    program = run(
        """
        jobs = fleet.Queue.open(sys.argv[1], endpoint_url=sys.argv[2])
        lone = fleet.Dispatcher(jobs, wait_time=1)
        word("first", lone.dispatch(lambda body: None))
        def sockets():
            return [os.readlink(f"/proc/self/fd/{fd}") for fd in jobs.descriptors]
        before = sockets()
        child = os.fork()
        word("parent" if child else "child", lone.dispatch(lambda body: None), sockets() == before)
        if child:
            os.waitpid(child, 0)
        else:
            os._exit(0)
        """,
        queue.name,
        queue.server.endpoint,
    )
    assert program.wait() == 0, program.errors()
    assert sorted(program.words.all()) == [
        ["child", True, False],
        ["first", True],
        ["parent", True, True],
    ]
    assert queue.depth() == EMPTY


def test_what_was_asked_before_a_fork_leaves_no_connection_to_share(
    run: Run, queue: LiveQueue
) -> None:
    queue.send("a", "b")
    program = run(
        """
        jobs = fleet.Queue.open(sys.argv[1], endpoint_url=sys.argv[2])
        lone = fleet.Dispatcher(jobs, wait_time=1)
        lone.allow_retries
        def sockets():
            return {os.readlink(f"/proc/self/fd/{fd}") for fd in jobs.descriptors}
        before = sockets()
        child = os.fork()
        done = lone.dispatch(lambda body: None)
        word("parent" if child else "child", done, len(before), len(sockets() & before))
        if child:
            os.waitpid(child, 0)
        else:
            os._exit(0)
        """,
        queue.name,
        queue.server.endpoint,
    )
    assert program.wait() == 0, program.errors()
    assert sorted(program.words.all()) == [["child", True, 1, 0], ["parent", True, 1, 1]]
    assert queue.depth() == EMPTY


def test_a_job_that_uses_the_queue_itself_keeps_its_files(run: Run, queue: LiveQueue) -> None:
    """Its process has lost the connection, and the numbers of its descriptors are free for whatever
    it opens.
    """
    queue.send("a")
    program = run(
        """
        jobs = fleet.Queue.open(sys.argv[1], endpoint_url=sys.argv[2])
        def job(body):
            files = [open(HERE / f"file{each}", "w") for each in range(20)]
            word("sent", jobs.send([body + "b"]))
            for file in files:
                file.write("x")
                file.close()
            word("kept", sum((HERE / f"file{each}").read_text() == "x" for each in range(20)))
        word("returned", fleet.Dispatcher(jobs).dispatch(job))
        """,
        queue.name,
        queue.server.endpoint,
    )
    assert program.wait() == 0, program.errors()
    assert program.words.all() == [["sent", 1], ["kept", 20], ["returned", True]]
    assert queue.depth().visible == 1


def test_a_jobs_process_has_no_connection_of_fleets(run: Run, queue: LiveQueue) -> None:
    queue.send("a")
    program = run(
        """
        def job(body):
            links = [os.readlink(f"/proc/self/fd/{fd}") for fd in descriptors() if fd > 2]
            word("sockets", [link for link in links if "socket" in link])
        jobs = fleet.Queue.open(sys.argv[1], endpoint_url=sys.argv[2])
        word("returned", fleet.Dispatcher(jobs).dispatch(job))
        """,
        queue.name,
        queue.server.endpoint,
    )
    assert program.wait() == 0, program.errors()
    assert program.words.all() == [["sockets", []], ["returned", True]]


def test_a_long_job_keeps_its_message(
    run: Run, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """The lease is extended while it runs: at a third of two seconds, again and again."""
    gate = home.gate("end")
    extends: list[Any] = []

    def watch(exchange: Any) -> None:
        if exchange.action == "ChangeMessageVisibility" and exchange.answer is not None:
            extends.append(exchange.request["VisibilityTimeout"])

    proxy.watches.append(watch)
    queue.send("a")
    program = run(
        """
        def job(body):
            word("started")
            pass_gate("end")
        jobs = fleet.Queue.open(sys.argv[1], endpoint_url=sys.argv[2])
        word("returned", fleet.Dispatcher(jobs, visibility_timeout=2, wait_time=1).dispatch(job))
        """,
        queue.name,
        proxy.endpoint,
    )
    program.words.wait("started")
    eventually(lambda: len(extends) >= 4, what="longer than one lease")
    assert queue.depth().in_flight == 1
    gate.open()
    assert program.wait() == 0, program.errors()
    assert program.words.of("returned") == [[True]]
    assert set(extends) == {2}
    assert queue.depth() == EMPTY


@pytest.mark.slow
def test_an_extend_that_hangs_costs_one_try_and_not_the_lease(
    run: Run, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """A call about a message takes at most a sixth of the first lease."""
    gate = home.gate("end")
    asked: list[Any] = []

    def watch(exchange: Any) -> None:
        if exchange.action == "ChangeMessageVisibility" and exchange.answer is None:
            asked.append(exchange)

    proxy.watches.append(watch)
    proxy.stall("ChangeMessageVisibility")
    queue.send("a")
    program = run(
        """
        def job(body):
            pass_gate("end")
        jobs = fleet.Queue.open(sys.argv[1], endpoint_url=sys.argv[2])
        word("returned", fleet.Dispatcher(jobs, visibility_timeout=6, wait_time=1).dispatch(job))
        """,
        queue.name,
        proxy.endpoint,
    )
    eventually(lambda: len(asked) >= 2, what="a second try")
    proxy.release("ChangeMessageVisibility")
    eventually(lambda: len(asked) >= 4, what="the lease was extended, and again")
    gate.open()
    assert program.wait() == 0, program.errors()
    assert program.words.of("returned") == [[True]]
    errors = program.errors()
    assert "lease not extended" in errors
    assert "lease lost" not in errors


@pytest.mark.usefixtures("aws")
def test_rejected_failed_and_retried_on_sqs(queue: LiveQueue) -> None:
    import fleet

    def job(body: str) -> None:
        match body:
            case "reject":
                raise fleet.Reject("bad")
            case "retry":
                raise fleet.Retry(after=600)
            case _:
                raise ValueError

    opened = Queue.open(queue.name, endpoint_url=queue.server.endpoint)
    lone = Dispatcher(opened, wait_time=1)
    assert lone.allow_retries
    queue.send("reject")
    assert not lone.dispatch(job)
    assert queue.dead_bodies() == ["reject"]
    queue.send("retry")
    assert not lone.dispatch(job)
    queue.send("fail")
    with pytest.raises(fleet.JobError):
        lone.dispatch(job)
    opened.close()
    queue.wait_depth(in_flight=2)


@pytest.mark.usefixtures("aws")
def test_a_queue_that_is_not_there_is_said(queue: LiveQueue) -> None:
    opened = Queue.open("nowhere", endpoint_url=queue.server.endpoint)
    with pytest.raises(QueueError, match="queue 'nowhere' does not exist") as caught:
        Dispatcher(opened, wait_time=0).dispatch(print)
    opened.close()
    assert caught.value.trouble is Trouble.GONE


def test_what_happens_goes_to_the_programs_own_log(caplog: pytest.LogCaptureFixture) -> None:
    """Logger `fleet`; bodies and arguments are not in it, at any level."""
    caplog.set_level(logging.DEBUG, logger="fleet")

    def job(*_args: str, named: str) -> None:
        assert named

    Dispatcher(MemoryQueue("secret"), wait_time=0).dispatch(job, "secret", named="secret")
    events = [record.__dict__["event"] for record in caplog.records]
    assert events == ["message.received", "job.started", "job.succeeded", "message.deleted"]
    assert {record.__dict__["fields"]["queue"] for record in caplog.records} == {"MemoryQueue"}
    assert [record.levelname for record in caplog.records] == ["DEBUG", "DEBUG", "INFO", "DEBUG"]
    assert "message m1" in caplog.text
    assert "secret" not in caplog.text
    assert "secret" not in str([record.__dict__ for record in caplog.records])


def test_it_says_nothing_by_itself(run: Run) -> None:
    program = run(
        'word("returned", fleet.Dispatcher(queue("a"), wait_time=0).dispatch(lambda body: None))'
    )
    assert program.wait() == 0
    assert program.errors() == ""
