"""The loop of a dispatcher: granted, received, delivered, told."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from fleet.core.config import Config
from fleet.core.delivery import Rules
from fleet.core.outcomes import Settlement
from fleet.core.protocol import Empty, PollFailed, Ready, Received
from fleet.core.queue import Message, QueueError, Trouble
from fleet.dispatcher.context import Context
from fleet.dispatcher.inbox import Inbox
from fleet.dispatcher.process import PoolDispatcher
from fleet.ipc.scoreboard import SlotBoard
from tests.support.dispatcher_world import GOOD, MESSAGE, Queue, World

FIFO = Rules(is_fifo=True)
Run = Callable[..., None]


@pytest.fixture
def run(world: World) -> Run:
    """Make a dispatcher, and let it run until it leaves."""

    def run(rules: Rules | None = None) -> None:
        context = world.context(rules)
        inbox, board = cast(Inbox, world.inbox), cast(SlotBoard, world.board)
        PoolDispatcher(lambda _: (context, world.queue), inbox, board).run()

    return run


def grants(world: World, moment: float, most: int = 1, queue: int = 0) -> None:
    """The master gives leave to receive."""

    def grant() -> None:
        world.inbox.granted, world.inbox.queue = most, queue

    world.at(moment, grant)


def leaves(world: World, moment: float) -> None:
    """The pool stops."""
    world.at(moment, lambda: world.inbox.drains(0.0))


def test_it_is_ready_before_it_waits_and_polls_nothing_without_a_grant(
    world: World, run: Run
) -> None:
    leaves(world, 5.0)
    run()
    assert world.record == ["board cleared", "say Ready"]
    assert world.inbox.said == [Ready(5)]


def test_a_grant_is_one_poll(world: World, run: Run) -> None:
    grants(world, 2.0)
    world.at(9.0, lambda: world.did("nothing more"))
    leaves(world, 10.0)
    world.queue.takes = 3.0
    run()
    assert world.record[2:] == [
        "board state=POLLING queue=0 receive_id= intent= intent_delay=0 exit=None job_pid=0",
        "receive 10 20",
        "board state=IDLE",
        "say Empty",
        "log queue.polled",
        "nothing more",
    ]
    assert world.inbox.said[1:] == [Empty(3.0)]


def test_the_poll_asks_for_a_short_lease_where_jobs_ask_for_less(world: World, run: Run) -> None:
    grants(world, 2.0)
    leaves(world, 10.0)
    run(Rules(Config(visibility_timeout=8.0)))
    assert world.only("receive") == ["receive 10 8"]


def test_one_message(world: World, run: Run) -> None:
    """On the scoreboard before the master hears of it: that is what he would inherit."""
    world.queue.brings = [replace(MESSAGE, attempt=3)]
    world.queue.takes = 0.25
    grants(world, 2.0)
    world.ends(4.0, GOOD)
    leaves(world, 10.0)
    run()
    assert world.record[4:9] == [
        " ".join(
            [
                "board state=WORKING queue=0 message_id=message-1 receipt_handle=handle-1",
                "attempt=3 lease_until=22.0 lease=20.0",
            ]
        ),
        "say Received",
        "log queue.polled",
        "log message.received",
        "job message-1 below 5",
    ]
    assert world.inbox.said[1] == Received(0.25, 1)
    about = {"slot": 7, "queue": "jobs"}
    assert world.told("message.received") == [{**about, "message_id": "message-1", "attempt": 3}]
    assert world.told("queue.polled") == [{**about, "took": 0.25, "messages": 1}]
    assert world.only("delete", "extend") == ["delete message-1"]


def test_one_message_after_another(world: World, run: Run) -> None:
    world.queue.brings = [replace(MESSAGE, id="a"), replace(MESSAGE, id="b")]
    grants(world, 2.0)
    world.ends(4.0, GOOD, process=0)
    grants(world, 5.0)
    world.ends(6.0, GOOD, process=1)
    leaves(world, 10.0)
    run()
    assert world.only("job", "delete") == ["job a below 5", "delete a", "job b below 5", "delete b"]


def test_a_grant_that_comes_with_the_pools_stop_is_not_used(world: World, run: Run) -> None:
    def both() -> None:
        world.inbox.granted = 1
        world.inbox.drains(0.0)

    world.at(2.0, both)
    run()
    assert not world.only("receive")


def test_a_poll_that_failed_is_told(world: World, run: Run) -> None:
    world.queue.fails["receive"] = [Trouble.PASSING]
    grants(world, 2.0)
    leaves(world, 10.0)
    run()
    assert world.inbox.said[1:] == [PollFailed("receive went wrong")]
    assert world.only("board")[-1] == "board state=IDLE"
    assert world.renewed == 0


def test_a_poll_that_the_server_may_still_hold_is_told_as_such(world: World, run: Run) -> None:
    world.queue.fails["receive"] = [Trouble.PASSING]
    world.queue.unanswered = True
    grants(world, 2.0)
    leaves(world, 10.0)
    run()
    assert world.inbox.said[1:] == [PollFailed("receive went wrong", unanswered=True)]


def test_expired_credentials_are_looked_for_again(world: World, run: Run) -> None:
    world.queue.fails["receive"] = [Trouble.SESSION]
    grants(world, 2.0)
    leaves(world, 10.0)
    run()
    assert world.inbox.said[1:] == [PollFailed("receive went wrong")]
    assert world.renewed == 1


def test_a_message_that_comes_with_the_pools_stop_goes_back(world: World, run: Run) -> None:
    world.queue.brings = [MESSAGE]
    world.queue.takes = 5.0
    grants(world, 2.0)
    leaves(world, 4.0)
    run()
    assert world.only("job", "release") == ["release message-1 0"]


def test_on_a_fifo_queue_the_poll_has_a_name_that_others_can_repeat(world: World, run: Run) -> None:
    for moment in (2.0, 3.0):
        grants(world, moment)
    leaves(world, 10.0)
    run(FIFO)
    first, second = world.queue.receive_ids
    assert first != second
    assert len(first) == 32
    assert f"board state=POLLING queue=0 receive_id={first}" in world.only("board")[1], (
        "before the call"
    )


def test_a_standard_queue_knows_no_such_names(world: World, run: Run) -> None:
    grants(world, 2.0)
    leaves(world, 10.0)
    run()
    assert world.queue.receive_ids == [""]


def batch(count: int) -> list[Message]:
    return [
        replace(MESSAGE, id=f"m{number}", handle=f"h{number}", attempt=number + 1)
        for number in range(count)
    ]


def test_several_messages(world: World, run: Run) -> None:
    world.queue.brings = batch(3)
    grants(world, 2.0, most=3, queue=5)
    for number in range(3):
        world.ends(4.0 + number, GOOD, process=number)
    leaves(world, 10.0)
    run(FIFO)
    assert world.only("receive", "receive_many") == ["receive_many 10 20 3"]
    lease = "lease_until=22.0 lease=20.0"
    assert world.record[2:12] == [
        "board state=POLLING queue=5 receive_id= intent= intent_delay=0 exit=None job_pid=0",
        "receive_many 10 20 3",
        f"board state=WORKING queue=5 message_id=m0 receipt_handle=h0 attempt=1 {lease}",
        f"board1 state=WORKING queue=5 message_id=m1 receipt_handle=h1 attempt=2 {lease}",
        f"board2 state=WORKING queue=5 message_id=m2 receipt_handle=h2 attempt=3 {lease}",
        "say Received",
        "log queue.polled",
        *["log message.received"] * 3,
    ]
    assert world.inbox.said[1] == Received(0.0, 3)
    assert [each["message_id"] for each in world.told("message.received")] == ["m0", "m1", "m2"]
    assert world.only("delete") == ["delete m0", "delete m1", "delete m2"]
    assert world.only("title")[-1] == "title idle"


def test_one_message_where_several_might_have_come(world: World, run: Run) -> None:
    world.queue.brings = batch(1)
    grants(world, 2.0, most=3)
    world.ends(4.0, GOOD)
    leaves(world, 10.0)
    run()
    assert world.inbox.said[1] == Received(0.0, 1)
    assert world.only("delete") == ["delete m0"]


def test_none_where_several_might_have_come(world: World, run: Run) -> None:
    grants(world, 2.0, most=3)
    leaves(world, 10.0)
    run()
    assert world.inbox.said[1:] == [Empty(0.0)]


def test_a_grant_that_was_heard_at_the_end_of_a_batch_is_used_at_once(
    world: World, run: Run
) -> None:
    world.queue.brings = batch(2)
    grants(world, 2.0, most=2)
    world.ends(4.0, GOOD, process=0)
    world.ends(5.0, GOOD, process=1)
    grants(world, 5.0)
    leaves(world, 20.0)
    world.at(6.0, lambda: world.did("six"))
    run()
    assert world.only("receive_many", "receive", "six") == [
        "receive_many 10 20 2",
        "receive 10 20",
        "six",
    ]


def test_a_message_that_is_not_what_was_sent_is_left_untouched(world: World, run: Run) -> None:
    """It is in the books, and nobody finds it on the scoreboard: it is to be settled by nobody."""
    world.queue.brings = [replace(MESSAGE, unusable="its body is not what was sent (MD5OfBody)")]
    grants(world, 2.0)
    leaves(world, 10.0)
    run()
    assert world.record[3:] == [
        "receive 10 20",
        "say Received",
        "log queue.polled",
        "log message.received",
        "board cleared left",
        "say Settled",
        "log message.left",
    ]
    assert world.settled.settlement is Settlement.LEAVE
    assert world.settled.outcome is None
    assert not world.settled.bad
    assert world.settled.hidden_for == 20.0
    assert world.told("message.left")[0]["why"] == "its body is not what was sent (MD5OfBody)"


def test_a_poll_is_as_long_as_the_grant_allows_and_its_end_is_told_with_its_age(
    world: World, run: Run
) -> None:
    world.inbox.longest = 4.0
    world.queue.fails["receive"] = [Trouble.PASSING]
    world.queue.unanswered, world.queue.takes = True, 3.5
    grants(world, 2.0)
    grants(world, 9.0, most=3)
    leaves(world, 20.0)
    run()
    assert world.only("receive", "receive_many") == ["receive 4 20", "receive_many 4 20 3"]
    assert world.inbox.said[1] == PollFailed("receive went wrong", unanswered=True, took=3.5)


def test_nobody_to_ask_is_told_as_that(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive(*_: object) -> None:
        raise QueueError(Trouble.PASSING, "cannot be reached", answered=False)

    monkeypatch.setattr(world.queue, "receive", receive)
    grants(world, 2.0)
    leaves(world, 10.0)
    run()
    assert world.inbox.said[1:] == [PollFailed("cannot be reached", answered=False)]


# Several queues.


class Queues:
    """Two queues, each with options of its own, and which of them were opened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.high, self.low = Queue(world, name="high"), Queue(world, name="low")
        self.rules = (
            Rules(Config(visibility_timeout=60.0, wait_time=10.0)),
            Rules(Config(visibility_timeout=12.0, wait_time=2.0), is_fifo=True),
        )

    def open(self, place: int) -> tuple[Context, Queue]:
        queue = (self.high, self.low)[place]
        self.world.did(f"open {queue.name}")
        return self.world.context(self.rules[place], queue), queue


