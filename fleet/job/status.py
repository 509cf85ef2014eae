"""The exception that ended user code → the exit status, said as Python says it.

| it raised                         | status                                                              |
|-----------------------------------|---------------------------------------------------------------------|
| nothing                           | 0                                                                   |
| fleet.Retry                       | 75, its delay on the slip                                           |
| fleet.Reject                      | 65, its reason on the slip                                          |
| SystemExit                        | as CPython ends: the low byte, 255 for what fits into no C long, 1  |
|                                   | for a text; what CPython would cut to 0 is 255: nobody meant success |
| what SIGTERM cancelled            | none: it ends by that signal (-15)                                  |
| KeyboardInterrupt                 | none, as CPython: it ends by SIGINT (-2)                            |
| anything else                     | 1                                                                   |
"""

import contextlib
import signal
import sys
import traceback
from collections.abc import Iterator

from fleet.core.exit_codes import DONE, FAILED, REJECT, RETRY, TRUNCATED
from fleet.ipc.shared_page import SharedPage
from fleet.job import api, errors, results
from fleet.system import log

MOST_REASON = 500  # characters
_LONG = 1 << 63


def of(error: BaseException | None, page: SharedPage) -> int:
    """The status; a negative one is a signal. What was asked for is on the slip then, and the rest
    has been said.
    """
    match error:
        case None:
            return DONE
        case results.Stopped():
            return -signal.SIGTERM
        case SystemExit():
            return _leaving(error)
        case api.Retry():
            page.write(after=_after(error))
            return RETRY
        case api.Reject():
            page.write(reason=errors.text(error)[:MOST_REASON])
            return REJECT
        case KeyboardInterrupt():
            _say(error)
            return -signal.SIGINT
    _say(error)
    return FAILED


@contextlib.contextmanager
def not_called_yet() -> Iterator[None]:
    """What leaves with 0 here has not done the job: taken for a success its message would be
    deleted.
    """
    try:
        yield
    except SystemExit as left:
        if _leaving(left) == DONE:
            raise results.NotDone("it left with exit status 0 before it was called") from left
        raise


def complain(text: str) -> None:
    """To standard error, if there is one; in a log of objects an event says it."""
    if not log.is_json():
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)


def _leaving(error: SystemExit) -> int:
    try:
        code = error.code
    except Exception:  # noqa: BLE001 - a class of the app's
        code = errors.text(error)
    if code is None:
        return DONE
    if not isinstance(code, int):
        complain(f"{errors.text(code)}\n")
        return FAILED
    number = int.__index__(code)
    if not -_LONG <= number < _LONG or (number and not number & 0xFF):
        return TRUNCATED
    return number & 0xFF


def _after(error: api.Retry) -> float:
    try:
        return max(0.0, float(error.after))
    except (TypeError, ValueError):  # somebody has changed it
        return 0.0


def _say(error: BaseException) -> None:
    """By the app's own sys.excepthook if it has set one, as Python does at a program's end."""
    hook = getattr(sys, "excepthook", sys.__excepthook__)  # an app may have deleted it
    if hook is sys.__excepthook__ or isinstance(error, errors.OURS):
        complain(errors.trace(error))
        return
    try:
        hook(type(error), error, errors.own(error))
    except BaseException as another:  # noqa: BLE001 - whatever it raises, the job has failed already
        complain(
            f"Error in sys.excepthook:\n{_trace(another)}\nOriginal exception was:\n{errors.trace(error)}"
        )


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
