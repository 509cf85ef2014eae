"""`fleet config`."""

import os
from dataclasses import fields
from typing import Annotated, Any

import typer

from fleet.cli.chosen import load_aloud
from fleet.cli.common import cli, say
from fleet.cli.failure import complain
from fleet.cli.options import with_options
from fleet.core.exit_codes import DONE
from fleet.core.plain_text import dump_json
from fleet.options.settings import Settings
from fleet.options.sources import list_unknown_variables


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
    if as_json:
        origins = {name: {"value": value, "origin": origin} for name, value, origin in rows}
        typer.echo(dump_json(origins, indent=2))
        return DONE
    width = max(len(name) for name, _, _ in rows)
    for name, value, origin in rows:
        say(f"{name:<{width}}  {'' if value is None else value!s:<24}  {origin}")
    return DONE
