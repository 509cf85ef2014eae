"""The program: the console script `fleet`, and `python -m fleet`.

What must be quick (`--version`, a liveness probe) is answered before typer is imported. A Ctrl-C
that comes before there is anything to end (the imports take a moment) ends it as it would any
program, without a traceback.
"""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Import the rest, and run it."""
    caught = (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )  # else a shell has it ignored
    if caught:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _answer_quickly(sys.argv[1:])
    from fleet.cli.main import main as run

    if caught:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _answer_quickly(arguments: list[str]) -> None:
    """Return if it is nothing for here. `check` with a health file and no APP is what `health` was
    called before.
    """
    if arguments[:1] == ["--version"]:
        from fleet.core.exit_codes import DONE
        from fleet.version import VERSION

        try:
            sys.stdout.write(f"fleet {VERSION}\n")
            sys.stdout.flush()
        except OSError:  # no place for it: the whole program says so
            return
        sys.exit(DONE)
    if arguments[:1] in (["health"], ["check"]):
        from fleet.cli.health import run

        sys.exit(run(arguments[1:]))


if __name__ == "__main__":
    main()
