"""`fleet start` understands without typer what typer understands, and the same of it."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.cli import commands, new_pool, start_line
from fleet.cli.common import cli
from fleet.options.settings import Settings

NAMES = [f"--{each.name.replace('_', '-')}" for each in fields(Settings)]
SHORT = [each.metadata["short"] for each in fields(Settings) if each.metadata["short"]]
ODD = ["", "-", "--", "---", "-=", "-x", "--help", "-h", "--no-local", "--no-preload", "--config"]


FEW = settings(deadline=None, database=None, max_examples=300)

commands.register(["start"])
TYPER = typer.main.get_command(cli)


def as_typer(arguments: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """What typer gives to the command; None if it refuses, or has something else to say."""
    found: list[tuple[str, dict[str, Any]]] = []

    def note(app: str, given: dict[str, Any]) -> int:
        found.append((app, {name: value for name, value in given.items() if value is not None}))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(new_pool, "run", note)
        try:
            TYPER.main(["start", *arguments], prog_name="fleet", standalone_mode=False)
        except typer.TyperException:
            return None
    return found[0] if found else None


@st.composite
def words(draw: st.DrawFn) -> str:
    """A word of a command line, as people and scripts write them."""
    flag = draw(st.sampled_from([*NAMES, *SHORT, *ODD]))
    text = draw(st.sampled_from(["x", "", "-", "--", "-v", "=", "a=b", "--queue", "1.5", "\udcff"]))
    word: str = draw(st.sampled_from([flag, text, f"{flag}={text}", f"{flag}{text}", f"-vq{text}"]))
    return word


@FEW
@given(st.lists(words(), max_size=6))
def test_it_reads_what_typer_reads(arguments: list[str]) -> None:
    assert start_line.read(arguments) == as_typer(arguments)


@FEW
@given(st.lists(words(), max_size=3), st.sampled_from([*NAMES, *SHORT]))
def test_it_reads_every_option(arguments: list[str], flag: str) -> None:
    line = ["app:job", *arguments, flag, "value"]
    assert start_line.read(line) == as_typer(line)


@pytest.mark.parametrize(
    "arguments",
    [
        ["work:job", "-q", "jobs", "--workers=8", "--no-preload", "--sns-topic", "a,b"],
        ["-vqjobs", "--sns-topic=a", "--sns-topic=b", "--", "-odd:job"],
        ["--queue", "--", "work:job"],
        ["--local", "--config", "x.toml", "-", "--job-init="],
        ["work:job", "-q", "a", "-qb=2", "--queue=c"],
        ["-q", "jobs"],
        [],
    ],
)
def test_what_people_write(arguments: list[str]) -> None:
    read = start_line.read(arguments)
    assert read is not None
    assert read == as_typer(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["work:job", "other:job"],
        ["work:job", "--help"],
        ["work:job", "-vh"],
        ["work:job", "--wrkers", "8"],
        ["work:job", "--queue"],
        ["work:job", "-vq"],
        ["work:job", "--local=yes"],
        ["work:job", "--local=v"],
        ["work:job", "--local="],
        ["work:job", "-v-"],
        ["work:job", "-v-q", "x"],
        ["work:job", "--no-local"],
    ],
)
def test_what_is_left_to_typer(arguments: list[str]) -> None:
    assert start_line.read(arguments) is None
    assert as_typer(arguments) is None
