"""Signals while it dispatches: what becomes of the job, of the message, and of the program."""

import os
import signal
from contextlib import suppress

import pytest

from tests.library.conftest import Run
from tests.support.eventually import eventually, let_pass
from tests.support.pool import Home
from tests.support.processes import is_alive

JOB = """
def job(body, gate="never"):
    if os.fork() == 0:
        os.setsid()
        word("child", os.getpid())
        signal.pause()
    word("started", os.getpid())
    pass_gate(gate)
    word("done")
def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
def said(what):
    words = [json.loads(line) for line in (HERE / "words").read_text().splitlines()]
    return [said[1:] for said in words if said[0] == what]
def handler(*args, message):
    pids = [pid for (pid,) in said("started") + said("child")]
    # A process that waits for a processor is still R.
    eventually(lambda: all(state(pid) == "T" for pid in pids), timeout=5)
    word("handled", list(args), message.id, len(pids))
def none_is_left():
    pids = [pid for (pid,) in said("started") + said("child")]
    word("alive", [pid for pid in pids if Path(f"/proc/{pid}").exists()])
"""
EXIT_SIGNALS = [signal.SIGHUP, signal.SIGABRT, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM]


@pytest.mark.parametrize("number", EXIT_SIGNALS, ids=lambda number: number.name)
def test_interrupted_cleaned_up_released_and_ended_by_that_signal(
    run: Run, home: Home, number: signal.Signals
) -> None:
    """Everything of the job is stopped for the handler, and gone before the message is anybody
    else's.
    """
    home.gate("never")
    program = run(
        JOB
        + """
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
jobs = queue("a")
jobs.during["release"] = none_is_left
fleet.Dispatcher(jobs, wait_time=3, drain_timeout=0).dispatch(job, exit_handler=handler)
word("after")
"""
    )
    program.words.wait("started")
    program.words.wait("child")
    program.process.send_signal(number)
    assert program.wait() == -number, program.errors()
    assert program.words.of("handled") == [[["a"], "m1", 2]]
    assert program.words.of("alive") == [[[]]]
    assert not program.words.of("done")
    assert not program.words.of("after")
    assert [call[0] for call in program.calls()] == ["receive", "max_receive_count", "release"]
    assert program.calls("release") == [["m1", 4]], (
        "hidden until a sibling's poll is over: wait time + 1 s"
    )


def test_a_signal_to_the_whole_group_is_the_same(run: Run, home: Home) -> None:
    home.gate("never")
    program = run(
        JOB
        + """
lone = fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0)
lone.dispatch(job, exit_handler=handler)
"""
    )
    program.words.wait("started")
    program.words.wait("child")
    os.killpg(program.process.pid, signal.SIGTERM)
    assert program.wait() == -signal.SIGTERM
    assert program.words.of("handled") == [[["a"], "m1", 2]]
    assert program.calls("release") == [["m1", 1]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_a_signal_to_every_process_is_the_same(
    run: Run, home: Home, number: signal.Signals
) -> None:
    """A stop of the whole control group: the job first, its shim, and the program last."""
    home.gate("never")
    program = run(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        def job(body):
            word("started", os.getpid(), os.getppid())
            pass_gate("never")
        def handler(body):
            word("handled")
        lone = fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=60)
        signal.signal(signal.Signals[sys.argv[1]], lambda *_: word("own"))
        done = lone.dispatch(job, exit_handler=handler)
        word("returned", done, lone.last.outcome, lone.last.exit.signal)
        """,
        number.name,
    )
    ((job, shim),) = program.words.wait("started")
    for pid in (job, shim, program.process.pid):
        with suppress(ProcessLookupError):  # the shim of a job that is gone may be gone, too
            os.kill(pid, number)
    assert program.wait() == 0, program.errors()
    assert program.words.of("returned") == [[False, "stopped", number]]
    assert program.words.of("handled") == [[]]
    assert program.calls("release") == [["m1", 1]]


def test_a_job_that_alone_is_signalled_has_died_by_it(run: Run, home: Home) -> None:
    home.gate("never")
    program = run(
        """
        def job(body):
            word("started", os.getpid())
            pass_gate("never")
        try:
            fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job)
        except fleet.JobError as error:
            word("failed", error.exit.signal)
        """
    )
    ((job,),) = program.words.wait("started")
    os.kill(job, signal.SIGTERM)
    assert program.wait() == 0, program.errors()
    assert program.words.of("failed") == [[signal.SIGTERM]]


def test_without_a_handler_the_job_is_told_to_stop(run: Run) -> None:
    program = run(
        """
        def job(body):
            signal.signal(signal.SIGTERM, lambda *_: (word("told"), sys.exit(3)))
            word("started")
            signal.pause()
        fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0).dispatch(job)
        """
    )
    program.words.wait("started")
    program.process.terminate()
    assert program.wait() == -signal.SIGTERM
    assert program.words.of("told")
    assert program.calls("release") == [["m1", 1]], (
        "a failure of a job that was told to stop is an interruption"
    )


def test_a_drain_lets_the_job_finish(run: Run, home: Home) -> None:
    gate = home.gate("end")
    program = run(
        JOB
        + """
