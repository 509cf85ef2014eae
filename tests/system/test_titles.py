"""The title that ps shows, set without what the package around the setter imports."""

import subprocess
import sys
from importlib.machinery import PathFinder

import pytest
import setproctitle

from fleet.system import titles


def test_the_title_is_shown_and_no_package_is_imported() -> None:
    program = (
        "import sys; from fleet.system import titles; titles.show('fleet: a test'); "
        "print(open('/proc/self/cmdline').read().split(chr(0))[0].strip(), "
        "sorted({'setproctitle', 'logging', 'threading'} & set(sys.modules)), "
        "__import__('setproctitle').getproctitle(), sep='|')"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "fleet: a test|[]|fleet: a test\n"


@pytest.mark.parametrize("missing", ["setproctitle", "setproctitle._setproctitle"])
def test_the_package_is_used_where_its_module_is_not_found(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a zip file, whose modules other finders find."""
    find = PathFinder.find_spec
    monkeypatch.setattr(
        PathFinder, "find_spec", lambda name, *path: None if name == missing else find(name, *path)
    )
    assert titles._find_setter() is setproctitle.setproctitle
