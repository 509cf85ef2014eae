"""`fleet check --health-file PATH`: does the pool that writes that file live? For a container's liveness probe."""

import os
import time
from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer

from fleet.cli.base import NO, Failure, cli, load, with_options
from fleet.core import health
from fleet.core.exit_codes import DONE, USAGE

LARGEST = 65_536  # bytes; a health file has about 400


@cli.command()
@with_options("health_file")
def check(
    max_age: Annotated[
        float, typer.Option("--max-age", help="How old the file may be, in seconds.", metavar="SECONDS")
    ] = 120.0,
    **given: Any,
) -> int:
    """Tell whether a pool lives, by its health file: exit status 0, or 1 with one line that says why not."""
    path = load(given).settings.health_file
    if path is None:
        raise Failure(USAGE, "nothing to check; give --health-file PATH, as fleet start was given it")
    if not 0 < max_age < inf:
        raise Failure(USAGE, f"--max-age is {max_age:g}; it must be seconds above 0")
    try:
        with Path(path).open("rb") as file:
            text = file.read(LARGEST).decode(errors="replace")
    except OSError as error:
        raise Failure(NO, f"health file {path}: {os.strerror(error.errno or 0)}") from None
    good, why = health.judged(text, time.time(), max_age)
    if not good:
        raise Failure(NO, f"health file {path}: {why}")
    typer.echo(f"healthy: {why}")
    return DONE
