"""The arguments of `fleet start`, read without typer.

The process that reads them becomes the master, which would carry all that it has imported for as
long as it lives. What is not understood here is read once more by typer, which has the help and
says what is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from fleet.options.settings import Settings


@dataclass(frozen=True, slots=True)
class _Flag:
    """The option that a flag is of. `value`: what a switch sets it to; None: its value follows."""

    option: str
    value: bool | None = None
    many: bool = False


def _flags() -> dict[str, _Flag]:
    """Every flag of `fleet start`, as cli/options.py declares them to typer."""
    flags = {"--config": _Flag("config")}
    for option in fields(Settings):
        about, is_switch = option.metadata, option.type is bool
        name = option.name.replace("_", "-")
        flag = _Flag(option.name, True if is_switch else None, about["many"])
        flags[f"--{name}"] = flag
        if is_switch and option.default:
            flags[f"--no-{name}"] = _Flag(option.name, False)
        if about["short"]:
            flags[about["short"]] = flag
    return flags


def read(arguments: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """The app, and what is given of the options: texts, lists of texts, and booleans.

    The app is empty if it is not given. None for what is not understood.
    """
    flags, words = _flags(), [*reversed(arguments)]
    apps: list[str] = []
    given: dict[str, Any] = {}
    while words:
        word = words.pop()
        if word == "--":
            apps += reversed(words)
            break
        if word == "-" or not word.startswith("-"):
            apps.append(word)
            continue
        is_long = word.startswith("--")
        name, sign, value = word.partition("=") if is_long else (word[:2], word[2:], word[2:])
        flag = flags.get(name)
        if flag is None:
            return None
        if flag.value is not None:
            if (is_long and sign) or value.startswith("-"):
                return None
            given[flag.option] = flag.value
            if value:  # -vq: more flags of one letter
                words.append(f"-{value}")
            continue
        if not sign:
            if not words:
                return None
            value = words.pop()
        given[flag.option] = [*given.get(flag.option, ()), value] if flag.many else value
    return ("".join(apps), given) if len(apps) <= 1 else None