lone = fleet.Dispatcher(queue("a", "b"), wait_time=0, drain_timeout=60)
lone.dispatch(job, gate="end")
"""
    )
    program.words.wait("started")
    program.process.terminate()
    os.kill(program.process.pid, signal.SIGTERM)  # the same, within a second
    gate.open()
    assert program.wait() == -signal.SIGTERM
    assert program.words.of("done")
    assert program.calls("delete") == [["m1"]]
    assert len(program.calls("receive")) == 1


def test_a_drain_has_an_end(run: Run, home: Home) -> None:
    home.gate("never")
    program = run(
        JOB
        + """
lone = fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0.3)
lone.dispatch(job, exit_handler=handler)
"""
    )
    program.words.wait("child")
    program.process.terminate()
    assert program.wait() == -signal.SIGTERM
    assert program.words.of("handled")
    assert program.calls("release") == [["m1", 1]]


def test_a_second_signal_later_than_a_second_ends_the_drain(run: Run, home: Home) -> None:
    home.gate("never")
    program = run(
        JOB
        + """
lone = fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=600)
lone.dispatch(job, exit_handler=handler)
"""
    )
    program.words.wait("child")
    program.process.terminate()
    let_pass(1.2)
    program.process.terminate()
    assert program.wait() == -signal.SIGTERM
    assert program.calls("release") == [["m1", 1]]


def test_a_programs_own_handler_runs_after_the_settlement(run: Run, home: Home) -> None:
    """And `is_exiting` is true in it; the handlers of before are back."""
    home.gate("never")
    program = run(
        JOB
        + """
lone = fleet.Dispatcher(queue("a", "b"), wait_time=0, drain_timeout=0)
def own(number, _frame):
    word("own", number, lone.is_exiting, lone._queue.calls[-1][0])
signal.signal(signal.SIGTERM, own)
group = signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT
before = [signal.getsignal(number) for number in group]
while not lone.is_exiting:
    word("returned", lone.dispatch(job), lone.last.settlement, lone.last.delay)
word("again", lone.dispatch(job))
after = [signal.getsignal(number) for number in group]
word("same", before == after)
"""
    )
    program.words.wait("child")
    program.process.terminate()
    assert program.wait() == 0, program.errors()
    assert program.words.of("own") == [[signal.SIGTERM, True, "release"]]
    assert program.words.of("returned") == [[False, "released", 1]]
    assert program.words.of("again") == [[False]], "nothing is taken any more"
    assert len(program.calls("receive")) == 1
    assert program.words.of("same") == [[True]]


def test_every_kind_of_signal_is_raised_again_once(run: Run, home: Home) -> None:
    home.gate("never")
    program = run(
        JOB
        + """
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, lambda number, _frame: word("own", number))
fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=60).dispatch(job, exit_handler=handler)
"""
    )
    program.words.wait("child")
    for number in (signal.SIGQUIT, signal.SIGHUP, signal.SIGHUP):
        program.process.send_signal(number)
    let_pass(1.2)
    program.process.terminate()
    assert program.wait() == 0, program.errors()
    assert sorted(program.words.of("own")) == [[signal.SIGHUP], [signal.SIGQUIT], [signal.SIGTERM]]


def test_a_ctrl_c_is_a_keyboard_interrupt_after_the_settlement(run: Run, home: Home) -> None:
    home.gate("never")
    program = run(
        JOB
        + """
