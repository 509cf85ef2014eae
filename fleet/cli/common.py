"""What all commands share.

The application that they register with, how a command says something, and how it fails.
"""

import typer

from fleet.core.plain_text import one_line
from fleet.system import stderr

LOCAL_REGION, LOCAL_KEY = "us-east-1", "fleet"  # what the embedded server is spoken to with


class CommandFailed(Exception):
    """The command ends with the exit status `code` after one line on standard error.

    `trace`: a traceback of the app's, which stands before that line.
    """

    def __init__(self, code: int, text: str, trace: str = "") -> None:
        super().__init__(text)
        self.code, self.trace = code, trace


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


def complain(text: str) -> None:
    """One line on standard error."""
    stderr.complain(f"fleet: {one_line(text)}\n")
