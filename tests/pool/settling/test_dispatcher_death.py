"""A dispatcher that is killed at any of its steps: its message is settled as the record on the
scoreboard says.

tests/apps/halting.py stops a dispatcher at the step that its message names; it is killed there.
"""

import os
import signal
from dataclasses import dataclass, replace

import pytest

from tests.pool.settling.test_outcomes import LOUD
from tests.support.eventually import eventually
from tests.support.pool import Event, Expected, Home, Pool, StartPool
from tests.support.processes import is_alive
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue, Server
from tests.support.witness import Witness

APP = "halting:job"
KILLED = Expected(
    kills=frozenset({"dispatcher.died", "helper.died", "message.left", "job.signalled"}),
)
WHY = "its dispatcher died"


@dataclass(frozen=True)
class Step:
    """Where it is killed, what its job does, and what is to be seen of the message then."""

    name: str
    fates: tuple[str, ...]
    """What the pool may say that became of it by its death; none: nothing had to be done, or nobody
    knew of it.
    """
    again: bool
    """It is delivered once more."""
    work: str = "task"
    done: bool = True
    """The work comes to its end."""

    @property
    def body(self) -> str:
        """The message that asks for it."""
        return f"{self.name} :: {self.work}"


STEPS = (
    Step("after the answer", (), again=True),
    Step("after the record", ("released",), again=True),
    Step("after Received", ("released",), again=True),
    Step("before the fork", ("released",), again=True),
    Step("after the fork", ("released",), again=True, work="hold never"),
    Step("job running", ("released",), again=True, work="family never"),
    Step("before the extend", ("released",), again=True, work="family never"),
    Step("after the extend", ("released",), again=True, work="family never"),
    Step("before the reaping", ("deleted",), again=False),
    Step("after the exit's record", ("deleted",), again=False),
    Step("after the reaping", ("deleted",), again=False),
    Step("after the intent", ("deleted",), again=False),
    Step("before the delete", ("deleted",), again=False),
    Step("after the delete", ("deleted", "left"), again=False),  # servers differ on a second delete
    Step("before Settled", (), again=False),
    Step("after Settled", (), again=False),
    Step("while held", ("left",), again=True, work="retry 0"),
    Step("before the release", ("left",), again=True, work="retry 0"),
    Step("after the release", ("left",), again=True, work="retry 0"),
    Step("before the look at the policy", ("left",), again=True, work="retry 0"),
    Step("after the look at the policy", ("left",), again=True, work="retry 0"),
    Step("before the letter", ("left",), again=True, work="reject it"),
    Step("after the letter", ("left",), again=True, work="reject it"),
    Step("before the delete", ("left", "deleted"), again=False, work="reject it", done=False),
    Step("after the delete", ("left", "deleted"), again=False, work="reject it", done=False),
)
UNHEARD = 2
"""Messages whose dispatchers are killed between the record and the log's line."""

AFTER_THE_LETTER = ("after the letter", "before the delete", "after the delete")

STOPPED_STEPS = tuple(
    Step(name, fates, again=True, work=f"family never :: {farewell}")
    for name, fates, farewell in (
        ("before the freeze", ("released",), "fine"),
        ("after the freeze", ("released",), "fine"),
        ("before the handler's fork", ("released",), "fine"),
        ("after the handler's fork", ("released",), "gate never"),
        ("handler running", ("released",), "gate never"),
        ("before the handler's end", ("released",), "fine"),
        ("after the handler's end", ("released",), "fine"),
        ("before the kill", ("released",), "fine"),
        ("after the kill", ("released",), "fine"),
        ("before the look at the policy", ("released",), "fine"),
        ("after the look at the policy", ("released",), "fine"),
        ("while held", ("released",), "fine"),
        ("before the release", ("left",), "fine"),
        ("after the release", ("left",), "fine"),
        ("before the letter", ("left",), "hang"),
        ("after the letter", ("left",), "hang"),
    )
)
"""Of jobs that run into --job-timeout, with an exit handler, and --retry-delay 0."""


def kill_halted(home: Home, pool: Pool, killed: set[int], steps: int) -> bool:
    """Kill the dispatchers that have come to their steps, each as soon as it has."""
    for line in home.trace.lines("halted"):
        if line.pid not in killed:
            killed.add(line.pid)
            os.kill(line.pid, signal.SIGKILL)
    assert pool.process.poll() is None, pool.log()
    return len(killed) == steps


@pytest.mark.slow
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_at_every_step(
    start: StartPool, home: Home, ministack_server: Server, proxy: FaultProxy, fifo: bool
) -> None:
    """On a FIFO queue also what the poll of a dead dispatcher has brought is released."""
    steps = (replace(STEPS[0], fates=("released",)), *STEPS[1:]) if fifo else STEPS
    queue = LiveQueue.fresh(ministack_server, fifo=fifo)
    check_every_step(start, home, queue, proxy, steps, unheard=UNHEARD + fifo)
    assert queue.dead_bodies() == sorted(
        each.body for each in steps if each.name in AFTER_THE_LETTER and each.work == "reject it"
    )