@pytest.fixture
def queues(world: World) -> Queues:
    """Nothing has been opened."""
    return Queues(world)


def run_with(queues: Queues) -> None:
    inbox, board = cast(Inbox, queues.world.inbox), cast(SlotBoard, queues.world.board)
    PoolDispatcher(queues.open, inbox, board).run()


def test_a_queue_is_opened_at_the_first_grant_for_it(world: World, queues: Queues) -> None:
    for moment, queue in ((2.0, 1), (3.0, 0), (4.0, 1)):
        grants(world, moment, queue=queue)
    leaves(world, 5.0)
    run_with(queues)
    assert world.only("open", "high", "low") == [
        "open low",
        "low receive 2 12",
        "open high",
        "high receive 10 20",
        "low receive 2 12",
    ]
    assert [bool(each) for each in queues.low.receive_ids] == [True, True]
    assert queues.high.receive_ids == [""]
    noted = [each.split()[2] for each in world.record if "state=POLLING" in each]
    assert noted == ["queue=1", "queue=0", "queue=1"]


def test_a_message_is_worked_on_at_its_own_queue(world: World, queues: Queues) -> None:
    queues.low.brings = [MESSAGE]
    grants(world, 2.0, queue=0)
    grants(world, 3.0, queue=1)
    world.ends(5.0, GOOD)
    leaves(world, 6.0)
    run_with(queues)
    assert world.only("high", "low")[1:] == ["low receive 2 12", "low delete message-1"]
    assert world.board.record == {}
    assert "board state=WORKING queue=1" in " ".join(world.record)


