"""What the scout does for dispatchers that died, with a queue whose answers are chosen."""

import itertools
import json
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, cast

import pytest

from fleet.core.outcomes import Settlement
from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.scout_protocol import Recover, Recovered, RecoveryDenied
from fleet.scout import recovery
from fleet.sqs.queue import SqsQueue
from fleet.system import log

DELETE, RELEASE, _, LEAVE = Settlement
LEASE = 20.0
HEALS = QueueError(Trouble.PASSING, "it heals")
EXPIRED = QueueError(Trouble.SESSION, "it needs a new session")
DENIED = QueueError(Trouble.DENIED, "denied")
GONE = QueueError(Trouble.GONE, "there is no such queue")
USELESS = QueueError(Trouble.MESSAGE, "the handle is no good")
FOUND = Message("found", "fresh handle", "", 3)

Answer = Message | QueueError | None


@dataclass
class Scripted:
    """A queue, and the clock; the answers to each kind of call come in their order, and the last
    one repeats.
    """

    answers: dict[str, list[Answer]]
    now: float = 100.0
    name: str = "jobs"
    denied: list[RecoveryDenied] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    told: list[float] = field(default_factory=list)  # when the master had a sign of life

    def answer(self, *call: Any) -> Message | None:
        self.calls.append(call)
        script = self.answers.get(call[0], [None])
        said = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(said, QueueError):
            raise said
        return said

    def receive(self, wait: float, visibility: float, receive_id: str) -> Message | None:
        return self.answer("receive", wait, visibility, receive_id)

    def delete(self, message: Message) -> None:
        self.answer("delete", message.handle)

    def release(self, message: Message, delay: int = 0) -> None:
        self.answer("release", message.handle, delay)

    def renew(self) -> None:
        self.calls.append(("renew",))

    def kinds(self) -> list[str]:
        return [call[0] for call in self.calls]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Nothing has been asked."""
    queue = Scripted({})
    monkeypatch.setattr(recovery, "now", lambda: queue.now)
    return queue


def carry_out(queue: Scripted, *orders: Recover) -> Recovered:
    """All of them, whatever time it takes; the last one's answer."""
    answers: list[Recovered] = []

    def say(word: recovery.Answer) -> None:
        if isinstance(word, Recovered):
            answers.append(word)
        elif isinstance(word, RecoveryDenied):
            queue.denied.append(word)
        else:
            queue.told.append(queue.now)

    open_ones = recovery.Orders(cast(SqsQueue, queue), LEASE, say)
    for each in orders:
        open_ones.take(each)
    while open_ones.wakes_at < inf:
        queue.now = max(queue.now, open_ones.wakes_at)
        open_ones.work()
    assert len(answers) == len(orders)
    return answers[-1]


def order(how: Settlement, lease: float = 60.0) -> Recover:
    return Recover(7, "id", "handle", how, 4, 100.0 + lease)


def poll(lease: float = 20.0) -> Recover:
    return Recover(7, "", "", RELEASE, 0, 100.0 + lease, "call")


def test_a_message_is_deleted_or_released(scripted: Scripted) -> None:
    assert carry_out(scripted, order(DELETE)) == Recovered(7, DELETE)
    assert carry_out(scripted, order(RELEASE)) == Recovered(7, RELEASE)
    assert scripted.calls == [("delete", "handle"), ("release", "handle", 4)]


def test_a_delete_is_repeated_while_the_lease_lasts_and_five_minutes_longer(
    scripted: Scripted,
) -> None:
    scripted.answers["delete"] = [HEALS, EXPIRED, None]
    assert carry_out(scripted, order(DELETE)).settlement is DELETE
    assert scripted.kinds() == ["delete", "delete", "renew", "delete"]
    assert scripted.now == 100.375, "the pause doubles"
    scripted.answers["delete"] = [*[HEALS] * 9, None]
    assert carry_out(scripted, order(DELETE)).settlement is DELETE
    assert scripted.now == 100.375 + 0.125 * 63 + 3 * 5.0, "up to five seconds"
    scripted.answers["delete"] = [HEALS]
    assert len(scripted.told) == 11
    assert max(later - sooner for sooner, later in itertools.pairwise(scripted.told)) == 5.0, (
        "never silent for long"
    )


