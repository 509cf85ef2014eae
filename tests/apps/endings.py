"""The app of tests/pool/settling: what a job, a transformer, a router and an exit handler can do to
a message.

Verbs as in jobs.py, and more. With `split` as the transformer, what follows " :: " is for the exit
handler.
"""

import ctypes
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import jobs
from jobs import SHARED, VERBS, pass_gate, write

import fleet


def retry(seconds: str) -> None:
    """Ask for another try."""
    raise fleet.Retry(after=float(seconds))


def reject(why: str) -> None:
    """Ask for the dead-letter queue."""
    raise fleet.Reject(why)


def attempts(works: str) -> object:
    """Do the first of the works, which slashes divide, at the first attempt, and so on; the last
    one repeats.
    """
    each = works.split("/")
    verb, _, argument = each[min(int(os.environ["FLEET_JOB_ATTEMPT"]), len(each)) - 1].partition(
        " "
    )
    return VERBS[verb](argument) if verb in VERBS else None


def leave_root(gate: str) -> None:
    """Leave a process that has become another user's, as sudo does; it waits at the gate."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.setuid(0)
        write("root", gate)
        os.close(writer)
        pass_gate(gate)
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)  # the end of the file says that it has written its line


def tell(_argument: str) -> None:
    """Report what fleet.message() says."""
    found = fleet.message()
    attributes = {name: str(value.get("StringValue")) for name, value in found.attributes.items()}
    detail = {
        "id": found.id,
        "body": found.body,
        "attempt": found.attempt,
        "attributes": attributes,
    }
    write("told", found.body, detail)


def family(gate: str) -> None:
    """Have a child in a session of its own, and both work until the gate opens."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        write("child", "family")
        os.close(writer)
        while True:
            signal.pause()
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    write("family", f"family {gate}")
    pass_gate(gate)


def last_words(gate: str) -> None:
    """Work until the gate opens; a SIGTERM is told and not obeyed."""
    signal.signal(signal.SIGTERM, lambda *_: write("terminated", "last-words"))
    write("listening", "last-words")
    while True:
        pass_gate(gate)


def finish_at_term(status: str) -> None:
    """Leave with that status when SIGTERM comes."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(int(status)))
    write("waiting", f"finish-at-term {status}")
    while True:
        signal.pause()


def eat(mebibytes: str) -> None:
    """Use so much memory."""
    eaten = [bytes(1 << 20) + b"." for _ in range(int(mebibytes))]
    write("eaten", "eat", len(eaten))


def after(works: str) -> object:
    """Wait for a gate, and then do the work."""
    gate, _, work = works.partition(" ")
    pass_gate(gate)
    verb, _, argument = work.partition(" ")
    return VERBS[verb](argument)


VERBS |= {
    "leave-root": leave_root,
    "after": after,
    "eat": eat,
    "retry": retry,
    "reject": reject,
    "attempts": attempts,
    "tell": tell,
    "family": family,
    "last-words": last_words,
    "finish-at-term": finish_at_term,
}


def job(work: str, _farewell: str = "") -> object:
    """Do the work."""
    return jobs.job(work)


# Transformers and routers


def split(message: fleet.Message) -> tuple[str, str]:
    """The work, and what the exit handler is to do."""
    work, _, farewell = message.body.partition(" :: ")
    return work, farewell


def shapes(message: fleet.Message) -> Any:
    """Return what the body asks for."""
    match message.body:
        case "list":
            return ["a", "b"]
        case "tuple":
            return ("a", "b")
        case "dict":
            return {"first": "a", "second": "b"}
        case "other":
            return 7
        case "nothing":
            return None
        case _:
            raise ValueError("this transformer cannot read it")


def take(*args: object, **kwargs: object) -> None:
    """Report the arguments."""
    write("took", fleet.message().body, [list(args), kwargs])


def route(message: fleet.Message) -> Any:
    """Return what the body's JSON says: the names of job and handler are replaced by functions."""
    found = json.loads(message.body)
    for key in ("_job", "_exit_handler"):
        if key in found:
            found[key] = globals()[found[key]]
    return found


def wait_for(gate: str, **_named: str) -> None:
    """A routed job that works until the gate opens."""
    write("started", gate)
    pass_gate(gate)


# Exit handlers


