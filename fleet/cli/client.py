"""What the commands that talk to a running pool share: find it, ask it, say what it answers."""

import json
import os
import select
from typing import Any

from fleet.cli.base import NO, Failure
from fleet.core.control import encode_answer
from fleet.core.exit_codes import USAGE
from fleet.ipc import pool_socket
from fleet.ipc.pool_socket import Place
from fleet.system import processes

PATIENCE = 10.0  # seconds for an answer
GOING = 5.0  # seconds for the end of a pool that hears nobody any more
LARGEST_PIECE = 65_536


class Gone(Failure):
    """The pool has ended before it could answer."""


def found(name: str | None) -> Place:
    """The pool of that name, or the only one that runs here. Raises Failure."""
    try:
        places = pool_socket.pools()
    except OSError as error:
        raise Failure(
            USAGE, f"the runtime directory cannot be read: {error}; XDG_RUNTIME_DIR names it"
        ) from None
    named = [place for place in places if name in (None, place.name)]
    if len(named) == 1:
        return named[0]
    listed = ", ".join(place.name for place in places)
    if len(named) > 1:
        raise Failure(USAGE, f"several pools run here, name one: {listed}")
    if name is None:
        raise Failure(NO, "no pool runs here (for this user)")
    raise Failure(
        NO, f"no pool named {name!r} runs here" + (f"; there are {listed}" if listed else "")
    )


def ask(place: Place, command: str, **fields: Any) -> dict[str, Any]:
    """What the pool answers. Raises Failure when it refuses, or does not answer; Gone when it has
    ended meanwhile.

    A master closes its socket before it ends, and holds its name until then.
    """
    try:
        found = json.loads(_exchange(place, encode_answer(command=command, **fields)))
    except TimeoutError:
        raise Failure(
            NO, f"pool {place.name} (pid {place.pid}) does not answer within {PATIENCE:g} s"
        ) from None
    except (OSError, ValueError) as error:
        if await_end(place.pid, GOING):
            raise Gone(NO, f"pool {place.name} (pid {place.pid}) has just ended") from None
        raise Failure(
            NO, f"pool {place.name} (pid {place.pid}) cannot be asked: {error or 'no answer'}"
        ) from None
    if not isinstance(found, dict) or not found.get("ok"):
        raise Failure(
            USAGE, f"pool {place.name}: {found.get('error') if isinstance(found, dict) else found}"
        )
    return found


def _exchange(place: Place, line: bytes) -> bytes:
    heard = b""
    with pool_socket.connect(place.control, PATIENCE) as end:
        end.sendall(line)
        while piece := end.recv(LARGEST_PIECE):
            heard += piece
    return heard


def await_end(pid: int, seconds: float | None) -> bool:
    """Whether the process has ended within the time (None: for ever)."""
    try:
        pidfd = processes.open_pidfd(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    try:
        return bool(poll.poll(None if seconds is None else seconds * 1000))
    finally:
        os.close(pidfd)
