"""The process of a job, of an exit handler or of an --on-failure hook: how it lives and ends.

    own process ──▶ --job-init ──▶ transformer, router ──▶ job ──▶ status ─┐
                     --job-exit ◀── threads, exit functions, files ◀───────┘

It is a child of a dispatcher, forked by it or by its job forker (forker_process.py), from one of
the `run_` functions on, and these never return.
All user code but the app's import runs here (call.py calls it). Nothing here talks to the queue
or the master.
"""

import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from fleet.core.arguments import Call
from fleet.core.config import Config
from fleet.core.exit_codes import DONE, FAILED, RETRY
from fleet.core.failure import Failure
from fleet.core.queue import Message
from fleet.core.queue_names import queue_name
from fleet.core.sns import Unusable
from fleet.ipc.shared_page import SharedPage
from fleet.job import call, end, errors, outputs, own_process, results, status
from fleet.job.user_code import UserCode, load_code
from fleet.system import log, processes, signals, titles
from fleet.system.clock import now

MOST_QUOTED = 1000  # characters of a body that cannot be used


@dataclass(slots=True)
class Work:
    """What a job's process needs to know.

    A job forker has one for all jobs of a queue, and sets the message of each. `loaded`: the user's
    code; None to import what the options name. `queue`: as the options say it; `place`: which of
    the pool's queues it is. `call`: what to call, if that is known already; else the user's code
    says. `keep_fds`: the sorted descriptors that stay open, None for all. `as_imported`: puts the
    process into the state in which the import has left it. `forgets`: whether there may be
    something of the parents' to forget. `introduces`: whether the environment may not tell the
    queue and the slot yet. `title`: of the job, whose message is introduced to user code already;
    empty while it is not. `unblock`: lets signals through; None: signals.unblock_all does.
    """

    app: str
    config: Config
    loaded: UserCode | None
    queue: str
    slot: int
    message: Message
    keep_fds: Sequence[int] | None
    page: SharedPage
    call: Call | None = None
    as_imported: Callable[[], None] | None = None
    forgets: bool = True
    introduces: bool = True
    place: int = 0
    title: str = ""
    unblock: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class _Purpose:
    """What a process of user code is there for.

    `error_key`: the name under which the shared page holds the exception that ended `act`.
    """

    title: str
    act: Callable[[Work, UserCode], None]
    error_key: str
    is_job: bool = False


def _call_job(work: Work, code: UserCode) -> None:
    call.call_job(code, work.message, work.config, work.call, work.page)


def _call_exit_handler(work: Work, code: UserCode) -> None:
    call.call_exit_handler(code, work.message, work.config, work.call)


_JOB = _Purpose("job", _call_job, "error", is_job=True)
_EXIT_HANDLER = _Purpose("exit handler of", _call_exit_handler, "handler_error")


def title_of_job(work: Work) -> str:
    """What `ps` shows of the job."""
    return own_process.title_for(_JOB.title, work.app, work.message)


def run_job(work: Work, dispatcher: int, *, by_forker: bool = False) -> NoReturn:
    """Be the job of the dispatcher with that pid. Signals are blocked when this begins.

    `by_forker`: this process was forked by a job forker.
    """
    _run(work, dispatcher, _JOB, by_forker)


def rehearse_job(work: Work) -> None:
    """Do what a job does, in a process that goes on (rehearsal.py)."""
    _run_as_itself(work, _JOB)


def run_exit_handler(work: Work, dispatcher: int) -> NoReturn:
    """Be the exit handler of a job that was stopped, or died. Signals are blocked at first."""
    _run(work, dispatcher, _EXIT_HANDLER)


def run_failure_hook(work: Work, failure: Failure, dispatcher: int) -> NoReturn:
    """Be the --on-failure hook of a job that has failed. Signals are blocked when this begins."""

    def act(_work: Work, code: UserCode) -> None:
        if code.on_failure is not None:
            results.resolve_unused(code.on_failure(failure))

    _run(work, dispatcher, _Purpose("on-failure hook of", act, "hook_error"))


def _run(work: Work, dispatcher: int, purpose: _Purpose, by_forker: bool = False) -> NoReturn:
    exit_status = FAILED
    try:
        if by_forker:
            own_process.become_from_forker(dispatcher)
        else:
            own_process.become(dispatcher, work.keep_fds)
        work.page.own()
        if work.as_imported is not None:
            work.as_imported()
        if work.introduces:
            own_process.introduce_slot(work.queue, work.slot)
        exit_status = _run_as_itself(work, purpose)
    except BaseException as error:  # noqa: BLE001 - a fault of ours; it must not end in silence
        errors.write(work.page, purpose.error_key, error)
        status.complain(f"fleet: a fault of its own in a job's process\n{traceback.format_exc()}")
        outputs.flush(lambda _: None)
    finally:
        processes.exit_as(exit_status)


