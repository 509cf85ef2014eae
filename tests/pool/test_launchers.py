"""However fleet was started, its helpers run as it does: the interpreter's flags, and where modules
are found.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.eventually import PATIENCE
from tests.support.pool import REPOSITORY, Home
from tests.support.servers import LiveQueue

APP = """
import json, os, pathlib, sys
parsed = __import__('argparse').ArgumentParser().parse_args()
def job(body):
    flags = ('optimize', 'dev_mode', 'isolated', 'no_site', 'safe_path')
    found = {name: getattr(sys.flags, name) for name in flags}
    pids = (os.getpid(), os.getppid(), master())
    found |= {'errors': [os.readlink(f'/proc/{pid}/fd/2') for pid in pids]}
    found |= {'argv': sys.argv, 'warn': sys.warnoptions}
    found |= {'through': sys.__stdout__.write_through, 'fleet': fleet()}
    pathlib.Path(os.environ['POOL_TEST_DIR'], 'found').write_text(json.dumps(found))
def master():
    stat = pathlib.Path(f'/proc/{os.getppid()}/stat').read_text()
    return int(stat.rpartition(') ')[2].split()[1])
def fleet():
    import fleet.template
    return fleet.template.process.__file__
"""


def found(home: Home, queue: LiveQueue, *launcher: str, **environment: str) -> dict[str, object]:
    """What a job finds in a pool that was started so, in a directory whose modules would hide
    others.
    """
    queue.send("one")
    here = home.directory / "here"
    here.mkdir()
    (here / "work.py").write_text(APP)
    for name in ("queue", "job", "select", "app", "fleet", "json"):
        (here / f"{name}.py").write_text("raise SystemExit('hidden')\n")
    on = ("--queue", queue.name, "--endpoint-url", queue.server.endpoint, "--wait-time", "1")
    ended = subprocess.run(
        [sys.executable, *launcher, "start", *on, "--workers", "1", "--max-jobs", "1", "work:job"],
        cwd=here,
        env=home.environment() | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    home.wait_empty()
    told = json.loads((home.directory / "found").read_text())
    assert isinstance(told, dict)
    assert told["argv"] == ["work"]
    return told


START = "import sys; sys.argv[0] = 'fleet'; from fleet.__main__ import main; main()"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), {"optimize": 0, "dev_mode": False, "isolated": 0, "through": False}),
        (("-O",), {"optimize": 1}),
        (("-OO", "-X", "dev"), {"optimize": 2, "dev_mode": True}),
        (("-u",), {"through": True}),
        (("-W", "error::UserWarning"), {"warn": ["error::UserWarning"]}),
        (("-I",), {"isolated": 1, "safe_path": True}),
    ],
)
def test_the_interpreters_flags(
    home: Home, queue: LiveQueue, flags: tuple[str, ...], told: dict[str, object]
) -> None:
    there = found(home, queue, *flags, "-P", "-c", START)
    assert {name: there[name] for name in told} == told


def test_a_changed_path(home: Home, queue: LiveQueue) -> None:
    """As a launcher changes it before it starts fleet."""
    start = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); {START}"
    found(home, queue, "-P", "-c", start, PYTHONPATH="")


def test_an_archive(home: Home, queue: LiveQueue) -> None:
    """As zipapp and others make them: fleet itself is in it."""
    archive = home.directory / "fleet.pyz"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(Path(REPOSITORY, "fleet").rglob("*.py")):
            packed.write(file, file.relative_to(REPOSITORY))
        packed.writestr("__main__.py", "from fleet.__main__ import main\nmain()\n")
    there = found(home, queue, str(archive), PYTHONPATH="")
    assert there["fleet"] == str(archive / "fleet" / "template" / "process.py")


def test_closed_standard_descriptors(home: Home, queue: LiveQueue) -> None:
    """What is opened first must not be taken for standard error."""
    start = f"import os; os.closerange(0, 3); {START}"
    assert found(home, queue, "-P", "-c", start)["errors"] == ["/dev/null"] * 3
