"""`fleet stop`."""

import contextlib
import sys
from typing import Annotated

import typer

from fleet.cli.common import cli, say
from fleet.cli.failure import CommandFailed
from fleet.cli.running_pool import Name, PoolEnded, ask, await_end, find_pool
from fleet.core.exit_codes import DONE
from fleet.core.view.progress import describe_wait
from fleet.ipc.pool_socket import RunningPool
from fleet.system.log import FRESH_LINE

INTERVAL = 1.0  # seconds between two looks at a pool that drains, on a terminal


@cli.command()
def stop(
    name: Name = None,
    now: Annotated[bool, typer.Option("--now", help="Stop running jobs at once.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when the pool has gone.")
    ] = True,
) -> int:
    """Drain a running pool, and wait until it has gone."""
    place = find_pool(name)
    with contextlib.suppress(PoolEnded):  # it was about to
        say(f"{place.name}: {ask(place, 'stop', now=now)['said']}")
        sys.stdout.flush()
        if not wait:
            return DONE
        _watch(place)
    say(f"{place.name}: gone")
    return DONE


def _watch(place: RunningPool) -> None:
    """Return when the pool has gone; at a terminal a line says what it waits for."""
    if not sys.stdout.isatty():
        await_end(place.pid, None)
        return
    while not await_end(place.pid, INTERVAL):
        with contextlib.suppress(CommandFailed):  # it goes just now
            status = ask(place, "status")["status"]
            left = status["drain_left"] or 0, status["polls_left"] or 0
            sys.stdout.write(FRESH_LINE + describe_wait(status["busy"], status["polling"], *left))
            sys.stdout.flush()
    sys.stdout.write(FRESH_LINE)
