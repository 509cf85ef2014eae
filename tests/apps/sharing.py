"""Jobs that make shared memory and do not give it back: `VERB NAME`."""

import os
import signal
import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory

from jobs import SHARED, write

kept = (
    [SharedMemory(os.environ["AT_IMPORT"], create=True, size=64)]
    if "AT_IMPORT" in os.environ
    else []
)

PRETENDER = "import signal\ndef main():\n    signal.pause()\n"


def in_a_child(name: str) -> None:
    """Its tracker is the child's child."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        make(name)
        os.write(writer, b".")
        signal.pause()
    os.read(reader, 1)


def make(name: str) -> None:
    kept.append(SharedMemory(name, create=True, size=64))


def pretend(_name: str) -> None:
    """Leave a process that only looks like a tracker, and does not end."""
    (SHARED / "resource_tracker.py").write_text(PRETENDER)
    program = [sys.executable, "-c", "from resource_tracker import main; main()"]
    write("pretender", "", subprocess.Popen(program, cwd=SHARED).pid)


def handler(body: str) -> None:
    write("handled", body)


def job(body: str) -> None:
    verb, name = body.split()
    {"in-a-child": in_a_child, "pretend": pretend}.get(verb, make)(name)
    write("made", body)
    match verb:
        case "die" | "in-a-child":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hold":
            signal.pause()
