"""What a process of a pool has imported, held against a list.

The lists are beside this file, images/NAME.txt: one module a line; `<3.13` or `>=3.13` behind it
where the versions of Python differ. Of fleet's each module is listed, of others the top package.
Modules of the standard library with an underscore before their names come with those that are
listed, as each version has it. What a bare interpreter has is in no list.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

LISTS = Path(__file__).with_suffix("")
WHAT_TO_DO = """\
{name} has {found}
If it needs them, in every process of that kind for as long as it lives, say so in {file};
else import them where they are used, and take what is not there any more out of that list."""


def check(name: str, modules: Iterable[str]) -> None:
    """Fail unless `modules` are what the list of that name says."""
    file = LISTS / f"{name}.txt"
    bare = _units(_bare())
    expected = {unit for unit, *limit in _lines(file) if _is_meant(limit)} - bare
    found = _units(modules) - bare
    differences = [f"+ {unit}" for unit in sorted(found - expected)]
    differences += [f"- {unit}" for unit in sorted(expected - found)]
    assert not differences, WHAT_TO_DO.format(name=name, found=" ".join(differences), file=file)


def _bare() -> list[str]:
    program = "import sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return run.stdout.split()


def _units(modules: Iterable[str]) -> set[str]:
    """What the list has a line for."""
    tops = {each if each.startswith("fleet") else each.partition(".")[0] for each in modules}
    private = {each for each in tops if each.startswith("_") and each in sys.stdlib_module_names}
    return tops - private - {"__main__", "__mp_main__"}


def _lines(file: Path) -> list[list[str]]:
    lines = [line.split() for line in file.read_text().splitlines()]
    return [words for words in lines if words]


def _is_meant(limit: list[str]) -> bool:
    """Whether a line counts for this version of Python."""
    if not limit:
        return True
    (text,) = limit
    version = tuple(int(part) for part in text.lstrip("<>=").split("."))
    return (sys.version_info[:2] < version) == text.startswith("<")
