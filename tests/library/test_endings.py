"""What `dispatch` returns and raises, and what becomes of the message."""

import faulthandler
import os
import pickle
import signal
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

import fleet
from fleet import (
    Dispatcher,
    DispatcherError,
    Ending,
    Exit,
    JobError,
    Message,
    QueueError,
    Reason,
    Trouble,
)
from fleet.core import polling
from fleet.library import receiver
from tests.library.conftest import Words
from tests.support.eventually import let_pass
from tests.support.memory import MemoryQueue


def job(body: str) -> None:
    """Does what the body says."""
    verb, _, argument = body.partition(" ")
    match verb:
        case "raise":
            raise ValueError(argument)
        case "exit":
            raise SystemExit(int(argument))
        case "kill":
            # Pytest's, whose word of a segmentation fault would look like one of the tests'.
            faulthandler.disable()
            os.kill(os.getpid(), int(argument))
        case "retry":
            raise fleet.Retry(after=float(argument))
        case "reject":
            raise fleet.Reject(argument)
        case "hang":
            time.sleep(60)


def dispatched(queue: MemoryQueue, **options: Any) -> tuple[bool, Ending | None]:
    lone = Dispatcher(queue, wait_time=0, **options)
    return lone.dispatch(job), lone.last


def raised(queue: MemoryQueue, **options: Any) -> JobError | DispatcherError | QueueError:
    lone = Dispatcher(queue, wait_time=0, **options)
    with pytest.raises((JobError, DispatcherError, QueueError)) as caught:
        lone.dispatch(job)
    assert isinstance(caught.value, JobError | DispatcherError | QueueError)
    assert lone.last is not None
    assert (lone.last.message, lone.last.exit, lone.last.settlement, lone.last.reason) == (
        caught.value.message,
        caught.value.exit,
        caught.value.settlement,
        caught.value.reason,
    )
    return caught.value


def test_no_message_is_false_and_nothing_more() -> None:
    queue = MemoryQueue()
    assert dispatched(queue) == (False, None)
    assert [call[0] for call in queue.calls] == ["receive"]


def test_success_is_true_and_the_message_deleted() -> None:
    queue = MemoryQueue("fine")
    done, last = dispatched(queue)
    assert done
    assert last is not None
    assert (last.outcome, last.settlement, last.exit, last.delay) == (
        "succeeded",
        "deleted",
        Exit(code=0),
        0,
    )
    assert [call[0] for call in queue.calls] == ["receive", "delete"], (
        "and nothing is asked for that is not needed"
    )


def test_a_retry_is_false_and_released() -> None:
    queue = MemoryQueue("retry 30")
    done, last = dispatched(queue)
    assert not done
    assert last is not None
    assert (last.outcome, last.settlement, last.delay) == ("retried", "released", 30)
    assert queue.asked("release") == [("m1", 30)]


def test_a_rejection_is_false_and_dead_lettered() -> None:
    queue = MemoryQueue("reject bad")
    done, last = dispatched(queue)
    assert not done
    assert last is not None
    assert (last.outcome, last.settlement) == ("rejected", "dead_lettered")
    assert [message.id for message in queue.dead] == ["m1"]
    assert queue.asked("delete") == [("m1",)]


def test_a_rejection_without_a_dead_letter_queue_is_a_failure() -> None:
    error = raised(MemoryQueue("reject bad", limit=None))
    assert isinstance(error, JobError)
    assert error.settlement == "left"


