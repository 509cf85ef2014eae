"""What a job's process has imported: all that its dispatcher and the template have, and no more."""

import subprocess
import sys

from tests.support import images
from tests.support.pool import REPOSITORY, Home, StartPool
from tests.support.servers import LiveQueue

# What the standard library registers with os.register_at_fork runs at every fork of a job.
LIST_HOOKS = """
import os, sys
found = []
def register(**_): found.append(sys._getframe(1).f_globals["__name__"])
os.register_at_fork = register
import fleet.template.process
print(*found)
"""


def test_the_list_of_modules_of_what_jobs_are_forked_from(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """A module here is shared memory until it is written, and may register functions for forks."""
    queue.send("one")
    start("--max-jobs", "1", app="carrying:job", workers=1).wait()
    images.check("job", {*(home.directory / "modules").read_text().split()} - {"carrying"})


def test_no_function_is_called_at_each_fork_of_an_app_that_has_none() -> None:
    """logging, random and threading have one each."""
    run = subprocess.run(
        [sys.executable, "-c", LIST_HOOKS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == []
