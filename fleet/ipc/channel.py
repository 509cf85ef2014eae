"""Carries the words of `core/protocol.py` between two processes of a pool: a SOCK_SEQPACKET pair.

One packet is one word: a JSON list of the class's name and its fields. Both ends are fleet's own,
but the template and the dispatchers have imported the app, which may have changed what they say: a
packet is taken for a word only if its fields are of the right types.

In a Plan, null stands for a queue's config that is the pool's: it is said once, not once a queue.
"""

import contextlib
import json
import socket
import struct
from collections.abc import Sequence
from dataclasses import fields
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from fleet.core import protocol, scout_protocol
from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.outcomes import Outcome, Settlement
from fleet.core.protocol import Fork, Plan, Word
from fleet.core.queue_config import QueueConfig
from fleet.core.queue_place import Keys, QueuePlace
from fleet.core.scout_protocol import Resolved, Sampled, Usable


class Garbled(Exception):
    """A packet is no word."""


def _types_of(hint: Any) -> tuple[type, ...]:
    """The types that a field of that type may have after JSON."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(each for part in get_args(hint) for each in _types_of(part))
    kind = get_origin(hint) or hint
    if kind is float:
        return (int, float)
    return (list,) if kind is Sequence else (kind,)


Record = Config | QueueConfig | QueuePlace | Keys | Depth
"""What may be inside a word."""

_WORDS: dict[str, type[Word]] = {kind.__name__: kind for kind in get_args(Word)}
_KINDS = {
    kind.__name__: (kind, tuple(field.name for field in fields(kind)))
    for kind in (*get_args(Word), *get_args(Record))
}
# What is in these is not quoted where it is no word: it may be secret.
_HIDDEN = {field.name for kind, _ in _KINDS.values() for field in fields(kind) if not field.repr}
_SECRET = tuple(
    f'["{name}"'.encode()
    for name, (_, names) in _KINDS.items()
    if "keys" in names or not _HIDDEN.isdisjoint(names)
)
_TYPES = {kind: tuple(map(_types_of, get_type_hints(kind).values())) for kind, _ in _KINDS.values()}
_Record = TypeVar("_Record", Config, QueueConfig, QueuePlace, Keys, Depth)
_LARGEST = 65_536
# Plain numbers: Python's flags are combined in Python.
_AT_ONCE, _CLOSED_ON_EXEC = int(socket.MSG_DONTWAIT), int(socket.MSG_CMSG_CLOEXEC)
_ONE_FD = socket.CMSG_LEN(struct.calcsize("i"))


def make_pair() -> tuple["Channel", socket.socket]:
    """A channel for this process, and the bare socket for the other one; both close on exec."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours), theirs


def adopt(fd: int) -> "Channel":
    """The channel whose end this process was given as a descriptor."""
    return Channel(socket.socket(fileno=fd))


def fits(word: Word) -> bool:
    """Whether the word can be sent at all: what is longer than a packet would be cut."""
    return len(_encode(word)) <= _LARGEST


def shorten(text: str, most: int, *, end: bool = False) -> str:
    """The part of a text that fits into `most` bytes of a packet: its beginning, or its `end`."""
    while (length := len(json.dumps(text))) > most:
        kept = len(text) * most // length
        text = text[len(text) - kept :] if end else text[:kept]
    return text


