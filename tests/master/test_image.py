"""What the master carries with it: it reads the command line, and lives as long as the pool."""

import subprocess
import sys
from pathlib import Path

from tests.support import images
from tests.support.pool import REPOSITORY

# Up to the moment at which it would wait for what happens.
PROGRAM = """
import os, sys
from fleet.__main__ import main
from fleet.master.loop import Master
def run(_): os.write(1, " ".join(sys.modules).encode()); os._exit(0)
Master.run = run
main()
"""


def test_the_list_of_its_modules(tmp_path: Path) -> None:
    where = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, "start", "-q", "x", "app:job"],
        env={"PYTHONPATH": str(REPOSITORY), **where},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    images.check("master", run.stdout.split())
