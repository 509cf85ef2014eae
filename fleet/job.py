"""Inside the job's process, and the exit handler's: become a process of its own, call user code, exit.

Runs in the fork child of a dispatcher, from `run` or `handle` on, and never returns. All user code but the app's
import runs here: job, transformer, router, exit handler. Nothing here talks to the queue or the master.
"""

import contextlib
import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import setproctitle

from fleet import api, bodies, job_errors, results
from fleet.core.arguments import Call, routed, transformed
from fleet.core.exits import REJECT, RETRY
from fleet.core.failure import Failure
from fleet.core.queue import Message
from fleet.core.sns import Unusable
from fleet.system import log, processes, signals, stacks
from fleet.system.slip import Slip
from fleet.user_code import Code, Loaded

FAILED = 1
MOST_QUOTED = 1000  # characters of a body that cannot be used
OOM_SCORE = b"500"  # under memory pressure the kernel ends jobs before dispatchers


@dataclass(frozen=True, slots=True)
class Work:
    """What a job process needs to know.

    `call`: what to call, if that is known already; else the code says. `keep_fds`, sorted: the descriptors that stay
    open, None for all.
    """

    code: Code
    loaded: Loaded | None
    queue: str
    slot: int
    message: Message
    keep_fds: Sequence[int] | None
    slip: Slip
    call: Call | None = None


def run(work: Work, dispatcher: int) -> NoReturn:
    """Be the job. Signals are blocked when this begins."""
    _be(work, dispatcher, f"job {work.code.app}", _called, "error")


def handle(work: Work, dispatcher: int) -> NoReturn:
    """Be the exit handler of a job that was stopped, or died. Signals are blocked when this begins."""
    _be(work, dispatcher, f"exit handler of {work.code.app}", _handled, "handler_error")


def report(work: Work, failure: Failure, dispatcher: int) -> NoReturn:
    """Be the --on-failure hook of a job that has failed. Signals are blocked when this begins."""
    _be(work, dispatcher, f"on-failure hook of {work.code.app}", lambda work: _reported(work, failure), "hook_error")


def _be(work: Work, dispatcher: int, title: str, act: Callable[[Work], int], name: str) -> NoReturn:
    code = FAILED
    try:
        _become_own_process(work, dispatcher, title)
        code = _exit_status(work, act, name)
    except BaseException as error:  # noqa: BLE001 - a fault of ours before user code began; it must not end in silence
        job_errors.note(work.slip, name, error)
        if not log.as_json():
            _complain(f"fleet: the process could not be set up\n{traceback.format_exc()}")
        _flushed()
    finally:
        processes.end(code)


def _become_own_process(work: Work, dispatcher: int, title: str) -> None:
    """Own session and group, default handlers, no descriptor of fleet's; dies with the dispatcher."""
    os.setsid()
    signals.forget_wakeup()
    processes.default_group_signals()
    stacks.drop()
    signals.default_for_jobs()
    if not processes.die_with_parent(dispatcher, signal.SIGKILL):  # the dispatcher is dead: as if it had been in time
        processes.kill(os.getpid(), signal.SIGKILL)
    if work.keep_fds is not None:
        _close_all_but(work.keep_fds)
    _offer_to_oom_killer()
    message = work.message
    # One by one: update() walks through all subclasses of Mapping, 0.5 ms of page faults in every job.
    os.environ["FLEET_JOB_QUEUE"] = work.queue
    os.environ["FLEET_JOB_ID"] = message.id
    os.environ["FLEET_JOB_ATTEMPT"] = str(message.attempt)
    os.environ["FLEET_JOB_SLOT"] = str(work.slot)
    api.begin(message)
    setproctitle.setproctitle(f"fleet: {title} {message.id} attempt {message.attempt}")
    _begin_multiprocessing()
    processes.unblock_signals()
    if work.slip.stop_asked:  # before our handlers were the defaults: what was sent then may be lost
        processes.kill(os.getpid(), signal.SIGTERM)


def _close_all_but(keep: Sequence[int]) -> None:
    """Close every descriptor that is not in the sorted `keep`."""
    low = 0
    for fd in keep:
        if low < fd:  # CPython hands an empty range to close_range(2) as "all"
            os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 1 << 20)


def _offer_to_oom_killer() -> None:
    try:  # contextlib.suppress costs as much again as what it would guard, 45 us in every job
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, OOM_SCORE)
        os.close(fd)
    except OSError:  # not Linux, or /proc is not there
        pass


