"""Runs `python -m fleet …`, given as arguments, with a master that has a fault of its own.

    faulty_master.py WHERE python -m fleet start …

The fault comes with SIGUSR1, in what makes the table of slots. WHERE says what else has one:
everywhere (what comes after it, too), step (the state machine, with SIGUSR2), spawn (the first two
programs that the master starts: there is no process to be had).
"""

import errno
import os
import sys
from typing import Any

from fleet.cli.main import main
from fleet.core.pool import step
from fleet.core.pool.events import StacksAsked
from fleet.master import farewell, loop
from fleet.master.control_socket import ControlSocket
from fleet.master.display import Display
from fleet.system import log, processes

WHERE = sys.argv[1]


def fault(*_arguments: Any, **_more: Any) -> Any:
    """What nobody has thought of."""
    raise RuntimeError("made by the test")


Display.table = fault  # type: ignore[method-assign]
if WHERE == "everywhere":
    for kind, name in (
        (ControlSocket, "close"),
        (farewell, "hang_up_on_all"),
        (farewell, "reap_quietly"),
        (farewell, "kill_all"),
    ):
        setattr(kind, name, fault)
    emit = log.emit
    log.emit = lambda event, /, **fields: (
        fault() if event.startswith("master.f") else emit(event, **fields)
    )
if WHERE == "step":
    loop.step = lambda pool, event, *more: (  # type: ignore[attr-defined]
        fault() if isinstance(event, StacksAsked) else step(pool, event, *more)
    )
if WHERE == "spawn":
    spawn, refused = processes.spawn_program, [1, 2]

    def spawn_program(*arguments: Any) -> int:
        """The kernel's, once it has said twice that there is none."""
        if refused:
            refused.pop()
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return spawn(*arguments)

    processes.spawn_program = spawn_program  # type: ignore[assignment]
sys.argv = ["fleet", *sys.argv[5:]]
main()
