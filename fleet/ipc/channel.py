"""Carries words (core/protocol.py) between two processes of a pool: a SOCK_SEQPACKET pair.

One packet is one word: a JSON list of the class's name and its fields. Both ends are fleet's own,
but the template and the dispatchers have imported the app, which may have changed what they say: a
packet is taken for a word only if its fields are of the right types.
"""

import contextlib
import json
import socket
import struct
from dataclasses import fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from fleet.core import protocol
from fleet.core.config import Config
from fleet.core.outcomes import Outcome, Settlement
from fleet.core.protocol import Plan, Word


class Garbled(Exception):
    """What came is no word."""


def _types(hint: Any) -> tuple[type, ...]:
    """What a field of that type may be after JSON."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(each for part in get_args(hint) for each in _types(part))
    kind = get_origin(hint) or hint
    return (int, float) if kind is float else (kind,)


_KINDS = {
    kind.__name__: (kind, tuple(field.name for field in fields(kind)))
    for kind in (*get_args(Word), Config)
}
_TYPES = {kind: tuple(map(_types, get_type_hints(kind).values())) for kind, _ in _KINDS.values()}
_LARGEST = 65_536
_ONE_FD = socket.CMSG_LEN(struct.calcsize("i"))


def pair() -> tuple["Channel", socket.socket]:
    """A channel for us, and the bare socket for the other side; both close on exec."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours), theirs


def adopt(fd: int) -> "Channel":
    """The channel whose end we were given as a descriptor."""
    return Channel(socket.socket(fileno=fd))


def shortened(text: str, most: int, *, end: bool = False) -> str:
    """What of a text of unknown length fits into so many bytes of a packet: its beginning, or its
    end.
    """
    while (length := len(json.dumps(text))) > most:
        kept = len(text) * most // length
        text = text[len(text) - kept :] if end else text[:kept]
    return text


class Channel:
    """One end. `closed` becomes true when the other side is gone."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self.closed = False
        self.garbled = ""  # the last packet that was no word, and why not
        self.fds: list[int] = []  # those that came with words, oldest first

    def fileno(self) -> int:
        """The descriptor to select on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        self._socket.close()

    def mute(self) -> None:
        """Neither hear nor say anything more; the descriptor stays ours until `close`."""
        self.closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def send(self, word: Word, fd: int | None = None, *, wait: bool = False) -> bool:
        """Say something; False when there is no room for it, and it is not said. Waits for room
        only if told to.

        Nothing happens when the other side is gone: its death is noticed elsewhere.
        """
        flags = 0 if wait else socket.MSG_DONTWAIT
        name = type(word).__name__
        values = (getattr(word, field) for field in _KINDS[name][1])
        packet = json.dumps([name, *values], default=_values).encode()
        try:  # said three times a job, and contextlib.suppress has page faults of its own
            if fd is None:
                self._socket.send(packet, flags)
            else:  # not socket.send_fds and recv_fds: they ignore their flags in CPython 3.11
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))]
                self._socket.sendmsg([packet], rights, flags)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            pass
        return True

    def receive(self) -> list[Word]:
        """Everything that has been said since the last call, or up to what is `garbled`. Never
        waits.
        """
        heard: list[Word] = []
        while not self.closed:
            try:
                word = self._next(socket.MSG_DONTWAIT)
            except Garbled as error:
                self.garbled = str(error)
                break
            if word is None:
                break
            heard.append(word)
        return heard

    def wait(self) -> Word | None:
        """The next word, however long it takes; None when the other side is gone."""
        return self._next(0)

    def _next(self, flags: int) -> Word | None:
        try:
            packet, rights, _, _ = self._socket.recvmsg(
                _LARGEST, _ONE_FD, flags | socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except ConnectionResetError:
            packet, rights = b"", []
        for _, _, fds in rights:
            self.fds.extend(struct.unpack("i", fds))
        if not packet:
            self.closed = True
            return None
        return _decoded(packet)


def _values(record: Config) -> list[Any]:
    """The record inside a word, as JSON has it."""
    return [getattr(record, field) for field in _KINDS["Config"][1]]


def _decoded(packet: bytes) -> Word:
    """Raises Garbled."""
    try:
        word = _built(packet)
        _check(word)
        if isinstance(word, Plan):
            _check(word.config)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Garbled(f"{packet[:80]!r} ({type(error).__name__}: {str(error)[:80]})") from None
    return word


def _check(record: Word | Config) -> None:
    """Raises TypeError for a field that is not of its type."""
    kind = type(record)
    for field, types in zip(_KINDS[kind.__name__][1], _TYPES[kind], strict=True):
        if not isinstance(getattr(record, field), types):
            raise TypeError(f"{field} is {getattr(record, field)!r}")


def _built(packet: bytes) -> Word:
    name, *values = json.loads(packet)
    match name:
        case "Plan":
            config, *rest = values
            return Plan(Config(*config), *rest)
        case "Settled":
            settlement, outcome, *rest = values
            return protocol.Settled(Settlement(settlement), outcome and Outcome(outcome), *rest)
        case "Recover":
            number, message_id, handle, settlement, *rest = values
            return protocol.Recover(number, message_id, handle, Settlement(settlement), *rest)
        case "Recovered":
            number, settlement, *rest = values
            return protocol.Recovered(number, Settlement(settlement), *rest)
    word: Word = _KINDS[name][0](*values)
    return word
