"""The exception that ended a job, for its dispatcher: type, text, place and traceback, all bounded.

The job's process writes it on the shared page, and its dispatcher reads it, and trusts nothing of
it. Exception texts may hold anything: the caller decides where they may be shown.
"""

import os
import traceback
from types import TracebackType

from fleet.core.sns import Unusable
from fleet.ipc.shared_page import SharedPage
from fleet.job.loader import AppError
from fleet.job.results import NotDone

MOST_TYPE, MOST_MESSAGE, MOST_WHERE, MOST_TRACEBACK = 100, 500, 200, 2_500  # characters
NO_FRAME = "its call"  # no code of the app's has run; or the traceback is gone
_STANDARD_LIBRARY = os.__file__.rpartition("/")[0]
_NOT_THE_APPS = (__file__.rpartition("/")[0], f"{_STANDARD_LIBRARY}/asyncio")

RAISED_BY_FLEET = (AppError, Unusable, NotDone)  # none of the app's code has raised


def format_trace(error: BaseException) -> str:
    """The whole traceback, without the frames of fleet's that it begins with."""
    match error:
        case AppError():
            return f"{error.trace}fleet: {error}\n"
        case Unusable():  # no code of the app's has run
            return ""
        case NotDone():  # none of it has raised
            return f"fleet: {error}\n"
        case _:
            return "".join(traceback.format_exception(type(error), error, traceback_of_app(error)))


def write(page: SharedPage, key: str, error: BaseException) -> None:
    """Write it on the page under that key; of a traceback that does not fit, the end."""
    fields = describe(error)
    record = {"type": fields["error_type"], "message": fields["error"], "where": fields["where"]}
    trace = fields["traceback"]
    while not page.write(**{key: record | {"traceback": trace}}) and trace:
        trace = trace[len(trace) // 2 + 1 :]


def describe(error: BaseException) -> dict[str, str]:
    """The flat fields of an event."""
    return {
        "error_type": type(error).__name__[:MOST_TYPE],
        "error": text_of(error)[:MOST_MESSAGE],
        "where": _locate(error)[:MOST_WHERE],
        "traceback": format_trace(error)[-MOST_TRACEBACK:],
    }


def read(page: SharedPage, key: str) -> dict[str, str]:
    """What is written under that key, as the flat fields of an event; empty if nothing is."""
    record = page.read().get(key)
    if not isinstance(record, dict):
        return {}
    return {
        "error_type": _in_one_line(record.get("type"), MOST_TYPE),
        "error": str(record.get("message"))[:MOST_MESSAGE],
        "where": _in_one_line(record.get("where"), MOST_WHERE),
        "traceback": str(record.get("traceback"))[-MOST_TRACEBACK:],
    }


def _in_one_line(value: object, most: int) -> str:
    """The text in one line: it stands in the middle of a sentence."""
    return " ".join(str(value).split())[:most]


def traceback_of_app(error: BaseException) -> TracebackType | None:
    """The traceback from the app's first frame on.

    In front of it are fleet's frames and, where something was awaited, the event loop's.
    """
    trace = error.__traceback__
    while (
        trace is not None and trace.tb_frame.f_code.co_filename.rpartition("/")[0] in _NOT_THE_APPS
    ):
        trace = trace.tb_next
    return trace


def _locate(error: BaseException) -> str:
    """`work.py:3 in job`: the innermost frame that is no library's, else the innermost one."""
    match error:
        case AppError() if error.__context__ is not None:
            return _locate(error.__context__)
        case Unusable():
            return "its body"
        case NotDone() if error.__cause__ is not None:
            return _locate(error.__cause__)
        case NotDone():
            return "its end"
    place, innermost = "", NO_FRAME
    trace = traceback_of_app(error)
    while trace is not None:
        code = trace.tb_frame.f_code
        innermost = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} in {code.co_name}"
        if not _is_of_a_library(code.co_filename):
            place = innermost
        trace = trace.tb_next
    return place or innermost


def _is_of_a_library(file: str) -> bool:
    return (
        file.startswith((_STANDARD_LIBRARY, "<frozen "))
        or "/site-packages/" in file
        or "/dist-packages/" in file
    )


def text_of(error: object) -> str:
    """As str(), whatever that does."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - it is the app's own code that says what has happened
        return "<its text cannot be had>"
