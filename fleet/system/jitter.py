"""Chance, for what decides by it and draws none itself (fleet/core/).

Not by `random`: its generator would be seeded anew at every fork.
"""

import os

_BYTES = 6


def draw() -> float:
    """A random number in [0, 1)."""
    return int.from_bytes(os.urandom(_BYTES), "big") / (1 << 8 * _BYTES)
