"""`fleet start` as typer knows it: for the help, and for what start_line.py does not understand."""

from typing import Annotated, Any

import typer

from fleet.cli import new_pool
from fleet.cli.common import cli
from fleet.cli.options import with_options


@cli.command()
@with_options()
def start(
    app: Annotated[
        str,
        typer.Argument(
            help="The job: module:attribute, or path/file.py:attribute. "
            "Not needed where every queue's table has one.",
            metavar="APP",
        ),
    ] = "",
    **given: Any,
) -> int:
    """Run a pool until it is told to stop. Exit status: README, "Exit status"."""
    return new_pool.run(app, given)
