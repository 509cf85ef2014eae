"""`fleet config`."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Annotated, Any

import typer

from fleet.cli.chosen import load_aloud
from fleet.cli.common import cli, say
from fleet.cli.failure import CommandFailed, complain
from fleet.cli.options import with_options
from fleet.core.exit_codes import DONE, USAGE
from fleet.core.plain_text import dump_json
from fleet.core.queue_config import OF_A_QUEUE
from fleet.options.checks import SettingsError
from fleet.options.queues import QueueTable, describe_queues, settings_of
from fleet.options.settings import Settings
from fleet.options.sources import LoadedSettings, list_unknown_variables

Row = tuple[str, Any, str]  # name, value, origin


@cli.command()
@with_options()
def config(
    app: Annotated[str, typer.Argument(help="The job, for the pool's name.", metavar="APP")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One object.")] = False,
    **given: Any,
) -> int:
    """Print every option's value and where it came from."""
    loaded = load_aloud(given, app)
    for why in list_unknown_variables(os.environ):
        complain(why)
    rows = [
        (each.name, getattr(loaded.settings, each.name), loaded.origins[each.name])
        for each in fields(Settings)
    ]
    if len(loaded.tables) > 1:
        rows[0] = ("queue", describe_queues(loaded.tables), loaded.origins["queue"])
    own = {each.name: _own_options(each, loaded, app) for each in loaded.tables}
    if as_json:
        shown = _by_name(rows)
        if any(own.values()):
            shown["queues"] = {name: _by_name(each) for name, each in own.items()}
        typer.echo(dump_json(shown, indent=2))
        return DONE
    _print_rows(rows)
    for name, each in own.items():
        if each:
            say("")
            say(f"[[queue]] {name}")
            _print_rows(each)
    return DONE


def _own_options(queue: QueueTable, loaded: LoadedSettings, app: str) -> list[Row]:
    """What is another for this queue than for the pool. Raises CommandFailed."""
    table = f"[[queue]] {queue.name}"
    said = (("app", queue.app, table), ("limit", queue.limit, table))
    pools, name = loaded.settings, loaded.settings.name
    try:
        chosen, origins = settings_of(queue, loaded.given, name, app)
    except SettingsError as error:
        raise CommandFailed(USAGE, str(error)) from None
    return [row for row in said if row[1] is not None] + [
        (each, getattr(chosen, each), origins[each])
        for each in OF_A_QUEUE
        if getattr(chosen, each) != getattr(pools, each)
    ]


def _by_name(rows: Iterable[Row]) -> dict[str, Any]:
    return {name: {"value": value, "origin": origin} for name, value, origin in rows}


def _print_rows(rows: Sequence[Row]) -> None:
    width = max(len(name) for name, _, _ in rows)
    for name, value, origin in rows:
        say(f"{name:<{width}}  {'' if value is None else value!s:<24}  {origin}")
