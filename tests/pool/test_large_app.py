"""An app that has much in memory is forked from huge pages, and its jobs find what it has."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.pool import Home, StartPool
from tests.support.servers import LiveQueue

APP = """
    DATA = b"x" * (32 << 20)
    def job(body):
        assert DATA[int(body)] == ord("x")
    """


def huge_kib(pid: int) -> int:
    """How much of a process is on huge pages."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kib) for kib in re.findall(r"^AnonHugePages: +(\d+) kB$", rollup, re.MULTILINE))


@pytest.mark.needs("huge pages")
def test_a_large_app_is_on_huge_pages_in_all_that_forks(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    app = home.directory / "large.py"
    app.write_text(dedent(APP))
    pool = start(app=f"{app}:job", workers=1)
    pool.wait_ready(1)
    (template,) = pool.titled("fleet: template")
    assert huge_kib(template.pid) >= 28 << 10
    assert huge_kib(pool.dispatcher(0)) >= 28 << 10
    queue.send("1", "33000000")
    pool.wait_event("message.deleted", count=2)
