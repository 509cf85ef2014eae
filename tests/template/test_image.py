"""What the processes that fork jobs carry with them, and each of their forks pays for."""

import subprocess
import sys

import pytest

# What the standard library registers with os.register_at_fork runs at every fork of a job.
LIST_HOOKS = """
import os, sys
found = []
def register(**_): found.append(sys._getframe(1).f_globals["__name__"])
os.register_at_fork = register
import {module}
print(*found)
"""


@pytest.mark.parametrize("module", ["fleet.dispatcher.process", "fleet.template.importing"])
def test_nothing_of_fleets_has_a_function_called_at_each_fork(module: str) -> None:
    """logging, random and threading would."""
    program = LIST_HOOKS.format(module=module)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []
