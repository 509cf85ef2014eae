"""What ps shows of a pool tells what it does."""

import re

from tests.support.eventually import eventually
from tests.support.pool import Home, StartPool
from tests.support.servers import LiveQueue


def test_the_tree(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    (message_id,) = queue.send("hold g")
    pool = start(workers=2)
    pool.wait_ready(2)
    home.trace.wait("started")
    short = re.escape(message_id[:4])
    name = f"jobs:job@{queue.name}"
    wanted = [
        rf"fleet: master {name} \[1/2 busy\]",
        r"fleet: template jobs:job",
        r"fleet: scout",
        r"fleet: dispatcher \d (idle|polling)",
        rf"fleet: dispatcher \d job {short}.*",
        rf"fleet: job jobs:job {short}.* attempt 1",
        r"fleet: forker 0",
        r"fleet: forker 1",
    ]

    def matched() -> bool:
        titles = [process.title for process in pool.processes()]
        return len(titles) == len(wanted) and all(
            any(re.fullmatch(pattern, title) for title in titles) for pattern in wanted
        )

    eventually(matched, timeout=10, what=lambda: f"the tree, now {pool.processes()}")
    gate.open()
    pool.wait_event("message.deleted")
    eventually(lambda: pool.titled(f"fleet: master {name} [0/2 busy]"))
