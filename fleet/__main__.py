"""The program: the console script `fleet`, and `python -m fleet`.

A Ctrl-C that comes before there is anything to end (the imports take a moment) ends it as it would end any program,
without a traceback of the imports.
"""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Import the rest, and run it."""
    caught = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else a shell has it ignored
    if caught:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fleet import cli

    if caught:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
