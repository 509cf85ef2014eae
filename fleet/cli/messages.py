"""The messages that `fleet send` is given: arguments, whole files, or lines of standard input.

They are checked by SQS's rules, which servers beside it may not have.
"""

import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

LARGEST = 1_048_576  # bytes: of a message, and of all messages of a request
# All but these are in SendMessage's documentation.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# How Python passes on a byte that it cannot read, and the first of them stands for byte 0.
_FIRST_BYTE, _UNREADABLE = 0xDC00, range(0xDC80, 0xDD00)


class Unsendable(Exception):
    """What is given is no message; the text says what is wrong."""


def read_messages(bodies: Sequence[str], files: Sequence[str], group: str | None) -> Iterable[str]:
    """The messages to send; lines of standard input if there are neither bodies nor files.

    What is known at once is checked at once. Raises Unsendable, for a line when its turn comes.
    """
    if group is not None:
        check_text(group, "--group")
    if not bodies and not files:
        return _read_lines()
    for number, body in enumerate(bodies, start=1):
        check_text(body, f"message {number}")
    return [*bodies, *map(_read_file, files)]


def check_text(text: str, what: str) -> None:
    """Raises Unsendable for a text that SQS does not take; `what` it is tells people."""
    if not text:
        raise Unsendable(f"{what} is empty; SQS takes no empty text")
    forbidden = _FORBIDDEN.search(text)
    if forbidden is None:
        return
    code = ord(forbidden.group())
    if code in _UNREADABLE:
        raise Unsendable(f"{what} is not text: it holds the byte 0x{code - _FIRST_BYTE:02x}")
    raise Unsendable(f"{what} holds the character U+{code:04X}, which SQS does not take")


def _read_lines() -> Iterator[str]:
    """The lines of standard input that are not empty."""
    stream = _standard_input()
    number = 0
    try:
        for number, line in enumerate(stream, start=1):
            if body := line.rstrip("\n"):
                check_text(body, f"line {number} of standard input")
                yield body
    except UnicodeDecodeError as error:
        raise Unsendable(
            f"standard input is not text after line {number}: {error.encoding} cannot read it"
        ) from None


def _read_file(path: str) -> str:
    """A whole file, to its last byte; `-` is standard input."""
    name = "standard input" if path == "-" else path
    try:
        if path == "-":
            data: bytes = bytes(_standard_input().buffer.read(LARGEST + 1))
        else:
            with Path(path).open("rb") as file:
                data = file.read(LARGEST + 1)
        body = data.decode()
    except UnicodeDecodeError as error:
        raise Unsendable(f"{name} is not text: byte {error.start} is not UTF-8") from None
    except (OSError, ValueError) as error:  # a NUL in its name is a ValueError
        raise Unsendable(
            f"{name} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if len(data) > LARGEST:
        raise Unsendable(f"{name} is longer than 1 MiB, the most that SQS takes")
    check_text(body, name)
    return body


def _standard_input() -> io.TextIOWrapper:
    """Strict: in some locales Python would pass on what is not text."""
    if not isinstance(sys.stdin, io.TextIOWrapper):  # None if it is closed
        raise Unsendable("there is no standard input; give messages, or --file")
    sys.stdin.reconfigure(errors="strict")
    return sys.stdin
