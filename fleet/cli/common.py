"""What the commands share: the application that they register with, and how they say something."""

import typer

from fleet.core.plain_text import one_line

cli = typer.Typer(
    name="fleet",
    help="A pre-forking batch server for Amazon SQS: one message, one process.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def say(text: str) -> None:
    """One line on standard output."""
    typer.echo(one_line(text))
