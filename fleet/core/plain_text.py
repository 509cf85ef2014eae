"""Text as it leaves: nothing of it makes a line of its own, and nothing of it acts on a terminal.

What others have written (a Reject's text, a name, a message's id, an endpoint's error) is cleaned
where it is shown and not where it comes from: there are many places that it comes from, and few
where it leaves.

docs/decisions/0024 has the reasons.
"""

import json
from typing import Any


def one_line(text: str) -> str:
    r"""The text in one line, with what is not printable written as Python does: `\n`, `\x1b`,
    `\u202e`.

    Not printable (`str.isprintable`) are controls (C0, C1, DEL), line and paragraph separators,
    marks of direction, zero-width characters, odd spaces and halves of characters.
    """
    if text.isprintable():  # nearly always
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def block(text: str) -> str:
    """The text's lines indented below another line, so that none looks like a line of its own."""
    return "".join(f"\n    {one_line(line)}" for line in text.rstrip("\n").split("\n"))


def dump_json(value: Any, indent: int | None = None) -> str:
    """As JSON, in ASCII. DEL is the one control character that JSON leaves as it is."""
    return json.dumps(value, default=str, indent=indent).replace("\x7f", "\\u007f")
