"""Load the app: `module:attribute` or `file.py:attribute` → a callable, with errors that say what
would be right.
"""

import difflib
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from fleet.core import code_names

Job = Callable[..., Any]


class AppError(Exception):
    """The app cannot be loaded. `trace` is its own traceback if its own code raised, else empty."""

    def __init__(self, text: str, trace: str = "") -> None:
        super().__init__(text)
        self.trace = trace


def load(app: str) -> Job:
    """Import the module and get the attribute. The current directory is importable. Raises
    AppError.
    """
    where, path = code_names.split_name(app)
    here = _here()
    if here and here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    found: Any = _from_file(where) if code_names.is_file(where) else _imported(where, here)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise AppError(_no_attribute(app, found, name)) from None
        except BaseException as error:  # noqa: BLE001 - a module's __getattr__, a property: the app's own code
            raise AppError(
                f"{app}: getting {name} failed: {type(error).__name__}", _own_trace(error)
            ) from None
    if not callable(found):
        raise AppError(f"{app} is of type {type(found).__name__}; a job must be callable")
    job: Job = found
    return job


def _here() -> str:
    """The current directory; nothing when it has been removed, for what is installed can be
    imported all the same.
    """
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _imported(name: str, here: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise AppError(_no_module(error.name, name, here)) from None
        raise AppError(f"importing {name} failed: {error}", _own_trace(error)) from None
    except BaseException as error:  # noqa: BLE001 - whatever the app's own code raises, SystemExit too, is its failure
        raise AppError(
            f"importing {name} failed: {type(error).__name__}", _own_trace(error)
        ) from None


def _from_file(path: str) -> Any:
    """The module in a file, whose directory is importable from then on, as with `python
    path/file.py`.

    Its name is the file's, where that is a module's name and not another module's; so what pickles
    by name works.
    """
    file = Path(path).absolute()
    if not file.is_file():
        raise AppError(f"there is no file {path}{_like_it(file)}")
    directory, name = str(file.parent), file.stem
    if directory not in sys.path:
        sys.path.insert(0, directory)
    if not name.isidentifier() or name in sys.modules or name in sys.stdlib_module_names:
        name = f"fleet_app_{re.sub(r'[^0-9A-Za-z_]', '_', name)}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise AppError(f"{path} cannot be imported: it is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # noqa: BLE001 - as above
        sys.modules.pop(name, None)
        why = error if isinstance(error, ModuleNotFoundError) else type(error).__name__
        raise AppError(f"importing {path} failed: {why}", _own_trace(error)) from None
    return module


def _like_it(file: Path) -> str:
    close = difflib.get_close_matches(
        file.name, [each.name for each in file.parent.glob("*.py")], n=1
    )
    return f"; did you mean {file.with_name(close[0])}?" if close else ""


def _no_module(missing: str, wanted: str, here: str) -> str:
    """One line: where it was looked for, and what is there that is called nearly the same."""
    text = f"there is no module {missing}" + (f" for {wanted}" if missing != wanted else "")
    text += f" in {here}" if here else "; the current directory has been removed"
    text += ", nor among what is installed"
    parent, _, last = missing.rpartition(".")
    places = (
        getattr(sys.modules.get(parent), "__path__", ()) if parent else ((here,) if here else ())
    )
    there = {each.name for each in pkgutil.iter_modules(places)}
    close = difflib.get_close_matches(last, there, n=1)
    return text + (f"; did you mean {parent + '.' if parent else ''}{close[0]}?" if close else "")


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
        each
        for each, value in getattr(owner, "__dict__", {}).items()
        if callable(value) and not each.startswith("_")
    ]
    module = getattr(owner, "__name__", None)
    own = [
        each for each in there if getattr(getattr(owner, each), "__module__", None) == module
    ] or there
    close = difflib.get_close_matches(name, own, n=1)
    listed = ", ".join(sorted(own)[:8]) or "nothing callable"
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{app}: {module or type(owner).__name__} has no {name}; {hint}it has {listed}"
