"""An app whose dispatchers stop themselves at a chosen step of a message's first delivery, for the
test to kill there.

It is imported in the template, so what it wraps is wrapped in every dispatcher. The body of a
message is the step, the work of its job and, with `split` as the transformer, that of its exit
handler: "step :: work :: farewell".
"""

import functools
import os
import signal
from collections.abc import Callable
from typing import Any

import endings
from jobs import SHARED, write

import fleet
from fleet.core.protocol import Held, Received, Settled
from fleet.core.slot_state import State
from fleet.dispatcher import job_process
from fleet.dispatcher.delivery_log import DeliveryLog
from fleet.dispatcher.inbox import Inbox
from fleet.dispatcher.job_forker import JobForker
from fleet.dispatcher.requests import QueueRequests
from fleet.dispatcher.user_processes import UserProcesses
from fleet.ipc.scoreboard import SlotBoard
from fleet.sqs.queue import SqsQueue
from fleet.system import processes

current: list[Any] = [None]
"""The message in this dispatcher's hand."""


def halt(step: str) -> None:
    """Stop here if the message in hand says so, and it is its first delivery."""
    message = current[0]
    if message is None or message.attempt != 1 or message.body.split(" :: ")[0] != step:
        return
    write("halted", step)  # without the message's id: a dispatcher is no process that worked on it
    os.kill(os.getpid(), signal.SIGSTOP)


def wrap(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace `owner.name` by a function that gets the original first."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def replaced(*args: Any, **kwargs: Any) -> Any:
        return wrapper(original, *args, **kwargs)

    setattr(owner, name, replaced)


def receive(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if os.environ.get("HALT_FIRST_RECEIVE") and first("receive"):
        write("halted", "before the receive")
        os.kill(os.getpid(), signal.SIGSTOP)
    current[0] = None
    current[0] = original(*args, **kwargs)
    halt("after the answer")
    return current[0]


def first(what: str) -> bool:
    """Say whether nobody has asked for `what` before."""
    try:
        os.close(os.open(SHARED / f"first-{what}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def note(original: Callable[..., Any], board: SlotBoard, **changes: Any) -> None:
    original(board, **changes)
    if changes.get("state") is State.WORKING:
        halt("after the record")
    if "exit" in changes:
        halt("after the exit's record")
    if "intent" in changes:
        halt("after the intent")


def say(original: Callable[..., Any], inbox: Inbox, report: Any) -> None:
    if isinstance(report, Settled):
        halt("before Settled")
    original(inbox, report)
    if isinstance(report, Received):
        halt("after Received")
    if isinstance(report, Held):
        halt("while held")
    if isinstance(report, Settled):
        halt("after Settled")


forking = [""]
"""What is being forked."""


def start_job(original: Callable[..., Any], of_one: UserProcesses) -> Any:
    forking[0] = "job"
    halt("before the fork")
    answer = original(of_one)
    halt("job running")
    return answer


def start_handler(original: Callable[..., Any], of_one: UserProcesses, tries: int) -> Any:
    forking[0] = "handler"
    halt("before the handler's fork")
    answer = original(of_one, tries)
    halt("handler running")
    return answer


def ask(original: Callable[..., int], *args: Any) -> int:
    pid = original(*args)
    halt("after the fork")
    return pid


def fork_with_signals_blocked(original: Callable[..., int], *args: Any) -> int:
    pid = original(*args)
    if pid and forking[0] == "handler":
        halt("after the handler's fork")
    return pid


def around_stop(step: str) -> Callable[..., Any]:
    """Wrap what is done to a job, or to a handler."""

    def call(original: Callable[..., Any], self: job_process.Running, *args: Any) -> Any:
        halt(f"before the {step}")
        original(self, *args)
        halt(f"after the {step}")

    return call


def poll_exit(original: Callable[..., Any], self: job_process.Running, *args: Any) -> Any:
    if processes.dead_child(self.pid):
        halt("before the reaping")
    return original(self, *args)


def reap(original: Callable[..., Any], pid: int) -> Any:
    found = original(pid)
    halt("after the reaping")
    return found


def around(step: str) -> Callable[..., Any]:
    """Wrap a request: before it is sent, after it was answered."""

    def call(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        halt(f"before the {step}")
        answer = original(*args, **kwargs)
        halt(f"after the {step}")
        return answer

    return call


wrap(SqsQueue, "receive", receive)
wrap(SlotBoard, "note", note)
wrap(Inbox, "say", say)
wrap(UserProcesses, "start_job", start_job)
wrap(UserProcesses, "start_handler", start_handler)
wrap(DeliveryLog, "tell_handler_end", around("handler's end"))
wrap(QueueRequests, "read_policy", around("look at the policy"))
wrap(job_process.Running, "terminate", around_stop("termination"))
wrap(job_process.Running, "freeze", around_stop("freeze"))
wrap(job_process.Running, "kill", around_stop("kill"))
wrap(JobForker, "_ask", ask)
wrap(processes, "fork_with_signals_blocked", fork_with_signals_blocked)
wrap(job_process.Running, "poll_exit", poll_exit)
wrap(processes, "reap", reap)
wrap(SqsQueue, "delete", around("delete"))
wrap(SqsQueue, "release", around("release"))
wrap(SqsQueue, "extend", around("extend"))
wrap(SqsQueue, "dead_letter", around("letter"))


def split(message: fleet.Message) -> tuple[str, str]:
    """The step with the work, and what the exit handler is to do."""
    step, work, *farewell = message.body.split(" :: ")
    return f"{step} :: {work}", "".join(farewell)


def handler(_body: str, farewell: str, message: fleet.Message) -> None:
    """Do it."""
    endings.handler("", farewell, message)


def job(body: str, _farewell: str = "") -> object:
    """Do what follows " :: ", at the first attempt; any later one succeeds at once."""
    return endings.job(f"attempts {body.partition(' :: ')[2] or 'task'}/task")
