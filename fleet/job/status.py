"""From the exception that ended user code to the exit status; the exception is shown as by Python.

| user code raised       | exit status                                                        |
|------------------------|--------------------------------------------------------------------|
| nothing                | 0                                                                  |
| fleet.Retry            | 75, its delay on the shared page                                   |
| fleet.Reject           | 65, its reason on the shared page                                  |
| SystemExit             | as CPython ends: the low byte, 255 for what fits into no C long, 1 |
|                        | for a text; what CPython would cut to 0 is 255: no success is meant |
| what SIGTERM cancelled | none: it ends by that signal (-15)                                 |
| KeyboardInterrupt      | none, as CPython: it ends by SIGINT (-2)                           |
| anything else          | 1                                                                  |
"""

import contextlib
import signal
import sys
import traceback

from fleet.core.exit_codes import DONE, FAILED, REJECT, RETRY, TRUNCATED
from fleet.ipc.shared_page import SharedPage
from fleet.job import api, errors, results
from fleet.system import log

MOST_REASON = 500  # characters
_LONG = 1 << 63


def of(error: BaseException, page: SharedPage) -> int:
    """The exit status that it comes to; a negative one is a signal.

    What the job asked for is on the page then, and any other exception has been shown.
    """
    match error:
        case results.Stopped():
            return -signal.SIGTERM
        case SystemExit():
            return _of_system_exit(error)
        case api.Retry():
            page.write(after=_delay_of(error))
            return RETRY
        case api.Reject():
            page.write(reason=errors.text_of(error)[:MOST_REASON])
            return REJECT
        case KeyboardInterrupt():
            _show(error)
            return -signal.SIGINT
    _show(error)
    return FAILED


def refuse_early_success(left: SystemExit) -> None:
    """Refuse an exit with status 0 before the job was called.

    Taken for a success, such an exit would delete the message of a job that was not done. Raises
    NotDone.
    """
    if _of_system_exit(left) == DONE:
        raise results.NotDone("it left with exit status 0 before it was called") from left


def complain(text: str) -> None:
    """Write to standard error, if there is one; in a log of JSON objects an event says it."""
    if not log.is_json():
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)


def _of_system_exit(error: SystemExit) -> int:
    try:
        code = error.code
    except Exception:  # noqa: BLE001 - a class of the app's
        code = errors.text_of(error)
    if code is None:
        return DONE
    if not isinstance(code, int):
        complain(f"{errors.text_of(code)}\n")
        return FAILED
    number = int.__index__(code)
    if not -_LONG <= number < _LONG or (number and not number & 0xFF):
        return TRUNCATED
    return number & 0xFF


def _delay_of(error: api.Retry) -> float:
    try:
        return max(0.0, float(error.after))
    except (TypeError, ValueError):  # the app has set it to something else
        return 0.0


def _show(error: BaseException) -> None:
    """Show it as Python does at a program's end: by the app's own sys.excepthook, if it has one."""
    hook = getattr(sys, "excepthook", sys.__excepthook__)  # an app may have deleted it
    if hook is sys.__excepthook__ or isinstance(error, errors.RAISED_BY_FLEET):
        complain(errors.format_trace(error))
        return
    try:
        hook(type(error), error, errors.traceback_of_app(error))
    except BaseException as another:  # noqa: BLE001 - the job has failed already
        of_hook = "".join(traceback.format_exception(another))
        original = errors.format_trace(error)
        complain(f"Error in sys.excepthook:\n{of_hook}\nOriginal exception was:\n{original}")
