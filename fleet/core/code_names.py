"""How the user's code is named: `module:attribute`, or `path/file.py:attribute`.

And what is likely meant by a text that is neither.
"""

import re

_ATTRIBUTE = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
_MODULE = re.compile(rf"{_ATTRIBUTE}:{_ATTRIBUTE}")
_FILE = re.compile(rf"[^\0]*[^/\0]\.py:{_ATTRIBUTE}")
RIGHT = "module:attribute or path/file.py:attribute"


def is_code(text: str) -> bool:
    """Whether the text names code in one of the two ways."""
    return bool(_MODULE.fullmatch(text) or _FILE.fullmatch(text))


def split_name(code: str) -> tuple[str, str]:
    """The module or the file, and the attribute."""
    where, _, attribute = code.rpartition(":")
    return where, attribute


def is_file(where: str) -> bool:
    """Whether it is a file's path, not a module's name.

    A module `py` in a package `app` is unlikely.
    """
    return where.endswith(".py")


def short_name(code: str) -> str:
    """The name as it stands in a pool's name: of a file's path the last part."""
    where, attribute = split_name(code)
    return f"{where.rsplit('/', 1)[-1]}:{attribute}" if is_file(where) else code


def explain_malformed(app: str) -> str | None:
    """What is wrong with the name of the app, and what would be right; None if it names code."""
    if is_code(app):
        return None
    return f"APP is {app!r}; it must be {RIGHT}, for instance {_propose(app)}"


def _propose(code: str) -> str:
    """A name that is accepted, as near to what was written as can be."""
    where, colon, attribute = code.rpartition(":")
    if not colon:
        where, attribute = code, ""
    if not re.fullmatch(_ATTRIBUTE, attribute):
        attribute = "job"
    where = where.strip().strip("\0:")
    name = f"{where}:{attribute}"
    if is_code(name):
        return name
    file = f"{where.removesuffix('/').removesuffix('.py')}.py:{attribute}"
    return file if is_code(file) else f"app:{attribute}"
