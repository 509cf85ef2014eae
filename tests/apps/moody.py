"""An app whose import, or whose template's forks, go wrong when the file "mood" says so."""

import posix

from jobs import SHARED, job, pass_gate, write

MOOD = SHARED / "mood"
forks = 0
"""How many forks this process is away from the template: 1 is between, 2 a dispatcher."""


def mood() -> str:
    return MOOD.read_text() if MOOD.exists() else ""


def hang() -> None:
    MOOD.unlink()  # once
    write("hanging", "")
    pass_gate("never")


def after_a_fork() -> None:
    global forks
    forks += 1
    if mood() == f"hang after fork {forks}":
        hang()


match mood():
    case "fail":
        raise ImportError("not today")
    case "hang":
        hang()

posix.register_at_fork(  # not os: what that is given at an import acts in jobs only
    after_in_child=after_a_fork
)

__all__ = ["job"]
