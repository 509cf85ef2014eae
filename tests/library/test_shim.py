"""The program's own processes are its own; the job's are gone when its dispatch returns, whoever is
killed.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.library.conftest import Run
from tests.support.eventually import eventually
from tests.support.pool import Home
from tests.support.processes import is_alive, is_stopped

FAMILY = """
def family():
    # Children in the job's group, in a session of their own, and a daemon that forked twice.
    for leave in (lambda: None, os.setsid, lambda: os.fork() and os._exit(0) or os.setsid()):
        if os.fork() == 0:
            leave()
            word("child", os.getpid())
            while True:
                signal.pause()
    os.wait()  # the daemon's parent
    while len(said("child")) < 3:
        time.sleep(0.005)
def said(what):
    words = [json.loads(line) for line in (HERE / "words").read_text().splitlines()]
    return [said[1:] for said in words if said[0] == what]
def alive(pids):
    return [pid for (pid,) in pids if Path(f"/proc/{pid}").exists()]
"""


@pytest.mark.parametrize(
    ("end", "verb", "status"),
    [
        ("pass", "delete", "True"),
        ("raise ValueError", "max_receive_count", "JobError"),
        ("os.kill(os.getpid(), 9)", "release", "JobError"),
    ],
)
def test_what_a_job_leaves_is_gone_before_its_message_is_settled(
    run: Run, end: str, verb: str, status: str
) -> None:
    program = run(
        FAMILY
        + f"""
def job(body):
    word("started", os.getpid())
    family()
    {end}
jobs = queue("a")
jobs.during["{verb}"] = lambda: word("alive", alive(said("child") + said("started")))
try:
    word("returned", str(fleet.Dispatcher(jobs, wait_time=0).dispatch(job)))
except fleet.JobError as error:
    word("returned", type(error).__name__)
"""
    )
    assert program.wait() == 0, program.errors()
    assert len(program.words.of("child")) == 3
    assert program.words.of("alive") == [[[]]]
    assert program.words.of("returned") == [[status]]


OWN_CHILDREN = (
    FAMILY
    + """
import multiprocessing
def pause():
    while True:
        signal.pause()
started = []
def start_another():
    started.append(subprocess.Popen(["sleep", "600"]))
plain = subprocess.Popen(["sleep", "600"])
daemon = multiprocessing.Process(target=pause, daemon=True)
daemon.start()
def job(body, end):
    family()
    if end == "multiprocessing":
        # The end of a process looks after its own children, and no others.
        multiprocessing.Process(target=int).start()
    if end == "killed":
        os.kill(os.getpid(), 9)
def orphan():
    # A child of the program's whose own child outlives it: somebody else's to adopt, as without us.
    if os.fork() == 0:
        if os.fork() == 0:
            word("orphan", os.getpid())
            pause()
        os._exit(0)
    os.wait()
def during():
    thread = threading.Thread(target=start_another)
    thread.start()
    thread.join()
    orphan()
"""
)


@pytest.mark.parametrize("end", ["fine", "killed", "multiprocessing"])
def test_the_programs_own_children_are_never_touched(run: Run, end: str) -> None:
    """Those of before, those that another thread starts meanwhile, those of multiprocessing, and
    their orphans.
    """
    program = run(
        OWN_CHILDREN
        + f"""
jobs = queue("a", "b")
jobs.during["receive"] = during
lone = fleet.Dispatcher(jobs, wait_time=0)
for _ in range(2):
    try:
        lone.dispatch(job, "{end}")
    except fleet.JobError:
        pass
