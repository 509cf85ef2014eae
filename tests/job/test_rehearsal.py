"""A rehearsal settles how a job's code is run, and leaves nothing else behind."""

import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import atexit, json, os
{before}
from fleet.job import api, call, rehearsal
from fleet.system.descriptors import open_descriptors
os.environ["FLEET_JOB_SLOT"] = "the user's own"
environment = dict(os.environ)
callbacks = atexit._ncallbacks()
rehearsal.rehearse(open_descriptors())
is_alone = dict(os.environ) == environment and atexit._ncallbacks() == callbacks
import dis
def names(adaptive):
    return [each.opname for each in dis.get_instructions(call.call_job, adaptive=adaptive)]
is_settled = names(True) != names(False)
try:
    message = repr(api.message())
except LookupError:
    message = ""
print(json.dumps([is_alone, is_settled, message]))
"""


def run(before: str = "") -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return list(json.loads(done.stdout))


def test_it_leaves_nothing_but_what_it_is_for() -> None:
    assert run() == [True, True, ""]


@pytest.mark.parametrize("before", ["atexit.register(int)", "import threading"])
def test_it_is_left_out_where_it_could_end_what_others_have_begun(before: str) -> None:
    assert run(before) == [True, False, ""]
