"""The message's variables in the environment of a job forker: its jobs inherit them.

A job that sets them itself copies some thirty pages of memory for it. But what a forker sets, it
sets again and again, and setenv(3) frees no value that it replaces. putenv(3) takes memory of ours
instead of a copy: what is written there later is the variable's value from then on. `os.environ` is
a mapping beside that, filled when Python starts: it is told as well.

docs/decisions/0033 has the reasons.
"""

import ctypes
import os

from fleet.core.queue import Message

NAMES = ("FLEET_JOB_ID", "FLEET_JOB_ATTEMPT")
_ROOM = 160  # bytes for a variable: an id has 100 at the most
AREA = _ROOM * len(NAMES)
"""Bytes of the memory that all of them are in."""

_PROBE = "none"
_libc = ctypes.PyDLL(None)


class CannotBeInherited(Exception):
    """The environment of this process is not as Python makes it; the text names what is not."""


def values_of(message: Message) -> tuple[str, ...]:
    """The values of NAMES."""
    return message.id, str(message.attempt)


def encode(message: Message) -> tuple[bytes, dict[bytes, bytes]]:
    """What is in the memory for this message, and what `os.environ` is told.

    Raises ValueError for a value that does not fit, or cannot be in an environment.
    """
    mapping = {
        name.encode(): os.fsencode(value)
        for name, value in zip(NAMES, values_of(message), strict=True)
    }
    lines = [name + b"=" + value for name, value in mapping.items()]
    if any(len(line) >= _ROOM or b"\0" in line for line in lines):
        raise ValueError("not a value of an environment")
    return b"".join([line.ljust(_ROOM, b"\0") for line in lines]), mapping


def inherit_from(area: memoryview) -> dict[bytes, bytes]:
    """Have jobs inherit the variables from this memory, which is ours for good.

    Returns what is behind `os.environ`. Raises CannotBeInherited.
    """
    mapping: object = getattr(os.environ, "_data", None)
    if not isinstance(mapping, dict):
        raise CannotBeInherited("os.environ")
    for name in NAMES:
        os.environ[name] = _PROBE
        if mapping.get(name.encode()) != _PROBE.encode():
            raise CannotBeInherited("os.environ")
    area[:AREA], _ = encode(Message("", "", ""))
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for number in range(len(NAMES)):
        if _libc.putenv(ctypes.c_void_p(address + number * _ROOM)):
            raise CannotBeInherited("putenv(3)")
    return mapping
