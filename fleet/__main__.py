"""The program: the console script `fleet`, and `python -m fleet`.

What must be quick (`--version`, a liveness probe) is answered before a command is imported. The
imports take a moment: a Ctrl-C that comes meanwhile ends the program by that signal, without a
traceback.
"""

import gc
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Answer what must be quick, else import the command that is asked for and run it."""
    # A shell has SIGINT ignored for what it runs in the background: then it stays so.
    is_caught = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_caught:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _answer_quickly(sys.argv[1:])
    gc.disable()  # imports leave no garbage that is worth the searches, a tenth of their time
    from fleet.cli.main import choose, run

    command = choose(sys.argv[1:])
    gc.enable()
    if is_caught:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run(command)


def _answer_quickly(arguments: list[str]) -> None:
    """End the program if this is all it is to do. `check` is what `health` was called before."""
    if arguments[:1] == ["--version"]:
        from fleet.core.exit_codes import DONE
        from fleet.version import VERSION

        try:
            sys.stdout.write(f"fleet {VERSION}\n")
            sys.stdout.flush()
        except OSError:  # it cannot be written: the whole program says so
            return
        sys.exit(DONE)
    if arguments[:1] in (["health"], ["check"]):
        from fleet.cli.health import run

        sys.exit(run(arguments[1:]))


if __name__ == "__main__":
    main()