((orphaned,),) = said("orphan")
polled = plain.poll(), started[0].poll()
word("alive", *polled, daemon.is_alive(), os.path.exists(f"/proc/{{orphaned}}"))
mine = Path(f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children").read_text().split()
word("mine", sorted(map(int, mine)) == sorted([plain.pid, started[0].pid, daemon.pid]))
for pid in (plain.pid, started[0].pid, orphaned):
    os.kill(pid, 9)
"""
    )
    assert program.wait() == 0, program.errors()
    assert program.words.of("alive") == [[None, None, True, True]]
    assert program.words.of("mine") == [[True]], (
        "no orphan was adopted, and nothing is left to reap"
    )


@pytest.mark.parametrize(
    "reaping",
    [
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        """
def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
signal.signal(signal.SIGCHLD, reap)
""",
    ],
    ids=["ignores", "reaps"],
)
def test_a_program_that_reaps_whatever_it_has_hides_no_end(run: Run, reaping: str) -> None:
    """A job's end is told by its shim's note, not by a status that others can take."""
    program = run(
        reaping
        + """
def job(body):
    match body:
        case "fails":
            sys.exit(3)
        case "dies":
            os.kill(os.getpid(), 9)
lone = fleet.Dispatcher(queue("fine", "fails", "dies"), wait_time=0)
word("returned", lone.dispatch(job))
for _ in range(2):
    try:
        lone.dispatch(job)
    except fleet.JobError as error:
        word("failed", error.exit.code, error.exit.signal)
"""
    )
    assert program.wait() == 0, program.errors()
    assert program.words.of("returned") == [[True]]
    assert program.words.of("failed") == [[3, None], [None, 9]]


RUNNING = (
    FAMILY
    + """
def job(body):
    word("started", os.getpid(), os.getppid())
    family()
    word("waiting")
    signal.pause()
"""
)


def test_a_program_that_is_killed_takes_everything_along(run: Run, home: Home) -> None:
    """Program A left an orphan at work, and a second copy ran."""
    program = run(
        RUNNING
        + """
lone = fleet.Dispatcher(queue("a"), wait_time=0)
lone.dispatch(job, exit_handler=lambda *_: word("handled"))
"""
    )
    program.words.wait("waiting")
    program.process.kill()
    assert program.wait() == -signal.SIGKILL
    home.wait_empty()
    assert not program.words.of("handled")


def test_a_group_that_is_killed_takes_everything_along(run: Run, home: Home) -> None:
    program = run(RUNNING + 'fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job)')
    program.words.wait("waiting")
    os.killpg(program.process.pid, signal.SIGKILL)
    assert program.wait() == -signal.SIGKILL
    home.wait_empty()


def test_what_a_job_has_orphaned_is_reaped_while_it_runs(run: Run, home: Home) -> None:
    """A long job that leaves many daemons does not fill the table of processes."""
    gate = home.gate("end")
    program = run(
        """
        def job(body):
            for _ in range(3):
                if os.fork() == 0:
                    if os.fork() == 0:
                        word("daemon", os.getpid())
                    os._exit(0)
                os.wait()
            word("waiting", os.getppid())
            pass_gate("end")
        word("returned", fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job))
        """
    )
    daemons = program.words.wait("daemon", count=3)
    program.words.wait("waiting")
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for (pid,) in daemons), what="reaped")
    gate.open()
    assert program.wait() == 0, program.errors()


def test_a_program_that_is_killed_while_its_handler_runs_takes_everything_along(
    run: Run, home: Home
) -> None:
    program = run(
        RUNNING
        + """
def handler(body):
    word("handling")
    signal.pause()
