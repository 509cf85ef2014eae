"""`fleet health`: does the pool that writes that health file live? A container's liveness probe.

A probe runs every few seconds on a host that is busy with other things. So this file imports
neither typer nor the options, and reads the one option that it needs itself; what else is set for
the pool, right or wrong, is not looked at.
"""

import argparse
import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from math import inf
from typing import NoReturn

from fleet.core.exit_codes import DONE, NO, USAGE
from fleet.core.plain_text import one_line
from fleet.core.view import probe
from fleet.system.stderr import complain

LARGEST = 65_536  # bytes; a health file has about 400
MAX_AGE = 120.0  # seconds
EXITS = "Exit status: 0 it lives, 1 it does not (one line says why), 2 bad usage."


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        _refuse(message)


def _refuse(why: str) -> NoReturn:
    complain(f"fleet: {one_line(why)} (fleet health --help)\n")
    raise SystemExit(USAGE)


def run(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Judge the health file, and return the exit status. Raises SystemExit for bad usage."""
    given = _make_parser().parse_args(arguments)
    path = given.health_file
    if path is None:
        path = environment.get("FLEET_HEALTH_FILE")
    if path is None:
        path = _read_option(given.config or environment.get("FLEET_CONFIG"))
    if not path or "\0" in path:
        _refuse("nothing to look at; give --health-file PATH, as fleet start was given it")
    max_age = _read_seconds(given.max_age or environment.get("FLEET_MAX_AGE") or str(MAX_AGE))
    try:
        text = _read_health_file(path)
    except OSError as error:
        return _say_no(path, os.strerror(error.errno or 0))
    is_alive, why = probe.judge(text, time.time(), max_age)
    if not is_alive:
        return _say_no(path, why)
    _say(f"healthy: {why}\n" + (f"{text.strip()}\n" if given.verbose else ""))
    return DONE


def _say(text: str) -> None:
    """On standard output. That nobody can read it changes nothing of the exit status."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fleet health", description=(__doc__ or "").splitlines()[0], epilog=EXITS)
    parser.add_argument(
        "--health-file",
        metavar="PATH",
        help="as fleet start has it [FLEET_HEALTH_FILE, fleet.toml]",
    )
    parser.add_argument(
        "--max-age", metavar="SECONDS", help=f"how old it may be [FLEET_MAX_AGE, {MAX_AGE:g}]"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="options as a TOML file [fleet.toml if there]"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print the file as well")
    return parser


def _read_seconds(text: str) -> float:
    """Raises SystemExit."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < inf:
        _refuse(f"--max-age is {text!r}; it must be seconds above 0")
    return seconds


def _read_option(config: str | None) -> str | None:
    """The option in the file that is given, or in fleet.toml, if there is such a file.

    Raises SystemExit, also for a fleet.toml that others may have written.
    """
    # Not pathlib: its import costs as much as all the rest.
    if config is None and not os.path.exists("fleet.toml"):  # noqa: PTH110 - see above
        return None
    import tomllib
    from pathlib import Path

    from fleet.system import files

    try:
        content = (
            Path(config).read_bytes() if config else files.read_trusted(Path("fleet.toml"), LARGEST)
        )
        path = tomllib.loads(content.decode()).get("health_file")
    except (OSError, ValueError, RecursionError) as error:
        _refuse(f"{config or 'fleet.toml'}: {error}")
    return path if isinstance(path, str) else None


def _read_health_file(path: str) -> str:
    """The text of the file; empty if it is no regular file: a pipe would keep a probe waiting.

    Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return os.read(fd, LARGEST).decode(errors="replace")
    finally:
        os.close(fd)


def _say_no(path: str, why: str) -> int:
    """The exit status."""
    complain(f"fleet: health file {one_line(path)}: {one_line(why)}\n")
    return NO