def _run_as_itself(work: Work, purpose: _Purpose) -> int:
    """Run user code in this process, which is its own; the exit status as `_run_user_code`."""
    if work.title:
        titles.put(work.title)
    else:
        own_process.introduce_message(work.message)
        titles.put(own_process.title_for(purpose.title, work.app, work.message))
    if work.forgets:
        own_process.forget_the_parents(work.keep_fds)
    own_process.heed_signals(work.page, work.unblock or signals.unblock_all)
    return _run_user_code(work, purpose)


def _run_user_code(work: Work, purpose: _Purpose) -> int:
    """Run user code, and end as a program does.

    Returns the exit status; a negative one is a signal.
    """
    process, code, error = os.getpid(), work.loaded, None
    try:
        try:
            code = code or load_code(work.app, work.config)
            purpose.act(work, code)
        finally:
            results.close()
    except BaseException as raised:  # noqa: BLE001 - nothing of user code's may pass this line
        error = raised
    exit_status = DONE if error is None else _judge(work, purpose, error)
    if not _end_as_a_program(work, purpose, exit_status):
        exit_status = exit_status or FAILED
    is_forked_by_user_code = os.getpid() != process
    job_exit = code.job_exit if code is not None and purpose.is_job else None
    if job_exit is not None and not is_forked_by_user_code:
        _run_job_exit(work, job_exit, exit_status, error)
    return exit_status


def _judge(work: Work, purpose: _Purpose, error: BaseException) -> int:
    """The exit status that an exception of user code comes to; the shared page has it then."""
    if isinstance(error, Unusable):
        _log_refusal(work, str(error))
    exit_status = status.of(error, work.page)
    if exit_status and purpose.is_job:
        # An exit function that calls os._exit(0) does not make a success of it.
        work.page.write(failed=exit_status)
    is_asked_for = exit_status in (DONE, RETRY) or isinstance(error, results.Stopped)
    if not is_asked_for:
        errors.write(work.page, purpose.error_key, error)
    return exit_status


def _end_as_a_program(work: Work, purpose: _Purpose, exit_status: int) -> bool:
    """Do what a program's end does.

    False if something that user code counts on could not be done.
    """

    def note_unwritten(error: BaseException) -> None:
        status.complain(
            f"fleet: what was written could not be written out\n{errors.format_trace(error)}"
        )
        if exit_status == DONE:
            errors.write(work.page, purpose.error_key, error)

    is_whole = not end.is_there_any() or _finish(work, exit_status)
    return outputs.flush(note_unwritten) and is_whole


def _finish(work: Work, exit_status: int) -> bool:
    """All of the end but the files; as `end.finish`."""
    since = 0.0

    def note_wait(what: str) -> None:
        nonlocal since
        since = since or now()
        work.page.write(result=exit_status, waits=what, since=since)

    return end.finish(note_wait, lambda error: _log_ignored(work, error))


def _run_job_exit(
    work: Work,
    hook: Callable[[BaseException | None], object],
    exit_status: int,
    error: BaseException | None,
) -> None:
    """Call --job-exit.

    All else is done by then, and noted: however this process ends now, that is what its job came
    to.
    """
    work.page.write(done=exit_status, since=now())
    try:
        try:
            results.resolve_unused(hook(error))
        finally:
            results.close()
    except BaseException as failure:  # noqa: BLE001 - it changes nothing
        fields = errors.describe(failure)
        status.complain(errors.format_trace(failure))
        log.start_in_child(2)
        why = f"{fields['error_type']} at {fields['where']}"
        log.emit("job_exit.failed", **_fields(work), why=why, **fields)
    end.finish(lambda _: None, lambda raised: _log_ignored(work, raised))
    outputs.flush(lambda raised: _log_ignored(work, raised))


# What is logged


def _log_ignored(work: Work, error: BaseException) -> None:
    """Ignore an exception as Python does, which says that it was raised."""
    status.complain(errors.format_trace(error))
    log.start_in_child()
    log.emit("job.ignored", **_fields(work), **errors.describe(error))


def _log_refusal(work: Work, why: str) -> None:
    """Say that the body cannot be used.

    What is in it is for debugging only, and quoted: anybody may have written it.
    """
    log.start_in_child(2)
    log.emit("body.refused", **_fields(work), why=why)
    log.emit("body.quoted", **_fields(work), body=ascii(work.message.body[:MOST_QUOTED]))


def _fields(work: Work) -> dict[str, Any]:
    about = {"slot": work.slot, "queue": queue_name(work.queue)}
    return about | {"message_id": work.message.id, "attempt": work.message.attempt}
