"""The command line that starts a module of fleet in a fresh interpreter; it starts nothing."""

import json
import os
import sys
from collections.abc import Iterable

# No garbage is collected before the module's main begins: imports leave none that is worth a
# search, and the searches take a tenth of a start's time.
_START = """
import gc, json, sys; gc.disable(); sys.path[:] = json.loads(sys.argv[1])
import importlib; main = importlib.import_module(sys.argv[2]).main; gc.enable()
main(sys.argv[3:])
"""


def command_line(module: str, arguments: Iterable[str]) -> list[str]:
    """The command that calls `module.main(arguments)`, with our flags and our module path."""
    start = [sys.executable, *_flags(), "-P", "-c", _START]
    return [*start, json.dumps(_module_path()), module, *arguments]


def _flags() -> list[str]:
    """The flags of this interpreter. -u is in none of Python's own lists of them."""
    import subprocess  # the processes that fork jobs start no interpreter

    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [*flags, *(["-u"] if getattr(sys.stdout, "write_through", False) else [])]


def _module_path() -> list[str]:
    """Where modules are looked for: as here, since a launcher may have changed it (zipapp, pex).

    But not in the script's or the current directory: a module there (`queue.py`) would hide one
    that fleet needs.
    """
    path = [*sys.path]
    script = os.path.dirname(os.path.realpath(sys.argv[0] or "."))  # noqa: PTH120 - "" stays ""
    if not sys.flags.safe_path and path and path[0] in ("", _current_directory(), script):
        path = path[1:]
    root = os.path.realpath(__file__).rsplit("/", 3)[0]
    return path if root in path else [*path, root]


def _current_directory() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None
