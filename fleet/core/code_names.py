"""How code is named: `module:attribute`, or `path/file.py:attribute`; and what is likely meant by
what is neither.
"""

import re

_ATTRIBUTE = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
_MODULE = re.compile(rf"{_ATTRIBUTE}:{_ATTRIBUTE}")
_FILE = re.compile(rf"[^\0]*[^/\0]\.py:{_ATTRIBUTE}")
RIGHT = "module:attribute or path/file.py:attribute"


def is_code(text: str) -> bool:
    """Whether the text names code in one of the two ways."""
    return bool(_MODULE.fullmatch(text) or _FILE.fullmatch(text))


def parts(code: str) -> tuple[str, str]:
    """The module or the file, and the attribute."""
    where, _, attribute = code.rpartition(":")
    return where, attribute


def is_file(where: str) -> bool:
    """Whether it is a file's path, not a module's name (a module `py` in a package `app` is
    unlikely).
    """
    return where.endswith(".py")


def short(code: str) -> str:
    """As it stands in a pool's name: of a file's path the last part."""
    where, attribute = parts(code)
    return f"{where.rsplit('/', 1)[-1]}:{attribute}" if is_file(where) else code


def malformed(code: str, what: str = "APP") -> str | None:
    """What is wrong with the way code is named, and what would be right; None if it is named well."""
    if is_code(code):
        return None
    return f"{what} is {code!r}; it must be {RIGHT}, for instance {_likely(code)}"


def _likely(code: str) -> str:
    """A name that is accepted, as near to what was written as can be."""
    where, found, attribute = code.rpartition(":")
    if not found:
        where, attribute = code, ""
    if not re.fullmatch(_ATTRIBUTE, attribute):
        attribute = "job"
    where = where.strip().strip("\0:")
    guess = f"{where}:{attribute}"
    if is_code(guess):
        return guess
    file = f"{where.removesuffix('/').removesuffix('.py')}.py:{attribute}"
    return file if is_code(file) else f"app:{attribute}"
