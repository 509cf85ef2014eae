"""The console script runs the command that the arguments name.

It ends the program with the command's exit status. Nothing else ends the program, but for what
__main__.py answers before. typer is imported by what needs it (commands.py), which `fleet start`
does not: the master would carry it.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from fleet.cli.failure import CommandFailed
from fleet.core.exit_codes import BY_SIGNAL, DONE, FAULT
from fleet.core.plain_text import one_line
from fleet.system import host, log, stderr


def main() -> NoReturn:
    """Run a command, and end the program."""
    run(choose(sys.argv[1:]))


def choose(arguments: Sequence[str]) -> Callable[[], int]:
    """Import the command that is asked for; returns what runs it."""
    os.environ.setdefault("SPT_NOENV", "1")  # setproctitle: leave /proc/PID/environ alone
    host.open_standard_streams()
    if arguments[:1] == ["start"]:
        from fleet.cli import new_pool, start_line

        if asked := start_line.read(arguments[1:]):
            return lambda: new_pool.run(*asked)
    from fleet.cli import commands

    commands.register(arguments)
    return commands.run


def run(command: Callable[[], int]) -> NoReturn:
    """Run what `choose` has returned, and end the program."""
    sys.exit(_run(command))


def _run(command: Callable[[], int]) -> int:
    """The exit status of the command; what it cannot do is said."""
    try:
        return command()
    except CommandFailed as failure:
        _complain(failure)
        return failure.code
    except KeyboardInterrupt:
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


def _complain(failure: CommandFailed) -> None:
    """Why the command ends: one line; an object where the log is one of objects."""
    if _wants_objects():
        if not log.is_json():
            log.configure("info", "json")
        log.emit("start.failed", error=str(failure), code=failure.code, traceback=failure.trace)
    else:
        stderr.complain(failure.page or f"{failure.trace}fleet: {one_line(str(failure))}\n")


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
