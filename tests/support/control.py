"""A client of a pool's control socket."""

import json
import socket
from pathlib import Path
from typing import Any

from fleet.ipc import pool_socket
from tests.support.pool import Home, run_fleet


def socket_of(home: Home) -> Path:
    """The only control socket there is."""
    (path,) = (home.directory / "run" / "fleet").glob("*.sock")
    return path


def status(home: Home, *name: str) -> dict[str, Any]:
    told = run_fleet(home, "status", "--json", *name)
    assert told.status == 0, told.errors
    found: dict[str, Any] = json.loads(told.output)
    return found


def connect(path: Path) -> socket.socket:
    return pool_socket.connect(path, 30)


def exchange(path: Path, line: bytes) -> Any:
    with connect(path) as end:
        end.sendall(line)
        with end.makefile("rb") as answer:
            return json.loads(answer.read())