def test_connections_to_a_queue_that_is_not_used_for_a_minute_are_closed(
    world: World, queues: Queues
) -> None:
    """At the next grant, once, and they are made anew when it is used again."""
    for moment, queue in (
        (2.0, 0),
        (3.0, 1),
        (62.9, 1),
        (63.0, 1),
        (64.0, 1),
        (65.0, 0),
        (66.0, 0),
    ):
        grants(world, moment, queue=queue)
    leaves(world, 70.0)
    run_with(queues)
    assert world.only("open", "high", "low") == [
        "open high",
        "high receive 10 20",
        "open low",
        "low receive 2 12",
        "low receive 2 12",
        "high close",
        "low receive 2 12",
        "low receive 2 12",
        "high receive 10 20",
        "high receive 10 20",
    ]


def test_a_queue_that_is_used_again_in_time_is_not_hung_up_on(world: World, queues: Queues) -> None:
    for moment, queue in ((2.0, 0), (3.0, 1), (4.0, 0), (63.9, 0), (64.0, 0)):
        grants(world, moment, queue=queue)
    leaves(world, 70.0)
    run_with(queues)
    assert [each for each in world.record if "close" in each] == ["low close"]


def test_the_only_queue_is_never_hung_up_on(world: World, run: Run) -> None:
    for moment in (2.0, 200.0, 400.0):
        grants(world, moment)
    leaves(world, 500.0)
    run()
    assert world.only("receive", "close") == ["receive 10 20"] * 3
