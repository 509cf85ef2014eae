"""The exception that ended a job, as its dispatcher is told: type, text, where, traceback; all
bounded.

Written in the job's process, read in the dispatcher's, where nothing of it is trusted. Exception
texts may hold anything: the caller decides where they may be shown.
"""

import os
import traceback
from pathlib import Path
from types import TracebackType

from fleet.core.sns import Unusable
from fleet.ipc.shared_page import SharedPage
from fleet.job.loader import AppError
from fleet.job.results import NotDone

MOST_TYPE, MOST_MESSAGE, MOST_WHERE, MOST_TRACEBACK = 100, 500, 200, 2_500  # characters
NO_FRAME = "its call"  # no code of the app's has run; or the traceback is gone
_LIBRARY = str(Path(os.__file__).parent)
_OURS, _LOOP = Path(__file__).parent, Path(_LIBRARY, "asyncio")

OURS = (AppError, Unusable, NotDone)  # none of the app's code has raised


def trace(error: BaseException) -> str:
    """The whole traceback, without the frames of ours that it begins with."""
    match error:
        case AppError():
            return f"{error.trace}fleet: {error}\n"
        case Unusable():  # no code of the app's has run
            return ""
        case NotDone():  # none of it has raised
            return f"fleet: {error}\n"
        case _:
            return "".join(traceback.format_exception(type(error), error, own(error)))


def note(page: SharedPage, name: str, error: BaseException) -> None:
    """Write it on the slip under that name; of a traceback that does not fit, the end."""
    flat = told_of(error)
    found = {"type": flat["error_type"], "message": flat["error"], "where": flat["where"]}
    lines = flat["traceback"]
    while not page.write(**{name: found | {"traceback": lines}}) and lines:
        lines = lines[len(lines) // 2 + 1 :]


def told_of(error: BaseException) -> dict[str, str]:
    """The flat fields of an event."""
    return {
        "error_type": type(error).__name__[:MOST_TYPE],
        "error": text(error)[:MOST_MESSAGE],
        "where": _where(error)[:MOST_WHERE],
        "traceback": trace(error)[-MOST_TRACEBACK:],
    }


def told(page: SharedPage, name: str) -> dict[str, str]:
    """What is written there, as the flat fields of an event; nothing if nothing is."""
    found = page.read().get(name)
    if not isinstance(found, dict):
        return {}
    return {
        "error_type": _word(found.get("type"), MOST_TYPE),
        "error": str(found.get("message"))[:MOST_MESSAGE],
        "where": _word(found.get("where"), MOST_WHERE),
        "traceback": str(found.get("traceback"))[-MOST_TRACEBACK:],
    }


def _word(value: object, most: int) -> str:
    """In one line: it stands in the middle of a sentence."""
    return " ".join(str(value).split())[:most]


def own(error: BaseException) -> TracebackType | None:
    """The traceback from the app's first frame on; of what was awaited, the event loop's frames
    come before it too.
    """
    found = error.__traceback__
    while found is not None and Path(found.tb_frame.f_code.co_filename).parent in (_OURS, _LOOP):
        found = found.tb_next
    return found


def _where(error: BaseException) -> str:
    """`work.py:3 in job`: the innermost frame that is no library's, else the innermost one."""
    match error:
        case AppError() if error.__context__ is not None:
            return _where(error.__context__)
        case Unusable():
            return "its body"
        case NotDone() if error.__cause__ is not None:
            return _where(error.__cause__)
        case NotDone():
            return "its end"
    found, innermost = "", NO_FRAME
    frame = own(error)
    while frame is not None:
        code = frame.tb_frame.f_code
        innermost = f"{Path(code.co_filename).name}:{frame.tb_lineno} in {code.co_name}"
        if not _is_librarys(code.co_filename):
            found = innermost
        frame = frame.tb_next
    return found or innermost


def _is_librarys(file: str) -> bool:
    return (
        file.startswith((_LIBRARY, "<frozen "))
        or "/site-packages/" in file
        or "/dist-packages/" in file
    )


def text(error: object) -> str:
    """As str(), whatever that does."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - it is the app's own code that says what has happened
        return "<its text cannot be had>"
