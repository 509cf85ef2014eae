"""Names to addresses, in time.

The resolver knows no time-out, so a child asks it, and is killed if it is late.

docs/decisions/0017 has the reasons.
"""

import json
import os
import select
import socket
from math import ceil
from typing import Any, NoReturn

from fleet.core.exit_codes import DONE
from fleet.system import processes

Addresses = list[tuple[socket.AddressFamily, Any]]
"""Where to connect to, best first: a family, and an address as its sockets take it."""


def resolve(host: str, port: int, _seconds: float) -> Addresses:
    """The addresses of a host, however long that takes. Raises OSError."""
    infos = socket.getaddrinfo(_plain(host), port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in infos]


def resolve_in_time(host: str, port: int, seconds: float) -> Addresses:
    """The addresses of a host, for a process that must not be late.

    Raises OSError, TimeoutError when no name server has answered in time.
    """
    try:  # a number needs no resolver
        numeric = socket.AI_NUMERICHOST
        infos = socket.getaddrinfo(_plain(host), port, type=socket.SOCK_STREAM, flags=numeric)
        return [(family, address) for family, _, _, _, address in infos]
    except socket.gaierror:
        answer = _ask_child(host, port, seconds)
    if "failed" in answer:
        raise socket.gaierror(*answer["failed"])
    return [(socket.AddressFamily(family), tuple(address)) for family, address in answer["found"]]


def _plain(host: str) -> str | bytes:
    """The host as getaddrinfo shall take it.

    For a `str` Python imports its tables of international names, each dispatcher for itself.
    """
    return host.encode() if host.isascii() else host


def _ask_child(host: str, port: int, seconds: float) -> dict[str, list[Any]]:
    """The child's answer: `found` or `failed`. Raises OSError, TimeoutError."""
    us, child = os.getpid(), -1
    reader, writer = os.pipe()
    try:
        try:
            child = processes.fork_with_signals_blocked()
            if child == 0:
                _answer_in_child(us, host, port, writer)
        finally:
            os.close(writer)
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        text = os.read(reader, 1 << 16) if poll.poll(ceil(seconds * 1000)) else b""
    finally:
        os.close(reader)
        if child > 0:
            processes.kill(child, processes.KILL)
            processes.await_child(child)
    if not text:
        raise TimeoutError(f"{host} was not found in time")
    answer: dict[str, list[Any]] = json.loads(text)
    return answer


def _answer_in_child(parent: int, host: str, port: int, writer: int) -> NoReturn:
    """Write one packet, and end."""
    try:
        if processes.die_with_parent(parent, processes.KILL):
            try:
                answer: dict[str, object] = {"found": resolve(host, port, 0)}
            except socket.gaierror as error:
                answer = {"failed": error.args}
            os.write(writer, json.dumps(answer).encode())
    finally:
        processes.exit_at_once(DONE)
