"""`fleet scale`."""

from typing import Annotated

import typer

from fleet.cli.common import cli
from fleet.cli.failure import CommandFailed
from fleet.cli.running_pool import Name, OneQueue, ask_and_say, one_queue
from fleet.core.config import MOST_WORKERS
from fleet.core.control import AUTO, NO_LIMIT
from fleet.core.exit_codes import USAGE

DIGITS = 9  # what is longer is no size, and perhaps more than Python makes a number of
BOTH = "N is the size of the pool, --limit a queue's; give one of them"


@cli.command()
def scale(
    size: Annotated[
        str | None, typer.Argument(help="How many dispatchers, or auto.", metavar="N|auto")
    ] = None,
    name: Name = None,
    queue: OneQueue = None,
    limit: Annotated[
        str | None,
        typer.Option(
            "--limit",
            help="With --queue: so many of its jobs at the same time, or none for no limit.",
            metavar="N|none",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Set the size of a pool, or the limit of one of its queues."""
    of = one_queue(queue)
    if of is None and limit is None:
        return ask_and_say(name, "scale", to=_read(size, "the size", AUTO))
    if of is None or limit is None:
        raise CommandFailed(USAGE, "--queue Q and --limit N belong together")
    if name is not None or size == AUTO or (size or "").isdecimal():
        raise CommandFailed(USAGE, BOTH)
    # There is no size, so the only argument is the pool.
    return ask_and_say(size, "scale", queue=of, limit=_read(limit, "the limit", NO_LIMIT))


def _read(text: str | None, what: str, word: str) -> int | str:
    """A number, or the word. Raises CommandFailed."""
    if text is None:
        raise CommandFailed(
            USAGE,
            f"no size given; fleet scale N, {AUTO}, or --queue Q --limit N (fleet scale --help)",
        )
    if text == word:
        return word
    if text.isdecimal() and len(text) <= DIGITS:
        return int(text)
    shown = text if len(text) <= DIGITS else f"{text[:DIGITS]}…"
    raise CommandFailed(
        USAGE, f"{what} is {shown!r}; it must be {word} or a number of at most {MOST_WORKERS}"
    )
