"""The commands, registered with typer."""

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from fleet.cli import health
from fleet.cli.common import cli
from fleet.cli.failure import CommandFailed
from fleet.core.exit_codes import DONE, USAGE
from fleet.core.plain_text import one_line
from fleet.version import VERSION

COMMANDS = (
    "start",
    "status",
    "scale",
    "pause",
    "resume",
    "stop",
    "send",
    "local",
    "health",
    "config",
    "simulate",
)
"""In the order of the help. The module of the name registers the command when it is imported."""


@cli.command(
    name="health", add_help_option=False, context_settings={"ignore_unknown_options": True}
)
def _health(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> int:
    """Tell whether a pool lives: a container's liveness probe."""
    # __main__.py runs it before typer is imported: it is registered for the help alone.
    return health.run(arguments or [])


def register(arguments: Sequence[str]) -> None:
    """Import the command that is asked for: the others cost a start a quarter of its imports.

    Import all of them for the help, and for the complaint about what is no command.
    """
    if arguments and arguments[0] in COMMANDS:
        importlib.import_module(f"fleet.cli.{arguments[0]}")
        return
    for name in COMMANDS:
        importlib.import_module(f"fleet.cli.{name}")
    cli.registered_commands.sort(
        key=lambda each: COMMANDS.index(each.name or getattr(each.callback, "__name__", ""))
    )


@cli.callback(invoke_without_command=True)
def _fleet(
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
) -> int:
    if version:
        typer.echo(f"fleet {VERSION}")
        raise typer.Exit(DONE)
    return DONE


def run() -> int:
    """Run the command that the program's arguments ask for.

    Returns its exit status. Raises CommandFailed, KeyboardInterrupt.
    """
    try:
        return int(cli(prog_name="fleet", standalone_mode=False) or DONE)
    except typer.TyperException as error:
        raise CommandFailed(USAGE, error.format_message(), page=_misuse(error)) from None
    except typer.Abort:
        raise KeyboardInterrupt from None


def _misuse(error: typer.TyperException) -> str:
    """What is wrong, and which page has more; of a command line without a word, that page."""
    if len(sys.argv) == 1:
        return f"{error.format_message()}\n"
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "fleet"
    return f"fleet: {one_line(error.format_message())} ({command} --help)\n"
