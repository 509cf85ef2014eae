"""A pool works wherever it is started: other locales and time zones, a long way to its files, files
for nobody else.
"""

import pytest

from tests.support.pool import Home, Launch, run_fleet
from tests.support.servers import LiveQueue

UMASK = ("sh", "-c", 'umask "$0"; exec "$@"')
BODIES = ("say ä → 漢", "fail at ü")


@pytest.mark.parametrize(
    ("surroundings", "umask"),
    [
        ({"LC_ALL": "C", "TZ": "Asia/Kathmandu", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}, "077"),
        ({"LC_ALL": "no_SUCH.place", "TZ": "no such place", "COLUMNS": "1", "TERM": "dumb"}, "000"),
    ],
    ids=["usual", "odd"],
)
def test_a_pool_works_from_start_to_end(
    launch: Launch, home: Home, queue: LiveQueue, surroundings: dict[str, str], umask: str
) -> None:
    """The temporary directory, where its socket lies, is longer than a socket's address may be."""
    deep = home.directory / "/".join(("long-" * 10, "ä b") * 3)
    deep.mkdir(parents=True)
    health = deep / "health.json"
    env = {**surroundings, "XDG_RUNTIME_DIR": "", "TMPDIR": str(deep)}
    where = (
        "--queue",
        queue.name,
        "--endpoint-url",
        queue.server.endpoint,
        "--wait-time",
        "1",
        "--workers",
        "2",
    )
    options = (
        "--log-format",
        "json",
        "--health-file",
        str(health),
        "--retry-delay",
        "600",
        "--name",
        "ä b",
    )
    pool = launch("start", *where, *options, "jobs:job", wrapper=(*UMASK, umask), **env)
    pool.wait_ready(2)
    sent = run_fleet(
        home,
        "send",
        *where[:4],
        text="".join(f"{body}\n" for body in BODIES),
        env=home.environment(**env),
    )
    assert (sent.status, sent.errors) == (0, "")
    pool.wait_event("message.deleted")
    pool.wait_event("message.released")
    assert sorted(home.trace.bodies("started")) == sorted(BODIES)
    assert BODIES[0].removeprefix("say ") in pool.output()
    pool.slot_table()
    for command in (
        ("status",),
        ("check", "--health-file", str(health)),
        ("scale", "1"),
        ("stop",),
    ):
        told = run_fleet(home, *command, env=home.environment(**env))
        assert (told.status, told.errors) == (0, ""), command
    assert pool.wait() == 0
    pool.terminated = True
