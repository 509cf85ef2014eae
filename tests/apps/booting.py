"""The app of the fault matrix: its import waits at the gate "import", a new dispatcher at the gate
"birth", if told to.

Told by the files "hold-import" and "hold-birth".
"""

import posix

from jobs import SHARED, job, pass_gate, write

forks = 0
"""How many forks this process is away from the template: 1 is between, 2 a dispatcher."""


def wait(where: str) -> None:
    if (SHARED / f"hold-{where}").exists():
        write(where, "")
        pass_gate(where)


def after_a_fork() -> None:
    global forks
    forks += 1
    if forks == 2:
        wait("birth")


posix.register_at_fork(  # not os: what that is given at an import acts in jobs only
    after_in_child=after_a_fork
)
wait("import")

__all__ = ["job"]
