"""What a job leaves running, registers and prints when its code returns; and its hooks."""

import atexit
import os
import sys
import threading
from pathlib import Path

import jobs

INHERITED = (jobs.SHARED / "inherited").open("a")
INHERITED.write("import\n")
atexit.register(jobs.write, "inherited exit function", "")


def job(body: str) -> None:
    """Return at once, with something left to do."""
    jobs.write("started", body)
    what, _, argument = body.partition(" ")
    if what == "thread":
        threading.Thread(target=thread, args=(argument,), name="upload").start()
    elif what == "print":
        print(f"printed by {os.getpid()}")  # noqa: T201 - what is tested
        os._exit(3)
    elif what == "write":
        INHERITED.write(f"{argument}\n")
    elif what == "leave":
        sys.exit(int(argument))
    elif what == "fail":
        raise ValueError(argument)
    atexit.register(jobs.write, "exit function", body)


def thread(gate: str) -> None:
    """Work until the gate opens, after the job has returned."""
    jobs.write("thread begun", "")
    jobs.pass_gate(gate)
    jobs.write("thread done", "")


def begin() -> None:
    """--job-init."""
    jobs.write("init", "", [os.getpid(), os.environ["FLEET_JOB_ID"]])


def end(error: BaseException | None) -> None:
    """--job-exit: says what it was given, and hangs if it is told to."""
    jobs.write("exit", "", [os.getpid(), repr(error)])
    if (Path(os.environ["POOL_TEST_DIR"]) / "gate-hook").exists():
        jobs.pass_gate("hook")