lone = fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0)
try:
    lone.dispatch(job)
except KeyboardInterrupt:
    word("interrupted", lone.is_exiting, lone.last.settlement)
"""
    )
    program.words.wait("child")
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 0, program.errors()
    assert program.words.of("interrupted") == [[True, "released"]]


def test_what_was_ignored_stays_ignored(run: Run, home: Home) -> None:
    """A program under nohup."""
    gate = home.gate("end")
    program = run(
        JOB
        + """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
lone = fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0)
word("returned", lone.dispatch(job, gate="end"), lone.is_exiting)
word("ignored", signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)
"""
    )
    program.words.wait("started")
    program.process.send_signal(signal.SIGHUP)
    gate.open()
    assert program.wait() == 0, program.errors()
    assert program.words.of("returned") == [[True, False]]
    assert program.words.of("ignored") == [[True]]


DURING_THE_POLL = """
jobs = queue("a", limit={limit})
jobs.during["receive"] = lambda: os.kill(os.getpid(), signal.SIGTERM)
fleet.Dispatcher(jobs, wait_time=7, drain_timeout=0).dispatch(lambda body: word("ran", body))
"""


def test_a_message_that_comes_after_the_signal_goes_back_untouched(run: Run) -> None:
    """An aborted poll would lose it for a whole visibility timeout."""
    program = run(DURING_THE_POLL.format(limit=3))
    assert program.wait() == -signal.SIGTERM, program.errors()
    assert not program.words.all()
    assert program.calls("release") == [["m1", 8]]


def test_on_its_last_attempt_it_is_run_all_the_same(run: Run) -> None:
    """Releasing it would dead-letter it unworked."""
    program = run(DURING_THE_POLL.format(limit=1))
    assert program.wait() == -signal.SIGTERM, program.errors()
    assert program.words.of("ran") == [["a"]]
    assert program.calls("delete") == [["m1"]]


def test_a_signal_in_the_transformer_sends_the_message_back(run: Run) -> None:
    program = run(
        """
        def transformer(message):
            os.kill(os.getpid(), signal.SIGTERM)
            return message.body
        lone = fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0)
        lone.dispatch(lambda body: word("ran", body), message_transformer=transformer)
        """
    )
    assert program.wait() == -signal.SIGTERM, program.errors()
    assert not program.words.all()
    assert program.calls("release") == [["m1", 1]]


def test_a_signal_while_it_settles_ends_the_program_after_that(run: Run) -> None:
    program = run(
        """
        jobs = queue("a")
        jobs.during["delete"] = lambda: os.kill(os.getpid(), signal.SIGTERM)
        jobs.fails["delete"] = [fleet.QueueError(fleet.Trouble.PASSING, "no answer")]
        fleet.Dispatcher(jobs, wait_time=0, drain_timeout=0).dispatch(lambda body: word("ran"))
        """
    )
    assert program.wait() == -signal.SIGTERM, program.errors()
    assert program.calls("delete") == [["m1"], ["m1"]]


def test_a_signal_ends_what_is_asked_for_again_and_again(run: Run) -> None:
    """After the longest that a stop can take here: ten seconds, less than a call and a second."""
    program = run(
        """
        jobs = queue("a")
        jobs.fails["delete"] = [fleet.QueueError(fleet.Trouble.PASSING, "no answer")] * 999
        jobs.during["delete"] = lambda: os.kill(os.getpid(), signal.SIGTERM)
        lone = fleet.Dispatcher(jobs, wait_time=0, drain_timeout=0, exit_timeout=0)
        lone.dispatch(lambda body: word("ran"))
        """
    )
    assert program.wait() == -signal.SIGTERM, program.errors()
    assert len(program.calls("delete")) > 2
    assert "message left to its lease: the queue did not take the settlement" in program.errors()


def test_a_job_that_had_finished_when_the_signal_came_is_deleted(run: Run, home: Home) -> None:
    """Program A surrendered or dead-lettered it.

    The program is stopped meanwhile, so both reach it at once.
    """
    gate = home.gate("end")
    program = run(
        """
        def job(body):
            word("started", os.getpid())
            pass_gate("end")
        def handler(body):
            word("handled")
        lone = fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0)
        lone.dispatch(job, exit_handler=handler)
        """
    )
    ((pid,),) = program.words.wait("started")
    program.process.send_signal(signal.SIGSTOP)
    gate.open()
    eventually(lambda: not is_alive(pid), what="the job has ended")
    program.process.terminate()
    program.process.send_signal(signal.SIGCONT)
    assert program.wait() == -signal.SIGTERM
    assert program.calls("delete") == [["m1"]]
    assert not program.words.of("handled")


def test_a_job_that_had_finished_is_deleted_even_if_its_shim_has_not_seen_it(
    run: Run, home: Home
) -> None:
    gate = home.gate("end")
    program = run(
        """
        def job(body):
            word("started", os.getpid(), os.getppid())
            pass_gate("end")
        def handler(body):
            word("handled")
        lone = fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0)
        lone.dispatch(job, exit_handler=handler)
        """
    )
    ((job, shim),) = program.words.wait("started")
    os.kill(shim, signal.SIGSTOP)
    gate.open()
    eventually(lambda: not is_alive(job), what="the job has ended")
    program.process.terminate()
    let_pass(0.3)  # for the program to hear it first; too little would only prove less
    os.kill(shim, signal.SIGCONT)
    assert program.wait() == -signal.SIGTERM
    assert program.calls("delete") == [["m1"]]
    assert not program.words.of("handled")


def test_a_signal_at_the_very_end_is_known_to_the_programs_handler(run: Run) -> None:
    """It came after the last look at what had come."""
    program = run(
        """
        jobs = queue("a")
        jobs.during["delete"] = lambda: os.kill(os.getpid(), signal.SIGTERM)
        lone = fleet.Dispatcher(jobs, wait_time=0)
        signal.signal(signal.SIGTERM, lambda *_: word("own", lone.is_exiting))
        word("returned", lone.dispatch(lambda body: None), lone.is_exiting)
        """
    )
    assert program.wait() == 0, program.errors()
    assert program.words.all() == [["own", True], ["returned", True, True]]


def test_a_handlers_process_has_no_descriptor_of_fleets(run: Run, home: Home) -> None:
    home.gate("never")
    program = run(
        JOB
        + """
