"""Processes that do not come up are killed and replaced; what worked once does not end a pool when
it fails later.
"""

import os
import signal

import pytest

from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, Pool, StartPool
from tests.support.servers import EMPTY, LiveQueue

TOO_LATE = Expected(exit=4, ledger=False, noise=True, kills=frozenset({"helper.died"}))
KILLED = Expected(kills=frozenset({"dispatcher.died", "helper.died"}))


@pytest.fixture
def moody(start: StartPool, home: Home) -> Pool:
    home.gate("never")
    pool = start("--boot-timeout", "8", app="moody:job", expected=KILLED)
    pool.wait_ready(2)
    return pool


def template(pool: Pool) -> int:
    (process,) = eventually(lambda: pool.titled("fleet: template"))
    return process.pid


@pytest.mark.slow
def test_a_dispatcher_that_does_not_come_up_is_replaced(
    moody: Pool, home: Home, queue: LiveQueue
) -> None:
    (home.directory / "mood").write_text("hang after fork 2")
    os.kill(moody.dispatcher(0), signal.SIGKILL)
    (hung,) = home.trace.wait("hanging")
    moody.wait_event("dispatcher.hung", pid=hung.pid)
    moody.wait_event("dispatcher.died", pid=hung.pid)
    moody.wait_event("dispatcher.ready", count=2, slot=0)
    queue.send("task")
    moody.wait_event("message.deleted")


@pytest.mark.slow
def test_a_template_that_does_not_fork_is_replaced_and_leaves_nothing(
    moody: Pool, home: Home
) -> None:
    (home.directory / "mood").write_text("hang after fork 1")
    old = template(moody)
    os.kill(moody.dispatcher(0), signal.SIGKILL)
    (hung,) = home.trace.wait("hanging")
    moody.wait_event("helper.died", role="template")
    moody.wait_event("dispatcher.ready", count=2, slot=0)
    assert template(moody) != old
    assert hung.pid not in {process.pid for process in moody.processes()}


@pytest.mark.slow
@pytest.mark.parametrize(("mood", "told"), [("fail", "helper.failed"), ("hang", "helper.died")])
def test_an_app_that_worked_once_may_fail_later(
    moody: Pool, home: Home, queue: LiveQueue, mood: str, told: str
) -> None:
    (home.directory / "mood").write_text(mood)
    os.kill(template(moody), signal.SIGKILL)
    moody.wait_event("helper.died", count=2 if mood == "hang" else 1)
    moody.wait_event(told)
    queue.send("task")
    moody.wait_event("message.deleted")
    (home.directory / "mood").unlink(missing_ok=True)
    moody.wait_event("template.ready", count=2)
    os.kill(moody.dispatcher(0), signal.SIGKILL)
    moody.wait_event("dispatcher.ready", count=2, slot=0)


def test_an_app_that_is_not_imported_in_time_is_the_end(start: StartPool, home: Home) -> None:
    home.gate("import")
    pool = start("--boot-timeout", "1", app="slow:job", expected=TOO_LATE)
    assert pool.wait() == 4
    line = pool.refusal()
    assert "--boot-timeout" in line
    assert "fleet has killed it" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preload", "who"),
    [("--preload", "the template"), ("--no-preload", "a process of the template")],
)
def test_where_an_import_hangs_is_told(
    start: StartPool, home: Home, preload: str, who: str
) -> None:
    home.gate("import")
    pool = start("--boot-timeout", "6", preload, app="slow:job", expected=TOO_LATE)
    home.trace.wait("importing")
    assert pool.wait() == 4
    assert "in pass_gate" in pool.events("process.stack", who=who)[0]["stack"]


def test_a_new_master_of_the_same_name_works_beside_the_old_ones_last_job(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    old = start("--name", "ours")
    (held,) = home.trace.wait("started")
    old.kill_master()
    # The other one leaves when its poll has come home; until then it may take what is sent.
    eventually(lambda: len(old.titled("fleet: dispatcher")) == 1)
    new = start("--name", "ours")
    new.wait_ready(2)
    queue.send("task")
    new.wait_event("message.deleted")
    assert held.pid in {process.pid for process in home.processes()}
    gate.open()
    eventually(lambda: queue.depth() == EMPTY)
    assert home.trace.bodies("done") == ["task", "hold g"]
    assert len(home.trace.lines("started")) == 2
