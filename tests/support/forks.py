"""Runs a part of a test in a process of its own, and brings back what it returns."""

import json
import os
import traceback
from collections.abc import Callable
from typing import Any

from fleet.system import processes


def in_a_fork(act: Callable[[], Any]) -> Any:
    """What `act` returns, in a fork of this process: one thread, no children.

    It adopts what its descendants leave. What it returns must survive JSON; what it raises fails
    the test.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer: tuple[str, Any]
        try:
            os.close(read)
            processes.become_subreaper()
            answer = ("", act())
        except BaseException:  # noqa: BLE001 - it is brought back
            answer = (traceback.format_exc(), None)
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    assert said, "it ended without an answer"
    error, result = json.loads(said)
    assert not error, error
    return result
