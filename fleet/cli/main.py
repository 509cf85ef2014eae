"""The console script runs the command that the arguments name.

It ends the program with the command's exit status. Nothing else ends the program, but for what
__main__.py answers before typer is imported.
"""

import errno
import importlib
import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from fleet.cli import health
from fleet.cli.common import CommandFailed, cli
from fleet.core.exit_codes import BY_SIGNAL, DONE, FAULT, USAGE
from fleet.core.plain_text import one_line
from fleet.system import host, log, stderr
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


def _register(arguments: list[str]) -> None:
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


def main() -> NoReturn:
    """Run a command, and end the program."""
    os.environ.setdefault("SPT_NOENV", "1")  # setproctitle: leave /proc/PID/environ alone
    host.open_standard_streams()
    _register(sys.argv[1:])
    sys.exit(_run())


def _run() -> int:
    """The exit status of the command; what it cannot do is said."""
    try:
        return int(cli(prog_name="fleet", standalone_mode=False) or DONE)
    except CommandFailed as failure:
        _complain(str(failure), failure.code, failure.trace)
        return failure.code
    except typer.TyperException as error:
        if _wants_objects():
            _complain(error.format_message(), USAGE)
        else:
            stderr.complain(_misuse(error))
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        return BY_SIGNAL + signal.SIGINT
    except BrokenPipeError:  # the reader of our output has gone
        _drop_output()
        return DONE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _drop_output()  # what is left in the buffer has no place either
        stderr.complain(f"fleet: what it has to say has no place: {error.strerror}\n")
        return FAULT


def _drop_output() -> None:
    """Let Python flush standard output to nowhere at the end: it would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _complain(why: str, code: int, trace: str = "") -> None:
    """Why the command ends: one line; an object where the log is one of objects."""
    if _wants_objects():
        if not log.is_json():
            log.configure("info", "json")
        log.emit("start.failed", error=why, code=code, traceback=trace)
    else:
        stderr.complain(f"{trace}fleet: {one_line(why)}\n")


def _wants_objects() -> bool:
    """Whether this is a pool whose log is read by a program, also when its other settings were not
    understood.
    """
    words = sys.argv[1:]
    if log.is_json() or words[:1] != ["start"]:
        return log.is_json()
    given = [
        words[place + 1 : place + 2] for place, word in enumerate(words) if word == "--log-format"
    ]
    given += [
        [word.removeprefix("--log-format=")] for word in words if word.startswith("--log-format=")
    ]
    return ["json"] in given or (not given and os.environ.get("FLEET_LOG_FORMAT") == "json")


def _misuse(error: typer.TyperException) -> str:
    """What is wrong, and which page has more; of a command line without a word, that page."""
    if len(sys.argv) == 1:
        return f"{error.format_message()}\n"
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "fleet"
    return f"fleet: {one_line(error.format_message())} ({command} --help)\n"