before = descriptors()
def handler(body):
    word("same", descriptors() == before)
fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0).dispatch(job, exit_handler=handler)
"""
    )
    program.words.wait("child")
    program.process.terminate()
    assert program.wait() == -signal.SIGTERM
    assert program.words.of("same") == [[True]]


def test_between_two_dispatches_signals_are_the_programs(run: Run) -> None:
    """Program A ran the handler of the job before once more."""
    program = run(
        """
        lone = fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0)
        word("returned", lone.dispatch(lambda body: None, exit_handler=lambda *_: word("handled")))
        os.kill(os.getpid(), signal.SIGTERM)
        """
    )
    assert program.wait() == -signal.SIGTERM
    assert program.words.all() == [["returned", True]]


def test_making_one_changes_no_handler(run: Run) -> None:
    program = run(
        """
        fleet.Dispatcher(queue("a"))
        word("handlers", [signal.getsignal(number) == signal.SIG_DFL for number in (1, 3, 6, 15)])
        """
    )
    assert program.wait() == 0, program.errors()
    assert program.words.of("handlers") == [[[True] * 4]]


def test_in_another_thread_there_are_no_handlers_and_a_warning(run: Run, home: Home) -> None:
    """A signal ends the program as ever; what it leaves is killed all the same."""
    home.gate("never")
    program = run(
        JOB
        + """