@pytest.mark.slow
def test_at_every_step_of_a_stop(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """No exit handler runs any more; whatever exists of job and handler is gone before anybody has
    the message.
    """
    options = (
        "--transformer",
        "halting:split",
        "--exit-handler",
        "halting:handler",
        "--retry-delay",
        "0",
    )
    times = ("--job-timeout", "2", "--exit-timeout", "2")
    check_every_step(start, home, queue, proxy, STOPPED_STEPS, *options, *times)
    assert queue.dead_bodies() == ["after the letter :: family never :: hang"]


def check_every_step(
    start: StartPool,
    home: Home,
    queue: LiveQueue,
    proxy: FaultProxy,
    steps: tuple[Step, ...],
    *options: str,
    unheard: int = 0,
) -> None:
    """One dispatcher and one message a step."""
    witness = Witness(proxy, home.trace)
    home.gate("never")
    ids = [send(queue, step.body) for step in steps]
    expected = Expected(kills=LOUD.kills | KILLED.kills, noise=True, unheard=unheard)
    pool = start(
        *("--visibility-timeout", "20", *options),
        app=APP,
        workers=len(steps),
        queue=queue,
        endpoint=proxy.endpoint,
        expected=expected,
    )
    killed: set[int] = set()
    eventually(
        lambda: kill_halted(home, pool, killed, len(steps)),
        what=lambda: f"all: {home.trace.bodies('halted')}",
    )
    eventually(
        lambda: queue.depth() == EMPTY, what=lambda: f"empty, now {queue.depth()}:\n{pool.log()}"
    )
    pool.terminate()
    assert pool.wait() == 0
    seen = [told(home, pool, message_id) for message_id in ids]
    for step, (fate, attempts, done) in zip(steps, seen, strict=True):
        assert fate in (step.fates or (None,)), (step, seen)
        assert (attempts, done) == ((2, [2]) if step.again else (1, [1] if step.done else [])), (
            step,
            seen,
        )
    assert len(pool.events("dispatcher.died")) == len(steps)
    assert not any(is_alive(line.pid) for line in home.trace.lines())
    assert not witness.broken


def send(queue: LiveQueue, body: str) -> str:
    """A message in a group of its own, if there are groups."""
    name = body.replace(" ", "-")
    group = (
        {"MessageGroupId": name, "MessageDeduplicationId": name}
        if queue.name.endswith(".fifo")
        else {}
    )
    return queue.send_one(body, {}, **group)


def told(home: Home, pool: Pool, message_id: str) -> tuple[str | None, int, list[int]]:
    """What a message became by its dispatcher's death, its attempts, and those that were done."""
    said = [
        event["event"].partition(".")[2]
        for event in pool.events(message_id=message_id)
        if is_by_death(event)
    ]
    attempts = max(
        [1, *(event["attempt"] for event in pool.events("message.received", message_id=message_id))]
    )
    done = [line.attempt for line in home.trace.lines("done") if line.message_id == message_id]
    assert len(said) <= 1
    return (said[0] if said else None), attempts, done


def is_by_death(event: Event) -> bool:
    return str(event.get("why")).startswith(WHY)


def test_what_became_of_the_last_message_is_forgotten(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """A dispatcher that has deleted one message and dies over the next: that one is not done."""
    home.gate("never")
    pool = start("--visibility-timeout", "20", app=APP, workers=1, expected=KILLED)
    queue.send("none :: task")
    pool.wait_event("message.deleted")
    (message_id,) = queue.send("job running :: hold never")
    (line,) = home.trace.wait("halted")
    os.kill(line.pid, signal.SIGKILL)
    pool.wait_event("message.released", message_id=message_id, why=WHY)
    pool.wait_event("message.deleted", message_id=message_id, attempt=2)
    assert [line.attempt for line in home.trace.lines("done") if line.message_id == message_id] == [
        2
    ]


def test_before_the_receive(start: StartPool, home: Home, queue: LiveQueue) -> None:
    pool = start(
        "--visibility-timeout", "20", app=APP, workers=1, expected=KILLED, HALT_FIRST_RECEIVE="yes"
    )
    (line,) = home.trace.wait("halted")
    os.kill(line.pid, signal.SIGKILL)
    pool.wait_event("dispatcher.ready", count=2)
    queue.send("none :: task")
    pool.wait_event("message.deleted")
    assert len(home.trace.lines("done")) == 1


def test_a_scout_that_dies_with_an_order_has_a_successor_for_it(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """A delete is asked for again."""
    proxy.stall("DeleteMessage")
    proxy.cut("DeleteMessage")  # the first one never comes to the server
    (message_id,) = queue.send("before the delete :: task")
    pool = start(
        "--visibility-timeout", "20", app=APP, workers=1, endpoint=proxy.endpoint, expected=KILLED
    )
    (line,) = home.trace.wait("halted")
    os.kill(line.pid, signal.SIGKILL)
    proxy.wait_held("DeleteMessage")
    kill_scout(pool)
    proxy.release("DeleteMessage")
    pool.wait_event("message.deleted", message_id=message_id, why=WHY)
    assert proxy.count("DeleteMessage") == 2
    assert queue.depth() == EMPTY


def test_a_release_is_never_ordered_twice(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """The dead scout may have done it (here it has), and once more could hit the next owner."""
    home.gate("never")
    proxy.stall("ChangeMessageVisibility")
    (message_id,) = queue.send("job running :: hold never")
    pool = start(
        "--visibility-timeout", "20", app=APP, workers=1, endpoint=proxy.endpoint, expected=KILLED
    )
    (line,) = home.trace.wait("halted")
    os.kill(line.pid, signal.SIGKILL)
    proxy.wait_held("ChangeMessageVisibility")
    kill_scout(pool)
    pool.wait_event("message.left", message_id=message_id, why=WHY)
    pool.wait_event("message.deleted", message_id=message_id, attempt=2)
    assert proxy.count("ChangeMessageVisibility") == 1
    proxy.release("ChangeMessageVisibility")


def kill_scout(pool: Pool) -> None:
    (scout,) = pool.titled("fleet: scout")
    os.kill(scout.pid, signal.SIGKILL)
    pool.wait_event("helper.died", role="scout")


def test_a_drain_waits_for_an_open_order(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    proxy.stall("DeleteMessage")
    (message_id,) = queue.send("before the delete :: task")
    pool = start(
        "--visibility-timeout", "20", app=APP, workers=1, endpoint=proxy.endpoint, expected=KILLED
    )
    (line,) = home.trace.wait("halted")
    os.kill(line.pid, signal.SIGKILL)
    proxy.wait_held("DeleteMessage")
    pool.drain()
    assert not pool.events("drain.finished")
    proxy.release("DeleteMessage")
    assert pool.wait() == 0
    assert pool.events("message.deleted", message_id=message_id, why=WHY)
    assert pool.ledger()["deleted"] == 1
    assert queue.depth() == EMPTY


@pytest.mark.slow
def test_a_drain_does_not_wait_for_ever(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """What the queue has not taken by the end of the stop counts as left; it was finished."""
    proxy.fail("DeleteMessage", times=1000)
    queue.send("before the delete :: task")
    options = ("--visibility-timeout", "4", "--drain-timeout", "0", "--exit-timeout", "0")
    unconfirmed = replace(KILLED, exit=8)
    pool = start(*options, app=APP, workers=1, endpoint=proxy.endpoint, expected=unconfirmed)
    (line,) = home.trace.wait("halted")
    os.kill(line.pid, signal.SIGKILL)
    pool.wait_event("will.failed")
    pool.terminate()
    assert pool.wait() == 8
    assert pool.ledger()["left"] == 1


@pytest.mark.slow
def test_one_that_is_stopped_while_it_works_is_replaced_in_time(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Before its lease ends, so that its job and the next one for the message never run at the same
    time.
    """
    witness = Witness(proxy, home.trace)
    home.gate("never")
    (message_id,) = queue.send("job running :: family never")
    expected = Expected(
        errors=frozenset({"dispatcher.hung"}), kills=KILLED.kills | {"dispatcher.hung"}
    )
    pool = start("--visibility-timeout", "16", app=APP, endpoint=proxy.endpoint, expected=expected)
    (line,) = home.trace.wait("halted")
    pool.wait_event("dispatcher.died", pid=line.pid)
    pool.wait_event("message.deleted", message_id=message_id, attempt=2)
    assert not is_alive(home.trace.lines("child")[0].pid)
    assert not witness.broken


@pytest.mark.slow
def test_one_that_is_stopped_before_it_says_that_it_has_settled_does_not_keep_its_slot(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Nothing is in hand any more, and the pool waits for its word."""
    queue.send("before Settled :: task")
    expected = Expected(
        errors=frozenset({"dispatcher.hung"}), kills=KILLED.kills | {"dispatcher.hung"}
    )
    options = ("--visibility-timeout", "4", "--until-empty", "--empty-for", "1")
    pool = start(*options, app=APP, workers=1, expected=expected)
    (line,) = home.trace.wait("halted")
    pool.wait_event("dispatcher.died", pid=line.pid)
    assert pool.wait() == 0
    assert pool.ledger()["deleted"] == 1
    assert queue.depth() == EMPTY