@pytest.mark.parametrize(
    ("body", "words", "how", "settlement"),
    [
        ("raise secret", "its job failed (exit 1); the message was left", Exit(code=1), "left"),
        ("exit 3", "its job failed (exit 3)", Exit(code=3), "left"),
        (
            "kill 9",
            "its job was killed (SIGKILL); the message was released",
            Exit(signal=9),
            "released",
        ),
        ("kill 11", "its job was killed (SIGSEGV)", Exit(signal=11), "released"),
    ],
)
def test_a_job_that_failed_is_a_job_error(
    body: str, words: str, how: Exit, settlement: str
) -> None:
    error = raised(MemoryQueue(body))
    assert isinstance(error, JobError)
    assert words in str(error)
    assert "message m1, attempt 1" in str(error)
    assert "secret" not in str(error)
    assert (error.exit, error.settlement) == (how, settlement)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return", Reason.SUCCEEDED),
        ("retry 5", Reason.RETRIED),
        ("reject no", Reason.REJECTED),
        ("raise no", Reason.FAILED),
        ("exit 3", Reason.FAILED),
        (f"kill {int(signal.SIGKILL)}", Reason.SIGNALLED),
        ("hang", Reason.TIMED_OUT),
    ],
)
def test_every_ending_has_a_reason_for_programs(body: str, reason: Reason) -> None:
    lone = Dispatcher(
        MemoryQueue(body, limit=3), wait_time=0, job_timeout=0.2 if body == "hang" else None
    )
    with suppress(JobError):  # `raised` compares its reason with the ending's
        lone.dispatch(job)
    assert lone.last
    assert lone.last.reason is reason


def test_a_failure_can_have_a_delay() -> None:
    queue = MemoryQueue("raise x")
    error = raised(queue, retry_delay=(100,))
    assert error.settlement == "released"
    ((_, delay),) = queue.asked("release")
    assert 90 <= delay <= 110


def test_a_job_that_takes_too_long_is_a_job_error() -> None:
    error = raised(MemoryQueue("hang"), job_timeout=0.2)
    assert isinstance(error, JobError)
    assert "timed out (SIGTERM)" in str(error)
    assert error.settlement == "left"


def test_dead_letter_direct_moves_a_message_on_its_last_attempt() -> None:
    queue = MemoryQueue("raise x", limit=1)
    error = raised(queue, dead_letter="direct")
    assert error.settlement == "dead_lettered"
    assert "was dead-lettered" in str(error)
    assert [message.id for message in queue.dead] == ["m1"]


def test_a_job_that_timed_out_is_a_job_error_also_where_its_handler_fails(words: Words) -> None:
    def handler(_body: str) -> None:
        words.say("handled")
        raise ValueError

    queue = MemoryQueue("hang")
    lone = Dispatcher(queue, wait_time=0, job_timeout=0.2)
    with pytest.raises(JobError) as caught:
        lone.dispatch(job, exit_handler=handler)
    assert words.of("handled")
    assert "exit handler failed" in str(caught.value)
    assert caught.value.settlement == "left"


def test_a_receive_that_fails_is_a_queue_error_and_the_next_one_waits() -> None:
    """A caller that catches it and goes on does not spin."""
    queue = MemoryQueue("fine")
    queue.fails["receive"] = [QueueError(Trouble.PASSING, "no answer")] * 3
    lone = Dispatcher(queue, wait_time=0)
    moments = []
    for _ in range(3):
        with pytest.raises(QueueError, match="no answer"):
            lone.dispatch(job)
        moments.append(time.monotonic())
    assert lone.last is None
    assert moments[2] - moments[0] >= (0.1 + 0.2) / 4, "the least of two jittered pauses"
    assert lone.dispatch(job)