@pytest.mark.parametrize(
    ("name", "lease", "until"),
    [("jobs", 60.0, 460.0), ("jobs", -1000.0, 400.0), ("jobs.fifo", 60.0, 160.0)],
)
def test_how_long_a_delete_is_repeated(
    scripted: Scripted, name: str, lease: float, until: float
) -> None:
    scripted.name = name
    scripted.answers["delete"] = [HEALS]
    assert carry_out(scripted, order(DELETE, lease=lease)).settlement is LEAVE
    assert until - 5.0 <= scripted.now < until


def test_a_delete_that_is_denied_is_repeated_for_a_minute(scripted: Scripted) -> None:
    scripted.answers["delete"] = [HEALS, DENIED]
    assert carry_out(scripted, order(DELETE)).settlement is LEAVE
    assert 155.0 <= scripted.now < 160.125
    assert scripted.denied == [RecoveryDenied(7, "denied")], "the first time"
    scripted.answers["delete"] = [DENIED, DENIED, None]
    assert carry_out(scripted, order(DELETE)).settlement is DELETE


def test_an_order_does_not_wait_for_another_ones_trouble(scripted: Scripted) -> None:
    scripted.answers["delete"] = [*[HEALS] * 9, None]
    carry_out(scripted, order(DELETE), replace(order(RELEASE), number=8))
    assert scripted.kinds()[:2] == ["delete", "release"]


@pytest.mark.parametrize("error", [USELESS, GONE])
def test_what_cannot_heal_is_left_at_once(scripted: Scripted, error: QueueError) -> None:
    for kind, asked in (
        ("delete", order(DELETE)),
        ("release", order(RELEASE)),
        ("receive", poll()),
    ):
        scripted.answers[kind] = [error]
        assert carry_out(scripted, asked) == Recovered(7, LEAVE)
    assert scripted.kinds() == ["delete", "release", "receive"]


def test_a_release_is_tried_once_and_in_time(scripted: Scripted) -> None:
    scripted.answers["release"] = [HEALS]
    assert carry_out(scripted, order(RELEASE)).settlement is LEAVE
    assert scripted.kinds() == ["release"]
    assert carry_out(scripted, order(RELEASE, lease=5.0)).settlement is LEAVE
    assert scripted.kinds() == ["release"]


def test_a_poll_is_repeated_and_what_it_brings_released(scripted: Scripted) -> None:
    """By the same id, without a wait, hidden for as long as the first time."""
    scripted.answers["receive"] = [HEALS, FOUND]
    assert carry_out(scripted, poll()) == Recovered(7, RELEASE, "found", 3)
    assert scripted.calls == [("receive", 0, LEASE, "call")] * 2 + [("release", "fresh handle", 0)]


def test_a_poll_is_repeated_however_little_of_a_lease_is_left(scripted: Scripted) -> None:
    scripted.answers["receive"] = [FOUND]
    assert carry_out(scripted, poll(lease=0.5)).settlement is RELEASE


def test_a_poll_that_brings_nothing_says_nothing(scripted: Scripted) -> None:
    assert carry_out(scripted, poll()) == Recovered(7, LEAVE)
    assert scripted.kinds() == ["receive"]


def test_what_a_poll_brought_and_cannot_be_released_is_told(scripted: Scripted) -> None:
    scripted.answers |= {"receive": [FOUND], "release": [HEALS]}
    assert carry_out(scripted, poll()) == Recovered(7, LEAVE, "found", 3)
    assert scripted.kinds() == ["receive", "release"]


def test_a_poll_is_not_repeated_for_ever(scripted: Scripted) -> None:
    scripted.answers["receive"] = [HEALS]
    assert carry_out(scripted, poll()) == Recovered(7, LEAVE)
    assert 115.0 < scripted.now < 120.0


def test_nothing_of_a_message_is_told_but_its_id(
    scripted: Scripted, capfd: pytest.CaptureFixture[str]
) -> None:
    scripted.answers |= {"receive": [HEALS, replace(FOUND, body="private")], "release": [HEALS]}
    log.configure("debug", "json")  # where what says the same is told, too
    carry_out(scripted, poll())
    carry_out(scripted, order(RELEASE))
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(each["event"], each["message_id"], each["settlement"]) for each in told] == [
        ("will.failed", "(which is not known)", "released"),
        ("will.failed", "(which is not known)", "released"),
        ("will.failed", "id", "released"),
    ]
    assert all((each["error"], each["queue"]) == ("it heals", "jobs") for each in told)
    assert "private" not in str(told)
