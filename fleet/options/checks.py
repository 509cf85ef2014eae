"""How a value of an option is read, and what it must be.

A value comes as text from the command line and the environment, and with a type of its own from
fleet.toml. Rules between two options are in consistency.py.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

from fleet.core.code_names import RIGHT, is_code
from fleet.core.config import LONGEST_VISIBILITY, MOST_WORKERS
from fleet.core.sns import TOPIC
from fleet.system import host

YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_WEB = re.compile(r"https?://[^/?#]", re.IGNORECASE)


class SettingsError(Exception):
    """A value that cannot be; the text says which, where it came from and what would be right."""


@dataclass(frozen=True, slots=True)
class Check:
    """How a value is read, and what it must be.

    `read` raises ValueError, TypeError or OverflowError for what it cannot read; `rule` says
    whether what was read may be; `right` tells people what may be.
    """

    read: Callable[[Any], Any]
    rule: Callable[[Any], bool] = lambda _: True
    right: str = ""
    metavar: str = "TEXT"


def check_value(check: Check, raw: Any, flag: str, origin: str) -> Any:
    """The value that `raw` stands for. Raises SettingsError."""
    try:
        value = check.read(raw)
        is_right = check.rule(value)
    except (ValueError, TypeError, OverflowError):
        is_right = False
    if not is_right:
        raise SettingsError(f"{flag} is {raw!r} ({origin}); it must be {check.right}")
    return value


# Reading. A TOML file may give a boolean where a number is meant: Python would take it for one.


def read_number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool):
        raise ValueError(value)
    number = float(value)
    if not isfinite(number):
        raise ValueError(value)
    return number


def read_whole(value: Any) -> int:
    """A whole number."""
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError(value)
    return int(value)


def read_flag(value: Any) -> bool:
    """True or false, or a word for one of them."""
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in YES + NO:
        raise ValueError(value)
    return word in YES


def read_workers(value: Any) -> int:
    """A whole number, or `auto`: the processors that this process may use."""
    return host.processors() if value == "auto" else read_whole(value)


def read_delays(value: Any) -> tuple[float, ...]:
    """`10,60,300`, a number, or a list of numbers."""
    if isinstance(value, str):
        value = value.split(",")
    elif not isinstance(value, list):
        value = [value]
    return tuple(read_number(each) for each in value)


def read_topics(value: Any) -> tuple[str, ...]:
    """`ARN,ARN`, or a list of such."""
    parts = [value] if isinstance(value, str) else value
    return tuple(each for part in parts for each in read_text(part).split(","))


def read_path(value: Any) -> str:
    """A text that is not empty. It may hold bytes that are not UTF-8, as lone surrogates."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(value)
    return value


def read_text(value: Any) -> str:
    """The same of UTF-8 alone: into titles and requests no lone surrogates fit."""
    text = read_path(value)
    text.encode()
    return text


def read_queue(value: Any) -> str:
    """A queue's name, URL or ARN; a slash at its end says nothing."""
    return read_text(value).rstrip("/")


# The checks.


def seconds(least: float, most: float = inf) -> Check:
    """Seconds between the two."""
    right = f"seconds from {least:g} to {most:g}" if most < inf else f"{least:g} seconds or more"
    return Check(read_number, lambda value: least <= value <= most, right, "SECONDS")


def whole(least: int, most: float, right: str) -> Check:
    """A whole number between the two."""
    return Check(read_whole, lambda value: least <= value <= most, right, "N")


def choice(*words: str) -> Check:
    """One of the words."""
    return Check(read_text, lambda value: value in words, " or ".join(words), "|".join(words))


def path(metavar: str = "TEXT") -> Check:
    """A path of this machine."""
    return Check(read_path, right="a path", metavar=metavar)


TEXT = Check(read_text, right="a text that is not empty")
FLAG = Check(read_flag, right="true or false")
QUEUE = Check(
    read_queue,
    lambda value: bool(value) and value.isprintable(),
    "a queue's name, URL or ARN, without control characters",
)
NAME = Check(
    read_text,
    str.isprintable,
    "a text without control characters, line ends and marks of direction",
)
URL = Check(
    read_text,
    lambda value: bool(_WEB.match(value)),
    "a URL that begins with http:// or https://",
    "URL",
)
CODE = Check(read_text, is_code, RIGHT, "MODULE:ATTR")
PORT = Check(read_whole, lambda value: 0 < value < 65_536, "a port from 1 to 65535", "PORT")
BOUND = whole(1, MOST_WORKERS, f"a number from 1 to {MOST_WORKERS}")
WORKERS = Check(
    read_workers,
    lambda value: 1 <= value <= MOST_WORKERS,
    f"auto or a number from 1 to {MOST_WORKERS}",
    "N",
)
BATCH_SIZE = whole(1, 10, "a number from 1 to 10")
COUNT = whole(1, inf, "a number of at least 1")
TOPICS = Check(
    read_topics,
    lambda value: value and all(TOPIC.fullmatch(each) for each in value),
    "a topic's ARN (arn:aws:sns:REGION:ACCOUNT:NAME), or more of them",
    "ARN",
)
DELAYS = Check(
    read_delays,
    lambda value: all(0 <= each <= LONGEST_VISIBILITY for each in value),
    "seconds by attempt, as in 10,60,300",
    "SECONDS,…",
)
