"""Calls user code for one message: the job, or its exit handler.

Body, router and transformer are read and run here, in the process that their failure may cost.
"""

import inspect
from collections.abc import Callable
from typing import Any

from fleet.core.arguments import Call, arguments_of, call_of
from fleet.core.config import Config
from fleet.core.queue import Message
from fleet.core.sns import Unusable
from fleet.ipc.shared_page import SharedPage
from fleet.job import api, bodies, results, status
from fleet.job.user_code import UserCode


def call_job(
    code: UserCode, message: Message, config: Config, known: Call | None, page: SharedPage
) -> None:
    """Call --job-init and the job. `known`: the call, if it is known already."""
    try:
        if code.job_init is not None:
            results.resolve_unused(code.job_init())
        call = known or _make_call(code, message, config)
    except SystemExit as left:
        status.refuse_early_success(left)
        raise
    if call.routed:
        page.write(handler=call.exit_handler is not None)
    results.resolve_unused(call.job(*call.args, **call.kwargs))


def call_exit_handler(code: UserCode, message: Message, config: Config, known: Call | None) -> None:
    """Call the exit handler with the job's arguments, and the message if it takes one."""
    try:
        call = known or _make_call(code, message, config)
    except Unusable:  # the job was never called: there is nothing to clean up after it
        return
    except SystemExit as left:
        status.refuse_early_success(left)
        raise
    handler = call.exit_handler or code.exit_handler
    if handler is not None:
        further = _message_argument(handler, call, message)
        results.resolve_unused(handler(*call.args, **call.kwargs, **further))


def _make_call(code: UserCode, message: Message, config: Config) -> Call:
    """Raises Unusable, and what router or transformer raise."""
    if config.body == "sns":
        api.set_notification(bodies.notification(config, message))
    if code.router is not None:
        return call_of(results.resolve(code.router(message)))
    if code.transformer is not None:
        value = results.resolve(code.transformer(message))
        return Call(code.job, *arguments_of(value), code.exit_handler)
    return Call(code.job, (_read_body(config, message),), {}, code.exit_handler)


def _read_body(config: Config, message: Message) -> Any:
    if config.body == "sns":
        return api.notification().message
    return bodies.argument(config, message)


def _message_argument(
    handler: Callable[..., object], call: Call, message: Message
) -> dict[str, Message]:
    """The message's argument, if the handler takes one and the job's arguments do not fill it.

    Its name is `queue_message` or `message`.
    """
    try:
        signature = inspect.signature(handler)
        taken = signature.bind_partial(*call.args, **call.kwargs).arguments
    except (TypeError, ValueError):
        # A builtin without a signature; or a call that will say itself what is wrong with it.
        return {}
    for name in ("queue_message", "message"):
        if name in signature.parameters and name not in taken:
            return {name: message}
    takes_any = any(
        each.kind is inspect.Parameter.VAR_KEYWORD for each in signature.parameters.values()
    )
    if takes_any and "message" not in call.kwargs and "message" not in taken:
        return {"message": message}
    return {}