fleet.Dispatcher(queue("a"), wait_time=0, drain_timeout=0).dispatch(job, exit_handler=handler)
"""
    )
    program.words.wait("waiting")
    program.process.terminate()
    program.words.wait("handling")
    program.process.kill()
    program.wait()
    home.wait_empty()


def test_a_shim_that_is_killed_is_the_jobs_death(run: Run) -> None:
    program = run(
        """
        def job(body):
            subprocess.Popen(["sleep", "600"])
            word("started", os.getpid(), os.getppid())
            signal.pause()
        try:
            fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job)
        except fleet.JobError as error:
            word("failed", error.exit.signal, error.settlement)
        """
    )
    ((job, shim),) = program.words.wait("started")
    os.kill(shim, signal.SIGKILL)
    assert program.wait() == 0, program.errors()
    assert program.words.of("failed") == [[signal.SIGKILL, "released"]]
    eventually(lambda: not is_alive(job), what="the job is gone")


def test_a_signal_to_the_shim_alone_is_not_the_jobs_business(run: Run, home: Home) -> None:
    """It comes to every process when everything is stopped; what becomes of the job, the program
    decides.
    """
    gate = home.gate("end")
    program = run(
        """
        def job(body):
            word("started", os.getpid(), os.getppid())
            pass_gate("end")
        word("returned", fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job))
        """
    )
    ((job, shim),) = program.words.wait("started")
    os.kill(shim, signal.SIGTERM)
    pending = Path(f"/proc/{shim}/status")
    eventually(lambda: "ShdPnd:\t0000000000000000" in pending.read_text(), what="it has been taken")
    gate.open()
    assert program.wait() == 0, program.errors()
    assert program.words.of("returned") == [[True]]
    eventually(lambda: not is_alive(job), what="the job is gone")


def test_a_shim_that_is_stopped_delays_the_end_and_no_more(run: Run, home: Home) -> None:
    gate = home.gate("end")
    program = run(
        """
        def job(body):
            word("started", os.getpid(), os.getppid())
            pass_gate("end")
        word("returned", fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job))
        """
    )
    ((job, shim),) = program.words.wait("started")
    os.kill(shim, signal.SIGSTOP)
    gate.open()
    eventually(lambda: not is_alive(job), what="the job has ended")
    os.kill(shim, signal.SIGCONT)
    assert program.wait() == 0, program.errors()
    assert program.words.of("returned") == [[True]]


def test_a_shim_that_is_stopped_notices_the_programs_death(run: Run, home: Home) -> None:
    program = run(
        """
        def job(body):
            subprocess.Popen(["sleep", "600"])
            word("started", os.getppid())
            signal.pause()
        fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job)
        """
    )
    ((shim,),) = program.words.wait("started")
    os.kill(shim, signal.SIGSTOP)
    eventually(lambda: is_stopped(shim), what="the shim is stopped")
    program.process.kill()
    program.wait()
    home.wait_empty()


def test_somebody_who_continues_a_shim_ends_nothing(run: Run, home: Home) -> None:
    gate = home.gate("end")
    program = run(
        """
        def job(body):
            word("started", os.getppid())
            pass_gate("end")
        word("returned", fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job))
        """
    )
    ((shim,),) = program.words.wait("started")
    os.kill(shim, signal.SIGCONT)
    gate.open()
    assert program.wait() == 0, program.errors()
    assert program.words.of("returned") == [[True]]


def test_a_job_is_a_process_of_its_own(run: Run) -> None:
    """Own session and group, default handlers, nothing blocked, empty standard input, none of
    fleet's descriptors.
    """
    program = run(
        """
        def job(body, kept):
            handlers = {signal.getsignal(number) for number in (1, 2, 3, 6, 10, 14, 15, 17)}
            leads = os.getsid(0) == os.getpid() == os.getpgrp()
            word("own", leads, os.getppid() != parent, os.read(0, 1) == b"")
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            word("signals", handlers == {signal.SIG_DFL}, len(blocked))
            os.fstat(kept)
            word("open", descriptors())
            signal.set_wakeup_fd(-1)
        parent = os.getpid()
        signal.signal(signal.SIGUSR1, lambda *_: None)
        kept = os.open(os.devnull, os.O_RDONLY)
        reader, writer = os.pipe()
        os.write(writer, b"for the program")
        os.dup2(reader, 0)
        before = descriptors()
        word("before", before)
        fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job, kept)
        """
    )
    assert program.wait() == 0, program.errors()
    assert program.words.of("own") == [[True, True, True]]
    assert program.words.of("signals") == [[True, 0]]
    assert program.words.of("open") == program.words.of("before")


def test_output_is_written_once(run: Run) -> None:
    """What the program had not flushed is not written again by the job, and the job's own is
    written.
    """
    program = run(
        """
        print("before", end=" ")
        fleet.Dispatcher(queue("a"), wait_time=0).dispatch(lambda body: print("job", end=" "))
        print("after")
        """
    )
    assert program.wait() == 0, program.errors()
    assert program.output() == "before job after\n"


def test_the_programs_title_stays_its_own(run: Run, home: Home) -> None:
    gate = home.gate("end")
    program = run(
        """
        def job(body):
            word("started", os.getppid())
            pass_gate("end")
        fleet.Dispatcher(queue("a"), wait_time=0).dispatch(job)
        """
    )
    ((shim,),) = program.words.wait("started")
    title = Path(f"/proc/{program.process.pid}/cmdline").read_bytes()
    assert title == b"".join(
        os.fsencode(each) + b"\0" for each in (sys.executable, home.directory / "program0.py")
    )
    eventually(
        lambda: b"fleet: shim" in Path(f"/proc/{shim}/cmdline").read_bytes(),
        what="the shim has a title",
    )
    gate.open()
    assert program.wait() == 0


def test_no_descriptor_for_a_shim_leaves_no_process(run: Run) -> None:
    """The program's limit on descriptors is reached at every one that a dispatch needs, one after
    the other.
    """
    program = run(
        """
        import resource
        def limit(most):
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        lone, told = fleet.Dispatcher(queue(*"abcdefghijklmn", limit=None), wait_time=0), set()
        free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        for more in range(14):
            limit(free + more)
            try:
                told.add(str(lone.dispatch(lambda body: None)))
            except (OSError, fleet.DispatcherError) as error:
                told.add(type(error).__name__)
        limit(256)
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        word("told", sorted(told), children.read_text())
        word("open", len(os.listdir("/proc/self/fd")) == free + 1)
        """
    )
    assert program.wait() == 0, program.errors()
    ((told, children),) = program.words.of("told")
    assert "True" in told
    assert "DispatcherError" in told
    assert children == ""
    assert program.words.of("open") == [[True]]
