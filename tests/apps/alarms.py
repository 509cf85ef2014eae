"""An app that takes signals for itself at its import, as some do: its jobs have them, fleet's
processes do not.
"""

import os
import signal

import jobs
from jobs import VERBS, write


def told(number: int, _frame: object) -> None:
    write(signal.Signals(number).name, "a handler of the app's")


def alarm(_argument: str) -> None:
    """Have an alarm of our own, and wait for it."""
    # Again, should the first come before the pause.
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.1)
    signal.pause()
    signal.setitimer(signal.ITIMER_REAL, 0)


def pipe(_argument: str) -> None:
    """Write to nobody, as a filter does."""
    reader, writer = os.pipe()
    os.close(reader)
    os.write(writer, b"?")


for taken in (signal.SIGALRM, signal.SIGUSR1, signal.SIGTERM):
    signal.signal(taken, told)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
VERBS["alarm"] = alarm
VERBS["pipe"] = pipe

job = jobs.job
