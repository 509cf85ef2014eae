"""`fleet scale`."""

from typing import Annotated

import typer

from fleet.cli.common import cli
from fleet.cli.failure import CommandFailed
from fleet.cli.running_pool import Name, ask_and_say
from fleet.core.config import MOST_WORKERS
from fleet.core.control import AUTO
from fleet.core.exit_codes import USAGE

DIGITS = 9  # what is longer is no size, and perhaps more than Python makes a number of


@cli.command()
def scale(
    size: Annotated[str, typer.Argument(help="How many dispatchers, or auto.", metavar="N|auto")],
    name: Name = None,
) -> int:
    """Set the size of a running pool."""
    if size != AUTO and not (size.isdecimal() and len(size) <= DIGITS):
        shown = size if len(size) <= DIGITS else f"{size[:DIGITS]}…"
        raise CommandFailed(
            USAGE, f"the size is {shown!r}; it must be auto or a number of at most {MOST_WORKERS}"
        )
    return ask_and_say(name, "scale", to=size if size == AUTO else int(size))
