"""Another interpreter is started with the flags of this one."""

import os
import subprocess
import sys

import pytest

from tests.support.pool import REPOSITORY

PROGRAM = f"""
import subprocess, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from fleet.system import interpreter
print(*sorted(interpreter._flags()), sep="|")
print(*sorted(subprocess._args_from_interpreter_flags()), sep="|")
"""


def flags_of(*flags: str, **environment: str) -> tuple[set[str], set[str]]:
    """By fleet, and by the standard library."""
    run = subprocess.run(
        [sys.executable, *flags, "-c", PROGRAM],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    ours, theirs = (set(line.split("|")) for line in run.stdout.splitlines())
    return ours, theirs


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("-O",),
        ("-OO", "-B", "-q"),
        ("-b", "-W", "error::BytesWarning"),
        ("-bbb", "-W", "default::BytesWarning"),
        ("-I",),
        ("-E", "-s", "-S"),
        ("-X", "dev", "-W", "default", "-W", "error::UserWarning"),
        ("-P", "-X", "utf8", "-X", "tracemalloc=3"),
    ],
)
def test_as_the_standard_library_says(flags: tuple[str, ...]) -> None:
    ours, theirs = flags_of(*flags)
    assert ours == theirs


def test_what_the_standard_library_leaves_out() -> None:
    ours, theirs = flags_of("-u", "-X", "int_max_str_digits=9000")
    assert ours - theirs == {"-u", "-X", "int_max_str_digits=9000"}


def test_a_filter_of_the_environment_is_kept() -> None:
    assert flags_of(PYTHONWARNINGS="error::UserWarning")[0] == {"-Werror::UserWarning"}
