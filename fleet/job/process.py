"""Inside the job's process, and the exit handler's: become a process of its own, call user code,
end as programs do.

    own process ──▶ --job-init ──▶ transformer, router ──▶ job ──▶ status ──▶ threads, exit functions, files ──┐
                                                                              --job-exit ◀────────────────────┘

Runs in the fork child of a dispatcher, from `run` or `handle` on, and never returns. All user code
but the app's import runs here. Nothing here talks to the queue or the master.
"""

import inspect
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from fleet.core.arguments import Call, routed, transformed
from fleet.core.config import Config
from fleet.core.exit_codes import DONE, FAILED, RETRY
from fleet.core.failure import Failure
from fleet.core.queue import Message
from fleet.core.sns import Unusable
from fleet.ipc.shared_page import SharedPage
from fleet.job import api, bodies, end, errors, outputs, own_process, results, status
from fleet.job.call import Loaded, load_code
from fleet.system import log, processes
from fleet.system.clock import now

MOST_QUOTED = 1000  # characters of a body that cannot be used


@dataclass(frozen=True, slots=True)
class Work:
    """What a job process needs to know.

    `call`: what to call, if that is known already; else what is `loaded` says, or, without that,
    what the options name. `keep_fds`, sorted: the
    descriptors that stay open, None for all. `as_imported`: puts the process into the state in
    which the import has left it.
    """

    app: str
    config: Config
    loaded: Loaded | None
    queue: str
    slot: int
    message: Message
    keep_fds: Sequence[int] | None
    page: SharedPage
    call: Call | None = None
    as_imported: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What a process of user code is there for. `error` is the name under which its exception is on
    the slip.
    """

    title: str
    act: Callable[[Work, Loaded], None]
    error: str
    has_hook: bool


def run(work: Work, dispatcher: int) -> NoReturn:
    """Be the job. Signals are blocked when this begins."""
    _be(work, dispatcher, Part(f"job {work.app}", _called, "error", has_hook=True))


def handle(work: Work, dispatcher: int) -> NoReturn:
    """Be the exit handler of a job that was stopped, or died. Signals are blocked when this begins."""
    _be(
        work,
        dispatcher,
        Part(f"exit handler of {work.app}", _handled, "handler_error", has_hook=False),
    )


def report(work: Work, failure: Failure, dispatcher: int) -> NoReturn:
    """Be the --on-failure hook of a job that has failed. Signals are blocked when this begins."""

    def act(_work: Work, loaded: Loaded) -> None:
        if loaded.on_failure is not None:
            results.all_finished(loaded.on_failure(failure))

    _be(
        work,
        dispatcher,
        Part(f"on-failure hook of {work.app}", act, "hook_error", has_hook=False),
    )


def _be(work: Work, dispatcher: int, part: Part) -> NoReturn:
    code = FAILED
    try:
        own_process.become(dispatcher, work.keep_fds)
        work.page.own()
        if work.as_imported is not None:
            work.as_imported()
        own_process.introduce(work.message, work.queue, work.slot, part.title)
        own_process.forget_the_parents(work.keep_fds)
        own_process.heed_signals(work.page)
        code = _live(work, part)
    except BaseException as error:  # noqa: BLE001 - a fault of ours; it must not end in silence
        errors.note(work.page, part.error, error)
        status.complain(f"fleet: a fault of its own in a job's process\n{traceback.format_exc()}")
        outputs.flush(lambda _: None)
    finally:
        processes.exit_as(code)


def _live(work: Work, part: Part) -> int:
    """User code, and the end of its process. Returns the exit status; a negative one is a signal."""
    us, loaded, error = os.getpid(), work.loaded, None
    try:
        try:
            loaded = loaded or load_code(work.app, work.config)
            part.act(work, loaded)
        finally:
            results.close()
    except BaseException as raised:  # noqa: BLE001 - nothing that user code raises may pass this line
        error = raised
    code = _status(work, part, error)
    if not _ended(work, part, code):
        code = code or FAILED
    if part.has_hook and loaded is not None and loaded.job_exit is not None and os.getpid() == us:
        _last_word(work, loaded.job_exit, code, error)
    return code


def _status(work: Work, part: Part, error: BaseException | None) -> int:
    """What user code came to; what ended it badly is on the slip then."""
    if isinstance(error, Unusable):
        _refuse(work, str(error))
    code = status.of(error, work.page)
    if (
        code and part.has_hook
    ):  # an exit function that calls os._exit(0) does not make a success of it
        work.page.write(failed=code)
    if error is not None and code not in (DONE, RETRY) and not isinstance(error, results.Stopped):
        errors.note(work.page, part.error, error)
    return code


def _ended(work: Work, part: Part, code: int) -> bool:
    """What a program's end does. False: something that user code counts on could not be done."""
    since = 0.0

    def waits(what: str) -> None:
        nonlocal since
        since = since or now()
        work.page.write(result=code, waits=what, since=since)

    def unwritten(error: BaseException) -> None:
        status.complain(f"fleet: what was written could not be written out\n{errors.trace(error)}")
        if code == DONE:
            errors.note(work.page, part.error, error)

    whole = end.finish(waits, lambda error: _ignored(work, error))
    return outputs.flush(unwritten) and whole


