"""argv → Settings → command. The only place that ends the program, with the contract's exit status."""

import errno
import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from fleet.cli import check, config, operate, send, serve, simulate, start, status
from fleet.cli.base import DONE, FAULT, USAGE, Failure, cli
from fleet.system import host, log
from fleet.version import VERSION

COMMANDS = (start, status, operate, send, serve, check, config, simulate)  # importing them has registered them
HELP_ORDER = ("start", "status", "scale", "pause", "resume", "stop", "send", "local", "check", "config", "simulate")
cli.registered_commands.sort(key=lambda each: HELP_ORDER.index(each.name or getattr(each.callback, "__name__", "")))


def main() -> NoReturn:
    """The console script."""
    os.environ.setdefault("SPT_NOENV", "1")  # setproctitle: leave /proc/PID/environ alone
    host.open_standard_streams()
    try:
        code = cli(standalone_mode=False)
    except Failure as failure:
        host.complain(f"{failure.trace}fleet: {log.printable(str(failure))}\n")
        code = failure.code
    except typer.TyperException as error:
        host.complain(f"fleet: {error.format_message()} (fleet --help)\n")
        code = USAGE
    except (typer.Abort, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = DONE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer has no place either
        host.complain(f"fleet: what it has to say has no place: {error.strerror}\n")
        code = FAULT
    sys.exit(code or 0)


@cli.callback(invoke_without_command=True)
def _fleet(
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
) -> int:
    if version:
        typer.echo(f"fleet {VERSION}")
        raise typer.Exit(DONE)
    return DONE