def _begin_multiprocessing() -> None:
    """What multiprocessing does in a child that it forked itself, if the app uses it."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        vars(sys.modules["multiprocessing.process"])["_children"] = set()  # else its end terminates the parent's
        util._finalizer_registry.clear()
        util._run_after_forkers()


def _end_multiprocessing() -> None:
    """... and at its end: join what is not a daemon, run its exit functions."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util._exit_function()


# User code.


def _call(work: Work) -> Call:
    """Body, router and transformer are read and run here, in the process that their failure may cost."""
    if work.call is not None:
        return work.call
    loaded, reading = work.loaded or work.code.load(), work.code.reading
    if reading.kind == "sns":
        api.begin_notification(bodies.notification(reading, work.message))
    if loaded.router is not None:
        return routed(results.finished(loaded.router(work.message)))
    if loaded.transformer is not None:
        value = results.finished(loaded.transformer(work.message))
        return Call(loaded.job, *transformed(value), loaded.exit_handler)
    given = api.notification().message if reading.kind == "sns" else bodies.argument(reading, work.message)
    return Call(loaded.job, (given,), {}, loaded.exit_handler)


def _called(work: Work) -> int:
    call = _call(work)
    if call.routed:
        work.slip.write(handler=call.exit_handler is not None)
    results.finished(call.job(*call.args, **call.kwargs))
    return 0


def _handled(work: Work) -> int:
    """The handler gets the job's arguments, and the message if it takes one."""
    try:
        call = _call(work)
    except Unusable:  # the job was never called: there is nothing to clean up after it
        return 0
    handler = call.exit_handler or (work.loaded or work.code.load()).exit_handler
    if handler is not None:
        results.finished(handler(*call.args, **call.kwargs, **_message_for(handler, call, work.message)))
    return 0


def _reported(work: Work, failure: Failure) -> int:
    hook = (work.loaded or work.code.load()).on_failure
    if hook is not None:
        results.finished(hook(failure))
    return 0


def _message_for(handler: Callable[..., object], call: Call, message: Message) -> dict[str, Message]:
    """`queue_message` or `message`, if the handler takes one and the job's arguments do not fill it."""
    try:
        signature = inspect.signature(handler)
        taken = signature.bind_partial(*call.args, **call.kwargs).arguments
    except (TypeError, ValueError):  # a builtin without a signature; or a call that will say itself what is wrong
        return {}
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in signature.parameters.values())
    for name in ("queue_message", "message"):
        if name in signature.parameters and name not in taken:
            return {name: message}
    return {"message": message} if takes_any and "message" not in call.kwargs and "message" not in taken else {}


def _exit_status(work: Work, act: Callable[[Work], int], name: str) -> int:
    """0 for a return, 75 for Retry, 65 for Reject, SystemExit's own, 1 for any other exception.

    What ends it badly is written on the slip, under that name.
    """
    try:
        try:
            code = act(work)
        finally:
            results.close()
        _end_multiprocessing()
    except BaseException as error:  # noqa: BLE001 - nothing that user code raises may pass this line
        code = _failed(work, error)
        if code > 0 and code != RETRY:
            job_errors.note(work.slip, name, error)
    return code if _flushed() else code or FAILED


def _failed(work: Work, error: BaseException) -> int:
    """The exit status that it means, said as Python says it."""
    match error:
        case results.Stopped():
            return -signal.SIGTERM
        case SystemExit():
            return _status(error)
        case api.Retry():
            work.slip.write(after=max(0.0, float(error.after)))
            return RETRY
        case api.Reject():
            work.slip.write(reason=str(error)[:500])
            return REJECT
        case Unusable():
            _refuse(work, str(error))
        case _ if not log.as_json():  # else the event that tells of its end has it
            _complain(job_errors.trace(error))
    return FAILED


def _refuse(work: Work, why: str) -> None:
    """The body cannot be used. What is in it is for debugging only, and quoted: it may be anybody's."""
    about = {"slot": work.slot, "message_id": work.message.id, "attempt": work.message.attempt}
    log.begin()
    log.emit("body.refused", **about, why=why)
    log.emit("body.quoted", **about, body=ascii(work.message.body[:MOST_QUOTED]))


def _status(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code & 0xFF
    if not log.as_json():
        _complain(f"{leaving.code}\n")
    return FAILED


def _complain(text: str) -> None:
    """To standard error, if there is one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)


def _flushed() -> bool:
    """Write out what user code printed. False if it could not be: then it has not done what it thinks."""
    done = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if not getattr(stream, "closed", stream is None):
                stream.flush()
        except (OSError, ValueError):
            done = stream is sys.stderr and done
    return done
