"""What tests of the whole program share: a world of their own, and pools that are audited at the
end.
"""

import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.audit import audit
from tests.support.pool import QUIET, Expected, Home, Launch, Pool, StartPool
from tests.support.servers import LiveQueue

UNFINISHED = pytest.StashKey[bool]()
"""Kept with a test that has not come to its end: an audit would only complain of what it has left
undone, or wait.
"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test has come to its end: one that has failed, or skips in its middle,
    has not.
    """
    report = yield
    item.stash[UNFINISHED] = report.when != "call" or not report.passed
    return report


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """The test's own directories, gates, trace and environment."""
    home = Home(tmp_path)
    yield home
    home.close()


@pytest.fixture
def launch(home: Home, request: pytest.FixtureRequest) -> Iterator[Launch]:
    """A function that runs `fleet *arguments`; at the test's end all are drained and audited."""
    launched: list[Pool] = []

    def launch(
        *arguments: str, expected: Expected = QUIET, wrapper: tuple[str, ...] = (), **env: str
    ) -> Pool:
        launched.append(Pool(home, arguments, expected, home.environment(**env), wrapper))
        return launched[-1]

    yield launch
    try:
        if not request.node.stash[UNFINISHED]:
            audit(home, launched)
    finally:
        for pool in launched:
            pool.destroy()
    for pool in launched:
        # Shown where a test fails.
        sys.stdout.write(f"fleet {' '.join(pool.arguments)}\n{pool.log()}\n")


@pytest.fixture
def transport() -> str:
    """How the pools of a test call SQS; `both_transports` runs it with each."""
    return "auto"


@pytest.fixture
def start(launch: Launch, queue: LiveQueue, transport: str) -> StartPool:
    """A function that starts a pool on the test's queue, or on another one, directly or through a
    proxy.
    """

    def start(
        *options: str,
        app: str = "jobs:job",
        workers: int = 2,
        queue: LiveQueue = queue,
        endpoint: str | None = None,
        expected: Expected = QUIET,
        **env: str,
    ) -> Pool:
        arguments = (
            *("start", "--queue", queue.name, "--endpoint-url", endpoint or queue.server.endpoint),
            *("--workers", str(workers), "--wait-time", "1", "--log-format", "json"),
            *(("--transport", transport) if transport != "auto" else ()),
            *(*options, app),
        )
        return launch(*arguments, expected=expected, **env)

    return start
