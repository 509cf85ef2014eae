"""Signals to the master that neither end it nor hurt."""

import os
import signal

import pytest

from tests.support.control import status
from tests.support.eventually import eventually
from tests.support.pool import Expected, Home, Pool, StartPool
from tests.support.processes import is_stopped
from tests.support.servers import LiveQueue


def test_hangup_says_that_a_reload_is_not_available_yet(start: StartPool, queue: LiveQueue) -> None:
    pool = start()
    pool.wait_ready(2)
    pool.send(signal.SIGHUP)
    eventually(lambda: [event for event in pool.events() if "reload" in event["message"]])
    queue.send("task")
    pool.wait_event("message.deleted")


def test_one_worker_more_and_one_fewer(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(workers=1)
    home.trace.wait("started")
    pool.send(signal.SIGTTIN)
    pool.wait_event("pool.resized", **{"from": 1, "to": 2})
    pool.wait_event("dispatcher.ready", slot=1)
    pool.send(signal.SIGTTOU)
    pool.wait_event("pool.resized", **{"from": 2, "to": 1})
    eventually(lambda: len(pool.titled("fleet: dispatcher")) == 1)
    gate.open()
    pool.wait_event("message.deleted")
    assert home.trace.bodies("done") == ["hold g"]


def test_the_slot_table(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    (message_id,) = queue.send("hold g")
    pool = start(workers=2)
    (line,) = home.trace.wait("started")
    pool.wait_event("job.started")  # it is in the scoreboard by now
    pool.wait_ready(2)
    rows = pool.slot_table().splitlines()
    assert [row.split()[:2] for row in rows] == [["slot", "0"], ["slot", "1"]]
    assert sum(message_id in row and str(line.pid) in row for row in rows) == 1
    gate.open()


def test_those_that_mean_nothing(start: StartPool, queue: LiveQueue) -> None:
    pool = start()
    pool.wait_ready(2)
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGWINCH, signal.SIGCONT, signal.SIGALRM):
        pool.send(number)
    queue.send("task")
    pool.wait_event("message.deleted")
    assert not pool.events("dispatcher.died")


ANY = (
    *("USR1", "USR2", "TTIN", "TTOU", "ALRM"),
    *("PIPE", "WINCH", "CONT", "CHLD", "HUP", "INT", "QUIT"),
)


@pytest.mark.parametrize("title", ["fleet: template", "fleet: scout", "fleet: dispatcher"])
def test_none_hurts_another_process(
    start: StartPool, home: Home, queue: LiveQueue, title: str
) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start()
    pool.wait_ready(2)
    home.trace.wait("started")
    victims = [process.pid for process in pool.titled(title)]
    for pid in victims:
        for name in ANY:
            os.kill(pid, signal.Signals[f"SIG{name}"])
    assert not any(is_stopped(pid) for pid in victims)
    gate.open()
    queue.send("task")
    pool.wait_event("message.deleted", count=2)
    pool.terminate()
    assert pool.wait() == 0
    assert not pool.events("dispatcher.died")
    assert not pool.events("helper.died")
    assert len(home.trace.lines("started")) == 2


def test_none_hurts_the_whole_group(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start()
    pool.wait_ready(2)
    home.trace.wait("started")
    # A CONT revokes TTINs before it.
    for name in (
        "CONT",
        "USR1",
        "USR2",
        "TTIN",
        "ALRM",
        "PIPE",
        "WINCH",
        "CHLD",
    ):
        pool.send_group(signal.Signals[f"SIG{name}"])
    pool.wait_ready(3)
    pool.send_group(signal.SIGTTOU)
    pool.wait_event("pool.resized", **{"from": 3, "to": 2})
    gate.open()
    queue.send("task")
    pool.wait_event("message.deleted", count=2)
    pool.terminate()
    assert pool.wait() == 0
    assert not pool.events("dispatcher.died")
    assert not pool.events("helper.died")


def test_a_helper_that_is_still_importing_is_not_hurt_either(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("import")
    pool = start(app="slow:job")
    home.trace.wait("importing")
    for name in ANY:
        for title in ("fleet: template", "fleet: scout"):
            (process,) = eventually(lambda: pool.titled(title))  # noqa: B023 - called at once
            os.kill(process.pid, signal.Signals[f"SIG{name}"])
    gate.open()
    queue.send("task")
    pool.wait_event("message.deleted")
    assert not pool.events("helper.died")


def test_what_the_app_takes_for_itself_its_jobs_have_and_fleet_has_not(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    queue.send("alarm")
    pool = start(app="alarms:job", workers=1)
    home.trace.wait("SIGALRM")
    pool.wait_event("message.deleted")
    told = len(home.trace.lines())
    for title in ("fleet: template", "fleet: dispatcher"):
        for number in (signal.SIGALRM, signal.SIGUSR1):
            os.kill(pool.titled(title)[0].pid, number)
    (template,) = pool.titled("fleet: template")
    os.kill(template.pid, signal.SIGTERM)
    # It leaves, and the template must still be able to fork.
    os.kill(pool.dispatcher(0), signal.SIGTERM)
    pool.wait_event("dispatcher.ready", count=2)
    queue.send("die TERM")
    pool.wait_event("job.signalled", exit="SIGTERM")
    queue.send("pipe")
    pool.wait_event("job.signalled", exit="SIGPIPE")
    assert [line.body for line in home.trace.lines()[told:]] == ["die TERM", "pipe"]
    assert not pool.events("helper.died")


# Stacks.


def stacks(pool: Pool, count: int) -> dict[str, str]:
    """Return what everybody says he does, by who he is."""
    return {event["who"]: event["stack"] for event in pool.wait_event("process.stack", count)}


def test_everybody_shows_his_stack(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start()
    pool.wait_ready(2)
    home.trace.wait("started")
    slot = pool.wait_event("job.started")[0]["slot"]
    os.kill(pool.dispatcher(1 - slot), signal.SIGSTOP)
    pool.send(signal.SIGUSR2)
    found = stacks(pool, 5)
    assert set(found) == {"the master", "the template", "the scout", "dispatcher 0", "dispatcher 1"}
    assert "master/loop.py" in found["the master"]
    assert "in serve" in found["the template"]
    assert "scout/process.py" in found["the scout"]
    assert "dispatcher/runner.py" in found[f"dispatcher {slot}"]
    assert found[f"dispatcher {1 - slot}"] == "nothing: it is stopped"
    os.kill(pool.dispatcher(1 - slot), signal.SIGCONT)
    gate.open()
    pool.wait_event("message.deleted")


def test_a_second_look_shows_what_is_now(start: StartPool, home: Home, queue: LiveQueue) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(workers=1)
    home.trace.wait("started")
    pool.send(signal.SIGUSR2)
    assert "runner.py" in stacks(pool, 4)["dispatcher 0"]
    gate.open()
    # The delivery is over; that the message is deleted it says itself.
    eventually(lambda: status(home)["polling"] == 1)
    pool.send(signal.SIGUSR2)
    assert "runner.py" not in stacks(pool, 8)["dispatcher 0"]


def test_a_dispatcher_that_hangs_shows_where_before_it_is_killed(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    expected = Expected(kills=frozenset({"dispatcher.died", "message.left"}))
    home.gate("never")
    queue.send("task")
    pool = start("--visibility-timeout", "2", app="hanging:job", expected=expected, HANG="1")
    home.trace.wait("hanging")
    pool.wait_event("dispatcher.died")
    (told,) = pool.events("process.stack")
    assert "hanging.py" in told["stack"]
    assert "pass_gate" in told["stack"]
    order = [
        e["event"]
        for e in pool.events()
        if e["event"] in ("dispatcher.hung", "process.stack", "dispatcher.died")
    ]
    assert order == ["dispatcher.hung", "process.stack", "dispatcher.died"]
    pool.wait_event("message.deleted")


def test_hup_that_was_ignored_stays_ignored(start: StartPool, queue: LiveQueue) -> None:
    """As with nohup(1): closing the terminal must not drain what was meant to outlive it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        pool = start(workers=1)
    finally:
        signal.signal(signal.SIGHUP, before)
    pool.wait_ready(1)
    pool.send(signal.SIGHUP)
    queue.send("task")
    pool.wait_event("message.deleted")
    assert not pool.events("reload.missing")
    assert not pool.events("drain.started")