def handler(work: str, farewell: str, queue_message: fleet.Message) -> None:
    """Report what is seen of the job, then do as told."""
    mine = [
        line
        for line in _trace()
        if line["message_id"] == queue_message.id and line["what"] != "handler"
    ]
    states = {line["what"]: _state(line["pid"]) for line in mine}
    write("handler", work, {"farewell": farewell, "states": states, "id": queue_message.id})
    _say_farewell(farewell, queue_message)
    write("handled", work)


def plain_handler(*args: object, **kwargs: object) -> None:
    """Report the arguments, the message by its id."""
    shown = {name: getattr(value, "id", value) for name, value in kwargs.items()}
    write("handler", "", [list(args), shown])


def told(failure: fleet.Failure) -> None:
    """An --on-failure hook: report what it is told and what is left of the job, then do as told."""
    mine = [
        line
        for line in _trace()
        if line["message_id"] == failure.message.id and line["what"] == "started"
    ]
    detail = {
        "job": [_state(line["pid"]) for line in mine],
        "outcome": failure.outcome,
        "exit": [failure.exit.code, failure.exit.signal],
        "error": [failure.error_type, failure.error, failure.where.rpartition(" in ")[2]],
        "traceback": failure.traceback.splitlines()[-1:],
        "attempts": [failure.attempt, failure.last_attempt],
        "measured": failure.duration > 0 and failure.max_rss_mib > 0,
        "current": fleet.message() == failure.message,
    }
    write("told", failure.message.body, detail)
    _say_farewell(failure.message.body.partition(" :: ")[2], failure.message)
    write("listened", failure.message.body)


async def told_later(failure: fleet.Failure) -> None:
    """A hook that is awaited."""
    told(failure)


def _say_farewell(farewell: str, message: fleet.Message) -> None:
    match farewell.split():
        case ["raise"]:
            raise ValueError("the clean-up failed")
        case ["hang", *times] if not times or _tries(message) <= int(times[0]):
            while True:
                time.sleep(60)
        case ["gate", name]:
            pass_gate(name)
        case ["leave"]:
            if os.fork() == 0:
                os.setsid()
                write("left", "by the handler")
                while True:
                    time.sleep(60)
            _await_line("left", message)


def _tries(message: fleet.Message) -> int:
    return sum(line["what"] == "handler" and line["message_id"] == message.id for line in _trace())


def _await_line(what: str, message: fleet.Message) -> None:
    while not any(line["what"] == what and line["message_id"] == message.id for line in _trace()):
        time.sleep(0.01)


def _trace() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SHARED / "trace").read_text().splitlines()]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


# A job process


def _square(number: int) -> int:
    return number * number


def _put(queue: Any) -> None:
    queue.put(os.getpid())


def several(_work: str) -> None:
    """Use a pool and a queue of multiprocessing, and have an exit function run."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        squares = pool.map(_square, range(5))
    queue: Any = multiprocessing.Queue()
    child = multiprocessing.Process(target=_put, args=(queue,))
    child.start()
    answer = queue.get()
    child.join()
    multiprocessing.util.Finalize(None, write, args=("finalized", "several"), exitpriority=1)
    write("computed", "several", {"squares": squares, "answered": answer == child.pid})
    sys.stdout.write("printed without a line end")


def surroundings(_work: str) -> None:
    """Report what the process has been given."""
    death = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(death), 0, 0, 0)
    names = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGCHLD", "SIGALRM", "SIGUSR1")
    handlers: dict[str, Any] = {name: signal.getsignal(getattr(signal, name)) for name in names}
    detail = {
        "before": AT_IMPORT,
        "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
        "alarm": signal.getitimer(signal.ITIMER_REAL),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "wakeup": signal.set_wakeup_fd(-1),
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "handlers": {name: int(handler) for name, handler in handlers.items()},
        "input": sys.stdin.read(),
        "descriptors": sorted(int(name) for name in jobs.descriptors()),
        "death_signal": death.value,
        "main_process": multiprocessing.parent_process() is None,
    }
    write("surroundings", "", detail)


PR_GET_PDEATHSIG = 2
AT_IMPORT = {"core": resource.getrlimit(resource.RLIMIT_CORE)}
# An app that sets an alarm when it is imported: not for its jobs.
signal.setitimer(signal.ITIMER_REAL, 3600)

VERBS |= {"several": several, "surroundings": surroundings}
