"""Load the app: `module:attribute` → a callable, with errors that say what would be right."""

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from fleet.core.names import CODE

Job = Callable[..., Any]


class AppError(Exception):
    """The app cannot be loaded. `trace` is its own traceback if its own code raised, else empty."""

    def __init__(self, text: str, trace: str = "") -> None:
        super().__init__(text)
        self.trace = trace


def malformed(app: str) -> str | None:
    """What is wrong with the way APP is written; None if it is `module:attribute`."""
    if CODE.fullmatch(app):
        return None
    if app.endswith(".py") or "/" in app:
        guess = app.removesuffix(".py").strip("./").replace("/", ".")
        return f"APP is {app!r}; it must be module:attribute, for instance {guess}:job"
    return f"APP is {app!r}; it must be module:attribute, for instance {app.split(':')[0] or 'app'}:job"


def load(app: str) -> Job:
    """Import the module and get the attribute. The current directory is importable. Raises AppError."""
    module_name, _, path = app.partition(":")
    here = _here()
    if here and here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    found: Any = _imported(module_name, here)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise AppError(_no_attribute(app, found, name)) from None
        except BaseException as error:  # noqa: BLE001 - a module's __getattr__, a property: the app's own code
            raise AppError(f"{app}: getting {name} failed: {type(error).__name__}", _own_trace(error)) from None
    if not callable(found):
        raise AppError(f"{app} is of type {type(found).__name__}; a job must be callable")
    job: Job = found
    return job


def _here() -> str:
    """The current directory; nothing when it has been removed, for what is installed can be imported all the same."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _imported(name: str, here: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            others = [entry for entry in sys.path if entry and entry != here]
            where = f"searched {here} first, then" if here else "the current directory has been removed; searched"
            text = f"there is no module {error.name!r} for {name}; {where} {os.pathsep.join(others)}"
            raise AppError(text) from None
        raise AppError(f"importing {name} failed: {error}", _own_trace(error)) from None
    except BaseException as error:  # noqa: BLE001 - whatever the app's own code raises, SystemExit too, is its failure
        raise AppError(f"importing {name} failed: {type(error).__name__}", _own_trace(error)) from None


def _own_trace(error: BaseException) -> str:
    """The traceback without the frames that are fleet's or the import system's."""
    ours = str(Path(__file__).parent)
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not (file.startswith(("<frozen importlib", ours)) or file == importlib.__file__):
            break
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _no_attribute(app: str, owner: Any, name: str) -> str:
    there = [
        each for each, value in getattr(owner, "__dict__", {}).items() if callable(value) and not each.startswith("_")
    ]
    module = getattr(owner, "__name__", None)
    own = [each for each in there if getattr(getattr(owner, each), "__module__", None) == module] or there
    close = difflib.get_close_matches(name, own, n=1)
    listed = ", ".join(sorted(own)[:8]) or "nothing callable"
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{app}: {module or type(owner).__name__} has no {name}; {hint}it has {listed}"