def _last_word(
    work: Work,
    hook: Callable[[BaseException | None], object],
    code: int,
    error: BaseException | None,
) -> None:
    """--job-exit. All is done by then, and noted: however this process ends now, that is what its
    job came to.
    """
    work.page.write(done=code, since=now())
    try:
        try:
            results.all_finished(hook(error))
        finally:
            results.close()
    except BaseException as failure:  # noqa: BLE001 - it changes nothing
        told = errors.told_of(failure)
        status.complain(errors.trace(failure))
        log.start_in_child(2)
        log.emit(
            "job_exit.failed",
            **_about(work),
            why=f"{told['error_type']} at {told['where']}",
            **told,
        )
    end.finish(lambda _: None, lambda raised: _ignored(work, raised))
    outputs.flush(lambda raised: _ignored(work, raised))


def _ignored(work: Work, error: BaseException) -> None:
    """As Python does, with a word."""
    status.complain(errors.trace(error))
    log.start_in_child()
    log.emit("job.ignored", **_about(work), **errors.told_of(error))


# User code.


def _call(work: Work, loaded: Loaded) -> Call:
    """Body, router and transformer are read and run here, in the process that their failure may
    cost.
    """
    if work.call is not None:
        return work.call
    if work.config.body == "sns":
        api.begin_notification(bodies.notification(work.config, work.message))
    if loaded.router is not None:
        return routed(results.finished(loaded.router(work.message)))
    if loaded.transformer is not None:
        value = results.finished(loaded.transformer(work.message))
        return Call(loaded.job, *transformed(value), loaded.exit_handler)
    given = (
        api.notification().message
        if work.config.body == "sns"
        else bodies.argument(work.config, work.message)
    )
    return Call(loaded.job, (given,), {}, loaded.exit_handler)


def _called(work: Work, loaded: Loaded) -> None:
    with status.not_called_yet():
        if loaded.job_init is not None:
            results.all_finished(loaded.job_init())
        call = _call(work, loaded)
    if call.routed:
        work.page.write(handler=call.exit_handler is not None)
    results.all_finished(call.job(*call.args, **call.kwargs))


def _handled(work: Work, loaded: Loaded) -> None:
    """The handler gets the job's arguments, and the message if it takes one."""
    try:
        with status.not_called_yet():
            call = _call(work, loaded)
    except Unusable:  # the job was never called: there is nothing to clean up after it
        return
    handler = call.exit_handler or loaded.exit_handler
    if handler is not None:
        results.all_finished(
            handler(*call.args, **call.kwargs, **_message_for(handler, call, work.message))
        )


def _message_for(
    handler: Callable[..., object], call: Call, message: Message
) -> dict[str, Message]:
    """`queue_message` or `message`, if the handler takes one and the job's arguments do not fill
    it.
    """
    try:
        signature = inspect.signature(handler)
        taken = signature.bind_partial(*call.args, **call.kwargs).arguments
    except (
        TypeError,
        ValueError,
    ):  # a builtin without a signature; or a call that will say itself what is wrong
        return {}
    takes_any = any(
        each.kind is inspect.Parameter.VAR_KEYWORD for each in signature.parameters.values()
    )
    for name in ("queue_message", "message"):
        if name in signature.parameters and name not in taken:
            return {name: message}
    return (
        {"message": message}
        if takes_any and "message" not in call.kwargs and "message" not in taken
        else {}
    )


def _refuse(work: Work, why: str) -> None:
    """The body cannot be used. What is in it is for debugging only, and quoted: it may be
    anybody's.
    """
    log.start_in_child(2)
    log.emit("body.refused", **_about(work), why=why)
    log.emit("body.quoted", **_about(work), body=ascii(work.message.body[:MOST_QUOTED]))


def _about(work: Work) -> dict[str, Any]:
    return {"slot": work.slot, "message_id": work.message.id, "attempt": work.message.attempt}
