"""The app that the tests run: a message's body says what its job does, as in "hold gate-name" or
"exit 3".

Every job writes "started" and, when it comes to its end, "done" to the trace
(tests/support/gates.py).
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

SHARED = Path(os.environ["POOL_TEST_DIR"])


def write(what: str, body: str, detail: object = None) -> None:
    """Append one line to the trace, in one write."""
    line = {
        "what": what,
        "body": body,
        "message_id": os.environ.get("FLEET_JOB_ID", ""),
        "attempt": int(os.environ.get("FLEET_JOB_ATTEMPT", "0")),
        "pid": os.getpid(),
        "detail": detail,
    }
    descriptor = os.open(SHARED / "trace", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


def pass_gate(name: str) -> None:
    """Block until the test opens the gate `name`."""
    descriptor = os.open(SHARED / f"gate-{name}", os.O_RDONLY)
    try:
        os.read(descriptor, 1)
    finally:
        os.close(descriptor)


def hold(gate: str) -> None:
    """Work until the gate opens."""
    pass_gate(gate)


def deaf(gate: str) -> None:
    """Work until the gate opens, and ignore SIGTERM meanwhile."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write("deaf", f"deaf {gate}")
    pass_gate(gate)


def tidy(gate: str) -> None:
    """Work until the gate opens; a SIGTERM ends the work early and well."""

    def leave(_number: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    write("tidy", f"tidy {gate}")
    pass_gate(gate)


def take(seconds: str) -> None:
    """Take so long."""
    time.sleep(float(seconds))


def fail(reason: str) -> None:
    """Raise."""
    raise ValueError(reason)


def leave(status: str) -> None:
    """Raise SystemExit, with a number or without one."""
    sys.exit(int(status) if status else None)


def end(status: str) -> None:
    """End the process without ceremony."""
    os._exit(int(status))


def die(name: str) -> None:
    """Die of a signal."""
    os.kill(os.getpid(), signal.Signals[f"SIG{name}"])


def give(what: str) -> object:
    """Return something that is not None."""
    return {"false": False, "text": "some text", "failure": ValueError("returned, not raised")}[
        what
    ]


def say(text: str) -> None:
    """Print, and leave it to the buffer to be flushed."""
    print(text)  # noqa: T201  # what is tested


def describe(_argument: str) -> None:
    """Report what the process finds around itself."""
    found = {
        "environment": {
            name: value for name, value in os.environ.items() if name.startswith("FLEET_")
        },
        "directory": str(Path.cwd()),
        "session": os.getsid(0),
        "group": os.getpgid(0),
        "parent": os.getppid(),
        "input": os.read(0, 1).decode(),
        "descriptors": descriptors(),
        "signals": signal_masks(),
    }
    write("found", "describe", found)


def modules(_argument: str) -> None:
    """Report which modules are loaded, as in the dispatcher, and in the template before."""
    write("modules", "modules", sorted(sys.modules))


def signal_masks() -> dict[str, int]:
    """Return what the kernel knows of blocked, ignored and caught signals, as bit masks."""
    status = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in status)
    return {name: int(fields[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")}


def descriptors() -> dict[str, str]:
    """Return the open descriptors and what they are, without the one that looks."""
    found = {}
    # Not iterdir(): it keeps its descriptor open meanwhile.
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except FileNotFoundError:  # the listing's own
            continue
    return found


def orphan(_argument: str) -> None:
    """Leave a grandchild behind that has left its parent, its session and its group."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            write("orphan", "orphan")
            os.close(writer)
            signal.pause()
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)  # the end of the file says that the grandchild has written its line
    os.close(reader)
    os.wait()


def orphan_then(gate: str) -> None:
    """Leave such a grandchild behind, and work on until the gate opens."""
    orphan("")
    write("holding", f"orphan-then {gate}")
    pass_gate(gate)


def environ(body: str) -> None:
    """A job of its own: report the names in the environment."""
    write("environ", body, sorted(os.environ))


VERBS: dict[str, Callable[[str], object]] = {
    "hold": hold,
    "deaf": deaf,
    "tidy": tidy,
    "take": take,
    "fail": fail,
    "leave": leave,
    "end": end,
    "die": die,
    "give": give,
    "say": say,
    "describe": describe,
    "modules": modules,
    "orphan": orphan,
    "orphan-then": orphan_then,
}


def job(body: str) -> object:
    """Do what the body says; a body of no known verb is done at once."""
    write("started", body)
    verb, _, argument = body.partition(" ")
    answer = VERBS[verb](argument) if verb in VERBS else None
    write("done", body)
    return answer


def put_away(body: str) -> None:
    """An exit handler: say that it was this one."""
    write("put away", body, "by jobs")


not_a_job = 7
