"""`fleet config`."""

from dataclasses import fields
from typing import Annotated, Any

import typer

from fleet.cli.base import cli, complain, load_aloud, say, with_options
from fleet.core.exit_codes import DONE
from fleet.core.plain_text import dump_json
from fleet.options.settings import Settings, environment, warnings


@cli.command()
@with_options()
def config(
    app: Annotated[str, typer.Argument(help="The job, for the pool's name.", metavar="APP")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One object.")] = False,
    **given: Any,
) -> int:
    """Print every option's value and where it came from."""
    loaded = load_aloud(given, app)
    for why in warnings(environment()):
        complain(why)
    rows = [
        (each.name, getattr(loaded.settings, each.name), loaded.origins[each.name])
        for each in fields(Settings)
    ]
    if as_json:
        typer.echo(
            dump_json(
                {name: {"value": value, "origin": origin} for name, value, origin in rows}, indent=2
            )
        )
        return DONE
    width = max(len(name) for name, _, _ in rows)
    for name, value, origin in rows:
        say(f"{name:<{width}}  {'' if value is None else value!s:<24}  {origin}")
    return DONE
