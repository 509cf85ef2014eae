"""From `module:attribute` or `file.py:attribute` to a callable; errors say what would be right.

What only a file or an error needs is imported there: every job would carry it.
"""

import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fleet.core import code_names

if TYPE_CHECKING:
    from pathlib import Path

Job = Callable[..., Any]


class AppError(Exception):
    """The app cannot be loaded. `trace` is its own traceback if its own code raised, else empty."""

    def __init__(self, text: str, trace: str = "") -> None:
        super().__init__(text)
        self.trace = trace


def load(app: str) -> Job:
    """Import the module and get the attribute. The current directory is importable.

    Raises AppError.
    """
    where, path = code_names.split_name(app)
    directory = _current_directory()
    if directory and directory not in sys.path:
        sys.path.insert(0, directory)
    # What directories hold may be new. importlib.invalidate_caches() says so as well; from Python
    # 3.13 on it imports importlib.metadata for that, and with it email, random and threading.
    sys.path_importer_cache.clear()
    is_file = code_names.is_file(where)
    value: Any = _import_file(where) if is_file else _import_module(where, directory)
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            raise AppError(_explain_no_attribute(app, value, name)) from None
        except BaseException as error:  # noqa: BLE001 - a module's __getattr__, a property
            raise AppError(
                f"{app}: getting {name} failed: {type(error).__name__}", _trace_of_app(error)
            ) from None
    if not callable(value):
        raise AppError(f"{app} is of type {type(value).__name__}; a job must be callable")
    job: Job = value
    return job


def _current_directory() -> str:
    """The current directory.

    Empty when it has been removed: what is installed can be imported all the same.
    """
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _import_module(name: str, directory: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise AppError(_explain_no_module(error.name, name, directory)) from None
        raise AppError(f"importing {name} failed: {error}", _trace_of_app(error)) from None
    except BaseException as error:  # noqa: BLE001 - the app's own code raises it: SystemExit too
        raise AppError(
            f"importing {name} failed: {type(error).__name__}", _trace_of_app(error)
        ) from None


def _import_file(path: str) -> Any:
    """Import a file, whose directory is importable from then on, as with `python path/file.py`.

    The module has the file's name, where that is an identifier and not another module's name; so
    what pickles by name works.
    """
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    file = Path(path).absolute()
    if not file.is_file():
        raise AppError(f"there is no file {path}{_suggest_file(file)}")
    directory, name = str(file.parent), file.stem
    if directory not in sys.path:
        sys.path.insert(0, directory)
    if not name.isidentifier() or name in sys.modules or name in sys.stdlib_module_names:
        name = f"fleet_app_{re.sub(r'[^0-9A-Za-z_]', '_', name)}"
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise AppError(f"{path} cannot be imported: it is no Python file")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # noqa: BLE001 - as above
        sys.modules.pop(name, None)
        why = error if isinstance(error, ModuleNotFoundError) else type(error).__name__
        raise AppError(f"importing {path} failed: {why}", _trace_of_app(error)) from None
    return module


def _suggest_file(file: "Path") -> str:
    close = _most_like(file.name, [each.name for each in file.parent.glob("*.py")])
    return f"; did you mean {file.with_name(close)}?" if close else ""


def _most_like(word: str, known: Iterable[str]) -> str:
    """The known word that is nearly the same; empty if there is none."""
    import difflib

    return "".join(difflib.get_close_matches(word, list(known), n=1))


def _explain_no_module(missing: str, wanted: str, directory: str) -> str:
    """Say where the module was looked for, and which one there has nearly the same name."""
    from pkgutil import iter_modules

    text = f"there is no module {missing}" + (f" for {wanted}" if missing != wanted else "")
    text += f" in {directory}" if directory else "; the current directory has been removed"
    text += ", nor among what is installed"
    parent, _, last = missing.rpartition(".")
    paths = [directory] if directory else []
    if parent:
        paths = getattr(sys.modules.get(parent), "__path__", [])
    close = _most_like(last, {each.name for each in iter_modules(paths)})
    return text + (f"; did you mean {parent + '.' if parent else ''}{close}?" if close else "")


def _trace_of_app(error: BaseException) -> str:
    """The traceback without the frames that are fleet's or the import system's."""
    ours = __file__.rpartition("/")[0]
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not (file.startswith(("<frozen importlib", ours)) or file == importlib.__file__):
            break
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _explain_no_attribute(app: str, owner: Any, name: str) -> str:
    """Say what there is instead; what the module defines itself goes before its imports."""
    calls = [
        each
        for each, value in getattr(owner, "__dict__", {}).items()
        if callable(value) and not each.startswith("_")
    ]
    module = getattr(owner, "__name__", None)
    defined = [
        each for each in calls if getattr(getattr(owner, each), "__module__", None) == module
    ]
    shown = defined or calls
    close = _most_like(name, shown)
    listed = ", ".join(sorted(shown)[:8]) or "nothing callable"
    hint = f"did you mean {close}? " if close else ""
    return f"{app}: {module or type(owner).__name__} has no {name}; {hint}it has {listed}"
