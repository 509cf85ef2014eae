"""`fleet health`: does the pool that writes that health file live? For a container's liveness
probe.

A probe runs every few seconds on a host that is busy with other things, so this imports neither
typer nor settings.py, and what else is set for the pool, right or wrong, is not looked at.
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
    """Whatever is wrong is one line."""

    def error(self, message: str) -> NoReturn:
        _refuse(message)


def _refuse(why: str) -> NoReturn:
    complain(f"fleet: {one_line(why)} (fleet health --help)\n")
    raise SystemExit(USAGE)


def run(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """The exit status. Raises SystemExit for bad usage."""
    given = _parser().parse_args(arguments)
    path = (
        given.health_file if given.health_file is not None else environment.get("FLEET_HEALTH_FILE")
    )
    path = _from_file(given.config or environment.get("FLEET_CONFIG")) if path is None else path
    if not path or "\0" in path:
        _refuse("nothing to look at; give --health-file PATH, as fleet start was given it")
    max_age = _seconds(given.max_age or environment.get("FLEET_MAX_AGE") or str(MAX_AGE))
    try:
        text = _read(path)
    except OSError as error:
        return _no(path, os.strerror(error.errno or 0))
    good, why = probe.judge(text, time.time(), max_age)
    if not good:
        return _no(path, why)
    _tell(f"healthy: {why}\n" + (f"{text.strip()}\n" if given.verbose else ""))
    return DONE


def _tell(text: str) -> None:
    """That nobody can read it changes nothing of the answer."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _parser() -> argparse.ArgumentParser:
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


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < inf:
        _refuse(f"--max-age is {text!r}; it must be seconds above 0")
    return seconds


def _from_file(config: str | None) -> str | None:
    """The option in fleet.toml, if there is such a file, and it is not somebody else's."""
    if config is None and not os.path.exists("fleet.toml"):  # noqa: PTH110 - pathlib costs as much as all the rest
        return None
    import tomllib
    from pathlib import Path

    from fleet.system import files

    try:
        content = (
            Path(config).read_bytes() if config else files.read_trusted(Path("fleet.toml"), LARGEST)
        )
        found = tomllib.loads(content.decode()).get("health_file")
    except (OSError, ValueError, RecursionError) as error:
        _refuse(f"{config or 'fleet.toml'}: {error}")
    return found if isinstance(found, str) else None


def _read(path: str) -> str:
    """What is in the file; whatever else lies there, a pipe say, does not keep a probe waiting.
    Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return os.read(fd, LARGEST).decode(errors="replace")
    finally:
        os.close(fd)


def _no(path: str, why: str) -> int:
    complain(f"fleet: health file {one_line(path)}: {one_line(why)}\n")
    return NO
