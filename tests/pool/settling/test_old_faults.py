"""The faults of the program that this one replaces: none of them may be here, and each has a test.

- a second dispatch after a failure re-runs the stale message:
  test_old_faults.py::test_what_failed_is_not_run_again_instead_of_the_next
- a handler that raises leaves the job stopped, and the dispatcher hanging at its exit:
  test_exit_handler.py::test_each_way_it_can_end
- an SQS error during exit handling is swallowed and leaves an orphan:
  test_exit_handler.py::test_errors_of_sqs_meanwhile_leave_no_orphan,
  test_every_call.py::test_faults_of
- one failed heartbeat ends the dispatcher with the job running:
  test_leases.py::test_failed_extends_are_tried_again
- SIGKILL of the dispatcher orphans the job, and two copies run:
  test_dispatcher_death.py::test_at_every_step,
  test_dispatcher_death.py::test_at_every_step_of_a_stop
- a job that had already finished when TERM came is surrendered or dead-lettered:
  test_exit_handler.py::test_one_that_had_finished_when_the_stop_came_is_finished,
  test_outcomes.py::test_a_job_that_obeys_and_is_done_has_succeeded
- TERM between receive and fork loses the message for 35 s:
  test_old_faults.py::test_a_term_between_receive_and_fork
- TERM when idle re-runs the previous job's handler:
  test_exit_handler.py::test_an_idle_pool_runs_none
- every deploy dead-letters work when maxReceiveCount is 1:
  test_outcomes.py::test_a_deploy_costs_nothing_where_the_first_attempt_is_the_last
- a child killed by a signal counts as a success when retries are allowed:
  test_outcomes.py::test_what_a_job_says_is_done, test_outcomes.py::test_retry_delays_by_attempt
- the error does not say which message:
  test_old_faults.py::test_what_failed_is_not_run_again_instead_of_the_next
- the error claims a move to the dead-letter queue that failed:
  test_outcomes.py::test_a_letter_that_cannot_be_sent_is_not_claimed
- fractional time-outs crash:
  test_old_faults.py::test_times_may_be_fractions
- grandchildren outlive the job:
  test_leases.py::test_no_message_is_given_away_while_its_job_exists,
  test_exit_handler.py::test_it_runs_while_the_job_is_frozen
- a stopped (SIGSTOP) job is extended for ever in silence:
  test_job_process.py::test_a_job_that_is_stopped_is_told
- any receive error exits the process:
  test_leases.py::test_every_error_of_a_receive_backs_off,
  test_leases.py::test_malformed_answers_to_a_poll_end_nothing, test_every_call.py::test_faults_of
- bodies and arguments in the log:
  test_leases.py::test_bodies_and_arguments_are_never_logged
"""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.pool.settling.test_outcomes import APP, LOUD, fates
from tests.support.pool import Home, StartPool
from tests.support.processes import is_alive
from tests.support.servers import EMPTY, LiveQueue


def test_each_fault_has_its_test() -> None:
    """The list above names what exists."""
    faults = (__doc__ or "").split("\n- ")[1:]
    named = [re.findall(r"(\w+\.py)::(\w+)", fault) for fault in faults]
    assert len(faults) == 17
    for fault, tests in zip(faults, named, strict=True):
        assert tests, fault
        for file, test in tests:
            assert f"\ndef {test}(" in (Path(__file__).parent / file).read_text(), test


def test_what_failed_is_not_run_again_instead_of_the_next(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """And each line about a failure names its message."""
    works = ["fail x", "die SEGV", "retry 600", "end 3"]
    pool = start("--retry-delay", "600", app=APP, workers=1, expected=LOUD)
    ids = []
    for work in works:
        ids += queue.send(work)
        pool.wait_event("message.released", message_id=ids[-1])
    (last,) = queue.send("task")
    pool.wait_event("message.deleted", message_id=last)
    assert [(line.body, line.message_id) for line in home.trace.lines("started")] == [
        *zip(works, ids, strict=True),
        ("task", last),
    ]
    badly = [
        event
        for event in pool.events()
        if event["level"] == "warning" and event["event"].startswith("job.")
    ]
    assert [event["message_id"] for event in badly] == [ids[0], ids[1], ids[3]]


@pytest.mark.parametrize("step", ["after Received", "before the fork"])
def test_a_term_between_receive_and_fork(
    start: StartPool, home: Home, queue: LiveQueue, step: str
) -> None:
    """The message is handed back at once, or worked on: never just hidden."""
    (message_id,) = queue.send(f"{step} :: task")
    pool = start("--visibility-timeout", "60", app="halting:job", workers=1)
    (line,) = home.trace.wait("halted")
    os.kill(line.pid, signal.SIGTERM)
    pool.drain()
    os.kill(line.pid, signal.SIGCONT)
    assert pool.wait() == 0
    if fates(pool, [message_id]) == [[("released", 0)]]:
        assert not home.trace.lines("started")
        queue.wait_depth(visible=1)
    else:
        assert home.trace.bodies("done") == ["attempts task/task"]
        assert queue.depth() == EMPTY


def test_times_may_be_fractions(start: StartPool, home: Home, queue: LiveQueue) -> None:
    """Every option that takes seconds; a lease is extended, a job is timed out, another one
    interrupted.
    """
    home.gate("never")
    timed_out, _ = queue.send("deaf never", "task")
    times = (
        ("visibility-timeout", "2.5"),
        ("job-timeout", "1.25"),
        ("exit-timeout", "0.5"),
        ("drain-timeout", "0.25"),
    )
    more = (
        ("wait-time", "0.5"),
        ("retry-delay", "0.6,1.5"),
        ("depth-interval", "0.5"),
        ("start-timeout", "9.5"),
    )
    options = [word for name, value in (*times, *more) for word in (f"--{name}", value)]
    pool = start(*options, app=APP, expected=LOUD)
    pool.wait_event("message.released", message_id=timed_out)
    assert pool.events("lease.extended")
    pool.wait_event("message.deleted")
    (interrupted,) = queue.send("hold never")
    pool.wait_event("job.started", message_id=interrupted)
    pool.terminate()
    assert pool.wait() == 0
    assert not any(is_alive(line.pid) for line in home.trace.lines())