def work():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lone = fleet.Dispatcher(queue("a", "b"), wait_time=0, drain_timeout=0)
        word("returned", lone.dispatch(lambda body: None))
        word("warned", [str(each.message) for each in caught])
        lone.dispatch(job)
threading.Thread(target=work).start()
"""
    )
    program.words.wait("child")
    program.process.terminate()
    assert program.wait() == -signal.SIGTERM
    assert program.words.of("returned") == [[True]]
    (((warning,),),) = program.words.of("warned")
    assert "not in the main thread" in warning
    assert program.calls("delete") == [["m1"]]
    assert not program.calls("release")
    home.wait_empty()


def test_an_event_loops_wakeup_descriptor_keeps_working(run: Run, home: Home) -> None:
    """Also for signals that come while it is borrowed."""
    gate = home.gate("end")
    program = run(
        JOB
        + """
reader, writer = os.pipe2(os.O_NONBLOCK)
signal.set_wakeup_fd(writer)
signal.signal(signal.SIGUSR1, lambda *_: word("own"))
fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job, gate="end")
word("woken", list(os.read(reader, 10)).count(signal.SIGUSR1), signal.set_wakeup_fd(-1) == writer)
"""
    )
    program.words.wait("started")
    program.process.send_signal(signal.SIGUSR1)
    program.words.wait("own")
    gate.open()
    assert program.wait() == 0, program.errors()
    assert program.words.of("woken") == [[1, True]]


@pytest.mark.parametrize("where", ["thread", "transformer"])
def test_what_the_program_forks_meanwhile_has_the_programs_handlers(run: Run, where: str) -> None:
    """A signal for it ends it, and is not taken for one of ours."""
    program = run(
        f"""
        import multiprocessing
        others = []
        def fork():
            others.append(multiprocessing.Process(target=signal.pause))
            others[0].start()
        def fork_in_thread():
            thread = threading.Thread(target=fork)
            thread.start()
            thread.join()
        def transformer(message):
            if "{where}" == "transformer":
                fork()
            return message.body
        def end():
            others[0].terminate()
            others[0].join()
            word("ended", others[0].exitcode)
        jobs = queue("a", "b")
        if "{where}" == "thread":
            jobs.during["receive"] = fork_in_thread
        jobs.during["delete"] = end
        lone = fleet.Dispatcher(jobs, wait_time=0, drain_timeout=0)
        done = lone.dispatch(lambda body: None, message_transformer=transformer)
        word("returned", done, lone.is_exiting)
        """
    )
    assert program.wait() == 0, program.errors()
    assert program.words.all() == [["ended", -signal.SIGTERM], ["returned", True, False]]


def test_a_fault_handler_is_still_there_afterwards(run: Run) -> None:
    program = run(
        """
        import faulthandler
        faulthandler.enable()
        fleet.Dispatcher(queue("a"), wait_time=0).dispatch(lambda body: None)
        os.kill(os.getpid(), signal.SIGABRT)
        """
    )
    assert program.wait() == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in program.errors()


def test_a_programs_alarm_that_raises_leaves_no_process(run: Run, home: Home) -> None:
    """Whatever ends a delivery from outside: its processes are gone, the message is left to its
    lease.
    """
    home.gate("never")
    program = run(
        JOB
        + """
class TooLate(Exception):
    pass
def alarm(*_):
    raise TooLate
signal.signal(signal.SIGALRM, alarm)
try:
    fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job)
except TooLate:
    none_is_left()
    word("handlers", signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
"""
    )
    program.words.wait("child")
    program.process.send_signal(signal.SIGALRM)
    assert program.wait() == 0, program.errors()
    assert program.words.of("alive") == [[[]]]
    assert program.words.of("handlers") == [[True]]
    assert [call[0] for call in program.calls()] == ["receive"]
