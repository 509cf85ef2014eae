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

_LETTERS = {
    "optimize": "O",
    "debug": "d",
    "dont_write_bytecode": "B",
    "no_site": "S",
    "verbose": "v",
    "bytes_warning": "b",
    "quiet": "q",
}
_ISOLATED = {"ignore_environment": "E", "no_user_site": "s", "safe_path": "P"}  # -I: all three
_BYTES_WARNING = ("", "default", "error")  # by how often -b was given; more is as twice


def command_line(module: str, arguments: Iterable[str]) -> list[str]:
    """The command that calls `module.main(arguments)`, with our flags and our module path."""
    start = [sys.executable, *_flags(), "-P", "-c", _START]
    return [*start, json.dumps(_module_path()), module, *arguments]


def _flags() -> list[str]:
    """The flags of this interpreter.

    The standard library has the like (subprocess._args_from_interpreter_flags), in a module that
    the master would carry for it alone; it leaves out -u and most of -X.
    """
    flags = ["-" + letter * getattr(sys.flags, name) for name, letter in _LETTERS.items()]
    if sys.flags.isolated:
        flags.append("-I")
    else:
        flags += [f"-{letter}" for name, letter in _ISOLATED.items() if getattr(sys.flags, name)]
    if getattr(sys.stdout, "write_through", False):
        flags.append("-u")
    implied = [f"{_BYTES_WARNING[min(sys.flags.bytes_warning, 2)]}::BytesWarning"]
    implied += ["default"] if sys.flags.dev_mode else []
    for each in sys.warnoptions:
        if each in implied:
            implied.remove(each)
        else:
            flags.append(f"-W{each}")
    for name, value in sys._xoptions.items():
        flags += ["-X", name if value is True else f"{name}={value}"]
    return [each for each in flags if each != "-"]


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