def test_polls_that_are_cut_at_one_age_are_shorter(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The clock is the test's: every poll takes six seconds of it, and two are cut."""
    clock = [0.0]
    monkeypatch.setattr(receiver, "now", lambda: clock[0])
    queue = MemoryQueue()
    queue.fails["receive"] = [QueueError(Trouble.PASSING, "no answer", unanswered=True)] * 2
    lone = Dispatcher(queue, wait_time=10)
    for _ in range(2):
        queue.during["receive"] = lambda: clock.__setitem__(0, clock[0] + 6.0)
        with pytest.raises(QueueError, match="no answer"):
            lone.dispatch(job)
    assert not lone.dispatch(job)
    assert [wait for wait, _ in queue.asked("receive")] == [10, 10, 4]
    assert "polls get no answer when they are 6 s old" in caplog.text
    assert [record.__dict__["fields"]["queue"] for record in caplog.records] == ["MemoryQueue"]


def test_a_message_that_is_not_what_was_sent_is_a_queue_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing of the caller's sees it: no transformer, no job."""
    queue = MemoryQueue("fine")
    queue.visible = [replace(queue.visible[0], unusable="its body is not what was sent")]
    lone = Dispatcher(queue, wait_time=0)
    with pytest.raises(
        QueueError, match="m1 was left to its lease: its body is not what was sent"
    ) as caught:
        lone.dispatch(job, message_transformer=lambda _: pytest.fail("called"))
    assert (caught.value.settlement, lone.attempt) == ("left", 1)
    assert caught.value.message is not None
    assert lone.last is not None
    assert (lone.last.settlement, lone.last.why) == ("left", "its body is not what was sent")
    assert lone.last.reason is Reason.UNUSABLE
    assert caplog.records[-1].__dict__["fields"]["queue"] == "MemoryQueue"
    assert [call[0] for call in queue.calls] == ["receive"]


def test_a_delete_that_is_refused_is_a_queue_error() -> None:
    queue = MemoryQueue("fine")
    queue.fails["delete"] = [QueueError(Trouble.FINAL, "denied")]
    error = raised(queue)
    assert isinstance(error, QueueError)
    assert "denied" in str(error)
    assert "m1" in str(error)
    assert (error.trouble, error.settlement, error.exit) == (Trouble.FINAL, "left", Exit(code=0))


def test_a_delete_that_fails_for_a_while_is_repeated() -> None:
    queue = MemoryQueue("fine")
    queue.fails["delete"] = [QueueError(Trouble.PASSING, "no answer")] * 2
    assert dispatched(queue)[0]
    assert len(queue.asked("delete")) == 3


def test_no_process_to_be_had_is_a_dispatcher_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    queue = MemoryQueue("fine")
    error = raised(queue)
    assert isinstance(error, DispatcherError)
    assert error.settlement == "released"
    assert queue.asked("release") == [("m1", 0)]


def test_a_program_without_a_process_to_give_takes_no_message_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each one would lose an attempt for nothing. When a job could be started it is forgotten."""
    real = os.fork

    def fork() -> int:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(polling, "STARVED_FIRST", 0.2)
    lone = Dispatcher(MemoryQueue("a", "b", "c", "d", limit=None), wait_time=0)
    monkeypatch.setattr(os, "fork", fork)
    moments = []
    for _ in range(3):
        with pytest.raises(DispatcherError):
            lone.dispatch(job)
        moments.append(time.monotonic())
    assert moments[2] - moments[0] >= (0.2 + 0.4) / 2, "the least of two jittered pauses"
    monkeypatch.setattr(os, "fork", real)
    assert lone.dispatch(job)
    assert lone._receiver.polling.starved == 0


def test_a_shim_that_cannot_fork_is_no_process_either(monkeypatch: pytest.MonkeyPatch) -> None:
    program, real = os.getpid(), os.fork

    def fork() -> int:
        if os.getpid() != program:
            raise OSError(12, "Cannot allocate memory")
        return real()

    monkeypatch.setattr(os, "fork", fork)
    queue = MemoryQueue("fine")
    error = raised(queue)
    assert isinstance(error, DispatcherError)
    assert error.reason is Reason.NO_PROCESS
    assert "no process" in str(error)
    assert queue.asked("release") == [("m1", 0)]


def test_a_transformer_that_outlasts_the_lease_loses_the_message(words: Words) -> None:
    """The whole lease, not the short first one, is asked for where a transformer runs; nobody
    extends it there.
    """
    queue = MemoryQueue("fine")
    lone = Dispatcher(queue, wait_time=0, visibility_timeout=2)

    def slow(message: Message) -> str:
        let_pass(2.1)
        return message.body

    with pytest.raises(DispatcherError, match="longer than the lease") as caught:
        lone.dispatch(words.say, message_transformer=slow)
    assert (caught.value.settlement, caught.value.reason) == ("left", Reason.TRANSFORMER_LATE)
    assert [call[0] for call in queue.calls] == ["receive"]
    assert not words.all()


def test_the_first_lease_is_the_whole_one_where_a_transformer_runs() -> None:
    queue = MemoryQueue("a", "b")
    lone = Dispatcher(queue, wait_time=0, visibility_timeout=300)
    lone.dispatch(job)
    lone.dispatch(job, message_transformer=lambda message: message.body)
    assert queue.asked("receive") == [(0, 20.0), (0, 300)]


def test_errors_pickle_with_all_they_carry() -> None:
    message = Message("m1", "handle", "body", 2)
    about: dict[str, Any] = {
        "message": message,
        "exit": Exit(signal=9),
        "settlement": fleet.Settlement.RELEASE,
    }
    for error in (JobError("the job", **about), DispatcherError("fleet", **about)):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        assert type(again) is type(error)
        assert (str(again), again.message, again.exit, again.settlement) == (
            str(error),
            *about.values(),
        )
    refused = QueueError(Trouble.FINAL, "the queue")
    refused.message, refused.exit, refused.settlement = (
        message,
        Exit(code=0),
        fleet.Settlement.LEAVE,
    )
    again = pickle.loads(pickle.dumps(refused))  # noqa: S301 - our own
    assert (str(again), again.trouble) == ("the queue", Trouble.FINAL)
    assert (again.message, again.exit, again.settlement) == (message, Exit(code=0), "left")


def test_a_failure_is_over_with_its_dispatch() -> None:
    """Program A ran the message of the failure once more."""
    queue = MemoryQueue("raise x", "fine")
    lone = Dispatcher(queue, wait_time=0)
    with pytest.raises(JobError):
        lone.dispatch(job)
    assert lone.attempt == 1
    assert lone.dispatch(job)
    assert lone.last is not None
    assert lone.last.message.id == "m2"
    assert not lone.dispatch(job)
    assert lone.attempt == 0


def test_allow_retries_is_the_queues_policy_read_when_it_is_asked_for() -> None:
    queue = MemoryQueue(limit=3)
    lone = Dispatcher(queue)
    assert not queue.calls
    told = []
    for queue.limit in (3, 1, None):
        told.append(lone.allow_retries)
    assert told == [True, False, True]
    assert len(queue.asked("max_receive_count")) == 3


def test_attempt_is_the_messages() -> None:
    queue = MemoryQueue("kill 9", "retry 0")
    lone = Dispatcher(queue, wait_time=0)
    with pytest.raises(JobError):
        lone.dispatch(job)
    seen = []
    for _ in range(2):
        lone.dispatch(job)
        seen.append(lone.attempt)
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"visibility_timeout": 1}, "visibility_timeout is 1; it must be from 2 to 43200 seconds"),
        ({"wait_time": 21}, "wait_time is 21; it must be from 0 to 20 seconds"),
        ({"wait_time": -1}, "wait_time is -1"),
        ({"drain_timeout": -1}, "drain_timeout is -1; it must be 0 seconds or more"),
        ({"exit_timeout": -0.5}, "exit_timeout is -0.5"),
        ({"job_timeout": -1}, "job_timeout is -1"),
        ({"retry_delay": (10, -1)}, "retry_delay is -1; it must be from 0 to 43200 seconds"),
        ({"retry_delay": (float("nan"),)}, "retry_delay is nan"),
        ({"dead_letter": "never"}, "dead_letter is 'never'; it must be native or direct"),
    ],
)
def test_what_cannot_be_is_said_at_once(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Dispatcher(MemoryQueue(), **options)


def test_the_job_knows_its_message(words: Words) -> None:
    def told(_body: str) -> None:
        message = fleet.message()
        words.say(
            message.id,
            message.body,
            {name: os.environ[name] for name in sorted(os.environ) if "FLEET_JOB" in name},
        )

    Dispatcher(MemoryQueue("x"), wait_time=0).dispatch(told)
    environment = {"FLEET_JOB_ATTEMPT": "1", "FLEET_JOB_ID": "m1", "FLEET_JOB_QUEUE": "MemoryQueue"}
    assert words.all() == [["m1", "x", environment | {"FLEET_JOB_SLOT": "0"}]]
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN


@pytest.mark.parametrize("mistaken", ["job", "message_transformer", "exit_handler"])
def test_what_cannot_be_called_costs_no_message_an_attempt(mistaken: str) -> None:
    queue = MemoryQueue("a")
    given: dict[str, Any] = {"job": print, mistaken: "print"}
    with pytest.raises(TypeError, match=f"{mistaken} is of type str; it must be callable"):
        Dispatcher(queue).dispatch(**given)
    with pytest.raises(TypeError, match="message_transformer is of type dict; it must be callable"):
        Dispatcher(queue).dispatch_by_message_attribute({"_job": print})  # type: ignore[arg-type]
    assert not queue.asked("receive")


def test_no_handler_is_accepted_that_would_have_no_time() -> None:
    """As the command's options refuse it."""
    queue = MemoryQueue("a")
    with pytest.raises(ValueError, match="exit_timeout is 0"):
        Dispatcher(queue, exit_timeout=0).dispatch(print, exit_handler=print)
    assert not queue.asked("receive")


# --on-failure's like.


def test_a_failure_is_told_in_a_process_of_its_own_before_the_settlement(words: Words) -> None:
    queue = MemoryQueue("raise no", limit=1)

    def told(failure: fleet.Failure) -> None:
        words.say(
            failure.outcome, failure.error_type, failure.error, failure.last_attempt, os.getpid()
        )
        again = pickle.loads(pickle.dumps(failure))  # noqa: S301 - our own
        words.say(again == failure, failure.traceback.splitlines()[-1])

    queue.during["release"] = lambda: words.say("released")
    with pytest.raises(JobError):
        Dispatcher(queue, wait_time=0, retry_delay=[5], on_failure=told).dispatch(job)
    told_of, more, released = words.all()
    assert told_of[:4] == ["failed", "ValueError", "no", True]
    assert told_of[4] != os.getpid()
    assert more == [True, "ValueError: no"]
    assert released == ["released"]


@pytest.mark.parametrize("body", ["fine", "retry 5", "reject no"])
def test_what_is_no_failure_is_not_told(words: Words, body: str) -> None:
    dispatched(MemoryQueue(body), on_failure=lambda failure: words.say(failure.outcome))
    assert not words.all()


def test_a_hook_may_be_async_and_its_own_failure_changes_nothing(
    words: Words, capfd: pytest.CaptureFixture[str]
) -> None:
    async def told(failure: fleet.Failure) -> None:
        words.say(failure.exit.code)
        raise KeyError("hook")

    queue = MemoryQueue("exit 3")
    with pytest.raises(JobError) as raised:
        Dispatcher(queue, wait_time=0, on_failure=told).dispatch(job)
    assert words.all() == [[3]]
    assert raised.value.settlement == "left"
    assert "KeyError: 'hook'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"on_failure": "told"}, TypeError, "on_failure is of type str; it must be callable"),
        (
            {"on_failure": print, "exit_timeout": 0},
            ValueError,
            "exit_timeout is 0: on_failure would never",
        ),
    ],
)
def test_a_hook_that_cannot_be_is_refused(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Dispatcher(MemoryQueue(), **options)
