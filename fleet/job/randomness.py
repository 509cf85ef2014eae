"""Random numbers of a job's own: what is forked with a generator's state would draw the same in
every job.

Python's own `random` sees to that by itself. Generator objects that the app has made at its import
are nobody's to change: make them in the job.
"""

import contextlib
import sys

_GLOBAL = (
    ("numpy.random", "seed"),
    ("torch", "seed"),
)  # without an argument both take it from the system


def reseed() -> None:
    """In a fork child: the global generators of what is loaded."""
    for name, function in _GLOBAL:
        module = sys.modules.get(name)
        if module is not None:
            with contextlib.suppress(
                Exception
            ):  # half imported, or a generator that cannot be seeded like that
                getattr(module, function)()
