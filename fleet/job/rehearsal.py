"""Runs fleet's own part of a job in the template, before the app is imported.

CPython (3.11 and newer) finds out in a function's first dozens of runs how it is run best, and
writes that into the function's code. A job runs each function once: without this it would write in
vain, and copy each page that it writes to.

docs/decisions/0033 has the reasons.
"""

import atexit
import os
import sys
from collections.abc import Iterable

from fleet.core.config import Config
from fleet.core.queue import Message
from fleet.ipc.shared_page import SharedPage
from fleet.job import api, message_variables, process
from fleet.job.user_code import UserCode

TIMES = 32  # more make no difference


def rehearse(open_fds: Iterable[int]) -> None:
    """Do all of a job but what makes it a process of its own.

    It calls no user code, says nothing, and leaves nothing but the title of a job. `open_fds` are
    all that are open.
    """
    # Exit functions would be called, and forgotten; threads would be waited for. There are some
    # only where a debugger or a coverage tool has come before us.
    if atexit._ncallbacks() or "threading" in sys.modules:
        return
    before = dict(os.environ)
    work = process.Work(
        app="rehearsal",
        config=Config(),
        loaded=UserCode(_do_nothing),
        queue="rehearsal",
        slot=0,
        message=Message("rehearsal", "", ""),
        keep_fds=sorted(open_fds),
        page=SharedPage(),
    )
    for _ in range(TIMES):
        process.rehearse_job(work)
    for name in message_variables.NAMES:
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]
    api.forget_message()


def _do_nothing(_body: str) -> None:
    pass
