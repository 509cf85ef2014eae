"""Every kind of call to SQS × every way it can go wrong: no dispatcher dies, and the message ends
as it should.

A test is a pool and a kind of call; it has one message a fault, and the fault is made at the first
such call for it.
"""

import os
import signal
from dataclasses import dataclass

import pytest

from tests.pool.settling.test_outcomes import APP, LOUD, fates
from tests.support.eventually import eventually
from tests.support.faults import FAULTS, WITH_AN_ANSWER
from tests.support.pool import Home, Pool, StartPool
from tests.support.processes import is_alive
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue
from tests.support.witness import Witness

CHANGE = "ChangeMessageVisibility"
UNANSWERED = ("stall", "cut before", "cut after")
"""A release may have been done then: it is not made again."""
HANDLER = (
    "--transformer",
    "endings:split",
    "--exit-handler",
    "endings:handler",
    "--job-timeout",
    "0.7",
)
Fate = list[tuple[str, int]]
DELETED: Fate = [("deleted", 0)]
RELEASED: Fate = [("released", 0), *DELETED]
LEFT: Fate = [("left", 0), *DELETED]
LETTER: Fate = [("dead_lettered", 0)]


@dataclass(frozen=True)
class Call:
    """A kind of call: its action, the message that leads to it, and what becomes of that.

    `told`: the event that tells of a fault. `useless`: what becomes of the message when SQS says
    that its handle is no good. `read`: the answer says something, so one of another shape is a
    fault. `scouts`: how many such calls the scout makes before.
    """

    action: str
    body: str
    fate: Fate
    told: str
    useless: Fate
    read: bool = False
    scouts: int = 0
    options: tuple[str, ...] = ()


UNSETTLED = "message.unsettled"
REJECT = "attempts reject it/task"
CALLS = {
    "receive": Call("ReceiveMessage", "task", DELETED, "poll.failed", DELETED, read=True),
    "extend": Call(CHANGE, "hold g", DELETED, "lease.failed", DELETED),
    "delete": Call("DeleteMessage", "task", DELETED, UNSETTLED, LEFT),
    "release": Call(CHANGE, "attempts retry 0/task", RELEASED, UNSETTLED, LEFT),
    "attributes": Call(
        "GetQueueAttributes", "attempts retry 0/task", RELEASED, "policy.unknown", RELEASED, True, 2
    ),
    "address": Call("GetQueueUrl", REJECT, LETTER, UNSETTLED, LEFT, True, 2),
    "letter": Call("SendMessage", REJECT, LETTER, UNSETTLED, LEFT, read=True),
    "letter's delete": Call("DeleteMessage", REJECT, LETTER, UNSETTLED, LEFT),
    "release of a stopped job": Call(
        CHANGE,
        "attempts family never/task :: fine",
        RELEASED,
        UNSETTLED,
        LEFT,
        options=(*HANDLER, "--visibility-timeout", "9", "--retry-delay", "0"),
    ),
    "letter of a stopped job": Call(
        "SendMessage",
        "attempts family never/task :: hang",
        LETTER,
        UNSETTLED,
        LEFT,
        read=True,
        options=(*HANDLER, "--exit-timeout", "0.4"),
    ),
}


KNOWN_AFTERWARDS = ("GetQueueAttributes", "GetQueueUrl")
"""What a dispatcher has been told once it does not ask again."""


def answered(proxy: FaultProxy, action: str) -> int:
    return sum(each.answered is not None for each in proxy.journal(action))


def meets(queue: LiveQueue, proxy: FaultProxy, call: Call, fault: str) -> str:
    """Send a message whose delivery meets the fault; a receive call meets it when the message is
    there.
    """
    if call.action == "ReceiveMessage":
        proxy.stall(call.action)
        proxy.wait_held(call.action)
    FAULTS[fault](proxy, call.action)
    (message_id,) = queue.send(call.body)
    proxy.release(call.action)
    return message_id


def ends(pool: Pool, call: Call, fault: str, message_id: str) -> None:
    """Wait until it has ended as it should.

    SQS may have done what was not answered, and not do it again.
    """
    unknown = fault in UNANSWERED and call.action == CHANGE
    wanted = [call.useless if fault == "expired handle" or unknown else call.fate]
    if fault == "cut after" and call.action == "DeleteMessage":
        wanted += [LEFT[:1]]
    found: list[Fate] = []

    def ended() -> bool:
        found[:] = fates(pool, [message_id])
        return found[0] in wanted

    eventually(ended, what=lambda: f"{wanted} after {fault}, not {found}:\n{pool.log(12)}")


def renew(pool: Pool) -> None:
    """Another dispatcher, which knows nothing yet."""
    ready = len(pool.events("dispatcher.ready"))
    os.kill(pool.dispatcher(0), signal.SIGTERM)
    pool.wait_event("dispatcher.ready", count=ready + 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_faults_of(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy, name: str
) -> None:
    call = CALLS[name]
    witness = Witness(proxy, home.trace)
    gate = home.gate("g")
    home.gate("never")
    # The scout's samples would take faults of ours.
    options = (
        "--visibility-timeout",
        "3",
        "--depth-interval",
        "3600",
    )
    pool = start(
        "-v", *options, *call.options, app=APP, workers=1, endpoint=proxy.endpoint, expected=LOUD
    )
    pool.wait_ready(1)
    eventually(lambda: answered(proxy, call.action) >= call.scouts, what="the scout has asked")
    for fault in FAULTS:
        if fault in WITH_AN_ANSWER and not call.read:
            continue
        told = len(pool.events(call.told))
        message_id = meets(queue, proxy, call, fault)
        pool.wait_event(call.told, count=told + 1)
        gate.open(int(name == "extend"))
        ends(pool, call, fault, message_id)
        proxy.heal(call.action)
        if call.action in KNOWN_AFTERWARDS:
            renew(pool)
    assert not pool.events("dispatcher.died")
    assert queue.depth() == EMPTY
    assert not any(is_alive(line.pid) for line in home.trace.lines())
    assert not witness.broken
