"""Runs `python -m fleet …`, given as arguments, with a master that has a fault of its own.

    faulty_master.py WHERE python -m fleet start …

The fault comes with SIGUSR1, in what makes the table of slots, and if WHERE says so, in what comes
after it, too.
"""

import sys
from typing import Any

from fleet.cli.main import main
from fleet.master import farewell
from fleet.master.control_socket import ControlSocket
from fleet.master.display import Display
from fleet.system import log

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
sys.argv = ["fleet", *sys.argv[5:]]
main()
