"""Nothing of the caller's reaches a test or its programs but what is named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.eventually import PATIENCE
from tests.support.pool import REPOSITORY, Home

OTHERS = (
    *(
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_CA_BUNDLE",
        "FLEET_QUEUE",
        "FLEET_BODY",
    ),
    *("FLEET_CONFIG", "HTTPS_PROXY", "XDG_RUNTIME_DIR", "NOTIFY_SOCKET", "USER", "TMP"),
)
WORKING = {
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
    "NO_COLOR": "1",
    "COLUMNS": "20",
    "PYTHONUNBUFFERED": "1",
}
CALLERS = dict.fromkeys(OTHERS, "/none") | WORKING
TEST = '''
import json, os, resource, signal, subprocess, sys, time
from pathlib import Path
from tests.support.pool import Home
PROGRAM = """import json, os, signal
ignored = [n for n in (1, 2, 3) if signal.getsignal(n) is signal.SIG_IGN]
print(json.dumps([dict(os.environ), ignored]))"""
def test_here():
    named = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "CI", "HOME", "PYTHONDONTWRITEBYTECODE")
    assert not [name for name in os.environ if name not in named and not name.startswith("PYTEST_")]
    assert not list(Path.home().iterdir())
    assert (time.tzname[0], os.umask(0o022)) == ("UTC", 0o022)
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
def test_a_program(tmp_path):
    home = Home(tmp_path)
    command = [sys.executable, "-c", PROGRAM]
    told = subprocess.run(command, env=home.environment(), capture_output=True, check=True)
    found, ignored = json.loads(told.stdout)
    assert found.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # what Python itself makes of none
    assert found == home.environment()
    assert ignored == []
'''


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_callers_surroundings_reach_nothing(home: Home) -> None:
    """Variables, umask, ignored signals and limits, as a shell's job under nohup has them."""
    file = home.directory / "test_it.py"
    file.write_text(TEST)
    pytest_ = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    shell = 'trap "" HUP INT QUIT; umask 077; ulimit -c $(ulimit -H -c); exec "$@"'
    run = subprocess.run(
        ["sh", "-c", shell, "sh", *pytest_, "--rootdir", str(home.directory), str(file)],
        cwd=REPOSITORY,
        env=home.environment() | CALLERS,
        timeout=PATIENCE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 passed" in run.stdout


def test_scripts_give_what_they_run_no_more(home: Home) -> None:
    """Neither what is the caller's nor what would change their own Python."""
    text = (REPOSITORY / "scripts" / "run").read_text()
    script = home.directory / "a b" / "scripts" / "run"
    script.parent.mkdir(parents=True)
    script.write_text(text)
    for name, does in {"scripts/venv": "exit 0", ".venv/bin/tell": 'env; echo "$PWD: $*"'}.items():
        path = script.parents[1] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)
    link = home.directory / "link"
    link.symlink_to(script.parents[1])
    env = {
        **home.environment(),
        **CALLERS,
        "PYTHONPATH": "/none",
        "PYTHONSAFEPATH": "1",
        "CDPATH": "/",
    }
    command = ["sh", "scripts/run", "dev", "tell", "one two", "*"]
    told = subprocess.run(
        command, cwd=link, env=env, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert told[-1] == f"{os.path.realpath(script.parents[1])}: one two *"
    names = {line.partition("=")[0] for line in told[:-1]}
    named = {"PATH", "HOME", "TMPDIR", "LC_ALL", "NO_COLOR", "COLUMNS", "LD_LIBRARY_PATH"}
    assert names <= named | {"PWD", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}
    assert "AWS_CONFIG_FILE=/dev/null" in told