class Channel:
    """One end of a channel. `closed` becomes true when the other side is gone."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self.closed = False
        self.garbled = ""  # the last packet that was no word, and why not
        self.fds: list[int] = []  # those that came with words, oldest first

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        self._socket.close()

    def mute(self) -> None:
        """Neither receive nor send anything more; the descriptor stays open until `close`."""
        self.closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def send(self, word: Word, fd: int | None = None, *, wait: bool = False) -> bool:
        """Send a word, with a descriptor if one is given.

        False when there is no room: it is not sent.

        `wait`: wait for room instead. Nothing happens when the other side is gone: its death is
        noticed elsewhere.
        """
        flags = 0 if wait else _AT_ONCE
        packet = _encode(word)
        try:  # called three times a job, and contextlib.suppress has page faults of its own
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
        """Every word that has come since the last call, up to a packet that is `garbled`.

        Never waits.
        """
        received: list[Word] = []
        while not self.closed:
            try:
                word = self._receive_one(_AT_ONCE)
            except Garbled as error:
                self.garbled = str(error)
                break
            if word is None:
                break
            received.append(word)
        return received

    def wait(self) -> Word | None:
        """The next word, however long it takes; None if the other side is gone. Raises Garbled."""
        return self._receive_one(0)

    def _receive_one(self, flags: int) -> Word | None:
        try:
            packet, rights, _, _ = self._socket.recvmsg(_LARGEST, _ONE_FD, flags | _CLOSED_ON_EXEC)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            packet, rights = b"", []
        for _, _, fds in rights:
            self.fds.extend(struct.unpack("i", fds))
        if not packet:
            self.closed = True
            return None
        return _decode(packet)


def _values(record: Record) -> list[Any]:
    """The record inside a word, as JSON has it."""
    return [getattr(record, field) for field in _KINDS[type(record).__name__][1]]


_to_json = json.JSONEncoder(default=_values).encode  # `json.dumps` makes an encoder for each call


def _encode(word: Word) -> bytes:
    """The word's packet."""
    name = type(word).__name__
    values = [getattr(word, field) for field in _KINDS[name][1]]
    if name == "Plan":
        config, queues, *rest = values
        values = [config, [_without(config, queue) for queue in queues], *rest]
    return _to_json([name, *values]).encode()


def _without(config: Config, queue: QueueConfig) -> list[Any]:
    """The record of a queue, with null for a config that is the pool's."""
    name, app, own, *rest = _values(queue)
    return [name, app, None if own == config else own, *rest]


def _decode(packet: bytes) -> Word:
    """The word of a packet. Raises Garbled."""
    try:
        word = _build(packet)
        _check(word)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        quoted = packet.partition(b",")[0] if packet.startswith(_SECRET) else packet
        what = f"{type(error).__name__}: {str(error)[:80]}"
        raise Garbled(f"{quoted[:80]!r} ({what})") from None
    return word


def _check(record: Word | Record) -> None:
    """Raises TypeError for a field that is not of its type, exactly: a bool is no number."""
    kind = type(record)
    for field, types in zip(_KINDS[kind.__name__][1], _TYPES[kind], strict=True):
        value = getattr(record, field)
        if type(value) not in types:
            raise TypeError(
                f"{field} is {value!r}" if field not in _HIDDEN else f"{field} is of another type"
            )


def _listed(values: Any) -> list[Any]:
    """The list. Raises TypeError for what can only be gone through like one."""
    if not isinstance(values, list):
        raise TypeError(f"a list is expected, and no {type(values).__name__}")
    return values


def _read_record(kind: type[_Record], values: Any) -> _Record:
    """A record inside a word. Raises TypeError."""
    record = kind(*_listed(values))
    _check(record)
    return record


def _read_plan(config: Any, queues: Any, *rest: Any) -> Plan:
    """Raises TypeError, ValueError."""
    pools = _read_record(Config, config)
    read = []
    for queue, app, own, *more in queues:
        its = pools if own is None else _read_record(Config, own)
        read.append(_read_record(QueueConfig, [queue, app, its, *more]))
    if not read:
        raise ValueError("a plan without a queue")
    return Plan(pools, read, *rest)


def _read_places(values: Any) -> list[QueuePlace]:
    """Raises TypeError."""
    return [_read_record(QueuePlace, each) for each in _listed(values)]


def _build(packet: bytes) -> Word:
    name, *values = _listed(json.loads(packet.decode()))
    match name:
        case "Plan":
            return _read_plan(*values)
        case "Fork":
            slot, places, keys = values
            return Fork(slot, _read_places(places), _read_record(Keys, keys))
        case "Sampled":
            queue, depth = values
            return Sampled(queue, _read_record(Depth, depth))
        case "Usable":
            place, *rest = values
            return Usable(_read_record(QueuePlace, place), *rest)
        case "Resolved":
            places, keys = values
            return Resolved(_read_places(places), _read_record(Keys, keys))
        case "Settled":
            settlement, outcome, *rest = values
            return protocol.Settled(Settlement(settlement), outcome and Outcome(outcome), *rest)
        case "Recover":
            number, message_id, handle, settlement, *rest = values
            return scout_protocol.Recover(number, message_id, handle, Settlement(settlement), *rest)
        case "Recovered":
            number, settlement, *rest = values
            return scout_protocol.Recovered(number, Settlement(settlement), *rest)
    return _WORDS[name](*values)
