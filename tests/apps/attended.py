"""An app that starts processes of its own at its import: a child, and one that has left its parent
and its session.
"""

import os
import signal

from jobs import job, write


def start() -> None:
    """Both name themselves; neither ends by itself."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            write("attendant", "child")
        else:
            write("attendant", "orphan")
        os.close(writer)
        signal.pause()
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)  # the end of the file says that both have written their lines
    os.close(reader)


start()
if "APP_FAILS" in os.environ:
    raise RuntimeError("the attendants do not attend")

__all__ = ["job"]
