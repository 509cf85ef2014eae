"""`fleet scale`, `pause`, `resume`, `stop`: one request to a running pool."""

import contextlib
import sys
from typing import Annotated

import typer

from fleet.cli.base import Failure, cli, say
from fleet.cli.client import Gone, ask, await_end, found
from fleet.core.control import AUTO
from fleet.core.exit_codes import DONE, USAGE
from fleet.core.pool.resizing import MOST
from fleet.core.view.progress import describe_wait
from fleet.ipc.pool_socket import Place
from fleet.system.log import FRESH_LINE

Name = Annotated[
    str | None, typer.Argument(help="The pool; not needed if only one runs here.", metavar="NAME")
]
DIGITS = 9  # what is longer is no size, and perhaps more than Python makes a number of
EVERY = 1.0  # seconds between two looks at a pool that drains, on a terminal


@cli.command()
def scale(
    size: Annotated[str, typer.Argument(help="How many dispatchers, or auto.", metavar="N|auto")],
    name: Name = None,
) -> int:
    """Set the size of a running pool."""
    if size != AUTO and not (size.isdecimal() and len(size) <= DIGITS):
        shown = size if len(size) <= DIGITS else f"{size[:DIGITS]}…"
        raise Failure(
            USAGE, f"the size is {shown!r}; it must be auto or a number of at most {MOST}"
        )
    return _said(name, "scale", to=size if size == AUTO else int(size))


@cli.command()
def pause(name: Name = None) -> int:
    """Receive nothing more; running jobs go on."""
    return _said(name, "pause")


@cli.command()
def resume(name: Name = None) -> int:
    """Receive again after a pause."""
    return _said(name, "resume")


def _said(name: str | None, command: str, **fields: object) -> int:
    place = found(name)
    say(f"{place.name}: {ask(place, command, **fields)['said']}")
    return DONE


@cli.command()
def stop(
    name: Name = None,
    now: Annotated[bool, typer.Option("--now", help="Stop running jobs at once.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when the pool has gone.")
    ] = True,
) -> int:
    """Drain a running pool, and wait until it has gone."""
    place = found(name)
    try:
        say(f"{place.name}: {ask(place, 'stop', now=now)['said']}")
        sys.stdout.flush()
        if not wait:
            return DONE
        _watch(place)
    except Gone:  # it was about to
        pass
    say(f"{place.name}: gone")
    return DONE


def _watch(place: Place) -> None:
    """Until it has gone; at a terminal with a line that says what it waits for."""
    if not sys.stdout.isatty():
        await_end(place.pid, None)
        return
    while not await_end(place.pid, EVERY):
        with contextlib.suppress(Failure):  # it goes just now
            told = ask(place, "status")["status"]
            left = told["drain_left"] or 0, told["polls_left"] or 0
            sys.stdout.write(FRESH_LINE + describe_wait(told["busy"], told["polling"], *left))
            sys.stdout.flush()
    sys.stdout.write(FRESH_LINE)
