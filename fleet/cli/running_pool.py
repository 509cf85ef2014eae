"""A running pool as the commands see it: find it, ask it for something, wait for its end."""

import json
import os
import select
from typing import Annotated, Any

import typer

from fleet.cli.common import say
from fleet.cli.failure import CommandFailed
from fleet.core.control import encode_answer
from fleet.core.exit_codes import DONE, NO, USAGE
from fleet.ipc import pool_socket
from fleet.ipc.pool_socket import RunningPool
from fleet.system import processes

PATIENCE = 10.0  # seconds for an answer
GOING = 5.0  # seconds for the end of a pool that answers nobody any more
LARGEST_PIECE = 65_536  # bytes

Name = Annotated[
    str | None, typer.Argument(help="The pool; not needed if only one runs here.", metavar="NAME")
]

# A list, so that a second one is refused and not taken in place of the first.
OneQueue = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        "-q",
        help="Of that queue alone, by its own name.",
        metavar="Q",
        show_default=False,
    ),
]


def one_queue(given: list[str] | None) -> str | None:
    """The queue that a command is about. Raises CommandFailed."""
    if not given:
        return None
    if len(given) > 1:
        raise CommandFailed(USAGE, f"one queue at a time: --queue {' --queue '.join(given)}")
    return given[0]


class PoolEnded(CommandFailed):
    """The pool has ended before it could answer."""


def find_pool(name: str | None) -> RunningPool:
    """The pool of that name, or the only one that runs here. Raises CommandFailed."""
    try:
        places = pool_socket.running_pools()
    except OSError as error:
        raise CommandFailed(
            USAGE, f"the runtime directory cannot be read: {error}; XDG_RUNTIME_DIR names it"
        ) from None
    named = [place for place in places if name in (None, place.name)]
    if len(named) == 1:
        return named[0]
    listed = ", ".join(place.name for place in places)
    if len(named) > 1:
        raise CommandFailed(USAGE, f"several pools run here, name one: {listed}")
    if name is None:
        raise CommandFailed(NO, "no pool runs here (for this user)")
    raise CommandFailed(
        NO, f"no pool named {name!r} runs here" + (f"; there are {listed}" if listed else "")
    )


def ask(place: RunningPool, command: str, **fields: Any) -> dict[str, Any]:
    """What the pool answers.

    Raises CommandFailed when it refuses, or does not answer; PoolEnded when it has ended meanwhile:
    a master closes its socket before it ends, and holds its name until then.
    """
    try:
        answered = json.loads(_exchange(place, encode_answer(command=command, **fields)))
    except TimeoutError:
        raise CommandFailed(
            NO, f"pool {place.name} (pid {place.pid}) does not answer within {PATIENCE:g} s"
        ) from None
    except (OSError, ValueError) as error:
        if await_end(place.pid, GOING):
            raise PoolEnded(NO, f"pool {place.name} (pid {place.pid}) has just ended") from None
        raise CommandFailed(
            NO, f"pool {place.name} (pid {place.pid}) cannot be asked: {error or 'no answer'}"
        ) from None
    if not isinstance(answered, dict):
        raise CommandFailed(USAGE, f"pool {place.name}: {answered}")
    if not answered.get("ok"):
        raise CommandFailed(USAGE, f"pool {place.name}: {answered.get('error')}")
    return answered


def ask_and_say(name: str | None, command: str, **fields: object) -> int:
    """One request to the pool of that name, whose answer is said; the exit status.

    What of the fields is None is not said.
    """
    place = find_pool(name)
    given = {key: value for key, value in fields.items() if value is not None}
    say(f"{place.name}: {ask(place, command, **given)['said']}")
    return DONE


def _exchange(place: RunningPool, request: bytes) -> bytes:
    """What the pool answers to a request, to its end. Raises OSError."""
    heard = b""
    with pool_socket.connect(place.control, PATIENCE) as end:
        end.sendall(request)
        while piece := end.recv(LARGEST_PIECE):
            heard += piece
    return heard


def await_end(pid: int, seconds: float | None) -> bool:
    """Whether the process has ended within the time (None: for ever, then it has)."""
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
