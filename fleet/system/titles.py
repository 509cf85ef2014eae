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


put = _find_setter()
"""Have this title shown from now on; it is a clean one."""


def clean(title: str) -> str:
    """The title in one line, without anything that would act on a terminal."""
    return one_line(title)


def show(title: str) -> None:
    """Have the title shown from now on."""
    put(clean(title))
