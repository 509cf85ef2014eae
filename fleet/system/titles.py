"""What `ps` shows of a process."""

from collections.abc import Callable
from importlib.machinery import PathFinder

from fleet.core.plain_text import one_line


def _find_setter() -> Callable[[str], object]:
    """setproctitle's own function, in C.

    Its package imports logging and threading, whose functions would run at every fork: it is
    imported only where the module in C is not found beside it.
    """
    package = PathFinder.find_spec("setproctitle")
    inside = package.submodule_search_locations if package else None
    spec = PathFinder.find_spec("setproctitle._setproctitle", inside) if inside else None
    if spec is None or spec.loader is None:
        import setproctitle

        return setproctitle.setproctitle
    module = spec.loader.create_module(spec)
    assert module is not None  # noqa: S101
    spec.loader.exec_module(module)
    setter: Callable[[str], object] = module.setproctitle
    return setter


_set = _find_setter()


def show(title: str) -> None:
    """Have the title shown from now on."""
    _set(one_line(title))
