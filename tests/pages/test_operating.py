"""docs/operating.md names what programs may rely on: the keys of the status, every event of the
log, and what a [[queue]] table may say.
"""

import re
from pathlib import Path

from fleet.core.view.status import Identity, snapshot
from fleet.options.queues import TABLE_KEYS
from fleet.system.log_events import EVENTS
from tests.core.pool.story import running

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
NAMED = set(re.findall(r"`([a-z_.]+)`", PAGE.read_text(encoding="utf-8")))


def test_every_event_of_the_log_is_on_the_page_and_no_other() -> None:
    groups = {event.split(".")[0] for event in EVENTS}
    assert {name for name in NAMED if "." in name and name.split(".")[0] in groups} == set(EVENTS)


def test_every_key_of_the_status_is_on_the_page() -> None:
    told = snapshot(
        Identity("work@jobs", 4711, "work:job", "jobs", "", began=0.0), running().pool, {}, {}, 0.0
    )
    assert {*told, *told["counts"], *told["queues"][0], *told["dispatchers"][0]} <= NAMED


def test_every_key_of_a_queues_table_is_on_the_page() -> None:
    assert {"name", *TABLE_KEYS} <= NAMED
