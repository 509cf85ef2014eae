"""The master's end of its channels, with the test as template and dispatcher at the other one."""

import os
import select
from collections.abc import Iterator
from typing import cast

import pytest

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.outcomes import Exit
from fleet.core.pool.children import PendingDeath
from fleet.core.pool.events import DispatcherSaid, HelperSaid
from fleet.core.pool.state import Role
from fleet.core.protocol import Drain, Empty, Fork, FromScout, Plan, Tell, Word
from fleet.core.queue_config import QueueConfig
from fleet.core.queue_place import Keys, KeysRefused, QueuePlace
from fleet.core.scout_protocol import Late, Sampled, SampleFailed, Trying, Unusable, Usable
from fleet.core.slot_state import State
from fleet.ipc import channel, scoreboard
from fleet.ipc.channel import Channel
from fleet.ipc.scoreboard import Record, Scoreboard
from fleet.master.children import ChildProcesses
from fleet.master.handouts import Handouts
from fleet.master.helper_log import tell_helper_word
from fleet.master.orphans import describe_death, jobs_in_hand
from fleet.system import log, processes
from tests.support.queues import one_queue

KILLED, DONE = Exit(signal=9), Exit(code=0)
OTHERS_JOB, NOBODYS = 55, 56
PLAN = Plan(Config(), one_queue(app="work:job"), os.getpid())
PLACE = QueuePlace("jobs", "http://127.0.0.1:1/", "x", url="http://127.0.0.1:1/0/jobs")
OTHER_PLACE = QueuePlace("high", "http://127.0.0.1:1/", "x")
KEYS, OTHERS = Keys("key", "secret"), Keys("another", "one", "token", 1e9)


class Master:
    """The children of a master, and the other ends of their channels."""

    def __init__(self) -> None:
        self.board_fd = scoreboard.create()
        self.poll = select.poll()
        self.children = ChildProcesses(
            PLAN, self.poll, Scoreboard(self.board_fd), self.board_fd, ()
        )
        self.ends: list[Channel] = []  # the others'
        self.helpers = {
            role: self._helper(role, pid) for role, pid in zip(Role, (1, 2), strict=True)
        }

    def _helper(self, role: Role, pid: int) -> Channel:
        ours, theirs = channel.make_pair()
        self.children.add_helper(role, pid, ours)
        return self._adopt(theirs.detach())

    def _adopt(self, fd: int) -> Channel:
        self.ends.append(channel.adopt(fd))
        return self.ends[-1]

    def find_queue(self, keys: Keys = KEYS) -> None:
        """The scout has found it."""
        self.helpers[Role.SCOUT].send(keys)
        self.helpers[Role.SCOUT].send(Usable(PLACE, [], "jobs-dlq"))
        self.hear()

    def asked_for(self, slot: int) -> Channel:
        """The dispatcher's end of the channel that comes with the template's order."""
        self.find_queue()
        self.children.spawn(slot)
        template = self.helpers[Role.TEMPLATE]
        assert template.receive() == [Fork(slot, [PLACE], KEYS)]
        return self._adopt(template.fds.pop())

    def hear(self) -> list[object]:
        """Everything that has been said."""
        return [event for fd, _ in self.poll.poll(0) for event in self.children.hear(fd)]

    def close(self) -> None:
        self.children.channels.close_all()
        for end in self.ends:
            end.close()
        for fd in self.helpers[Role.TEMPLATE].fds:
            os.close(fd)
        os.close(self.board_fd)


@pytest.fixture
def master() -> Iterator[Master]:
    made = Master()
    yield made
    made.close()


@pytest.mark.parametrize("word", [Trying(), SampleFailed("no answer"), Late("no answer", 3.0)])
def test_whatever_the_scout_says_is_a_sign_of_life(master: Master, word: FromScout) -> None:
    master.helpers[Role.SCOUT].send(word)
    assert master.hear() == [HelperSaid(Role.SCOUT, word)]


def test_what_the_scout_finds_out_of_the_queue_is_kept(master: Master) -> None:
    master.find_queue()
    assert master.children.handouts.dead_letters == ["jobs-dlq"]
    master.children.spawn(0)
    assert master.helpers[Role.TEMPLATE].receive() == [Fork(0, [PLACE], KEYS)]


def test_all_apps_are_named_where_one_of_their_imports_has_done_harm() -> None:
    apps = [("high", "work:job"), ("low", "other:job"), ("more", "work:job")]
    queues = [QueueConfig(queue, app, Config()) for queue, app in apps]
    board = cast(Scoreboard, None)
    made = ChildProcesses(Plan(Config(), queues, os.getpid()), select.poll(), board, 0, ())
    assert made.known.app == "work:job, other:job"


def test_nobody_is_asked_for_before_the_queue_is_found(master: Master) -> None:
    with pytest.raises(OSError, match="temporarily unavailable"):
        master.children.spawn(0)
    assert master.helpers[Role.TEMPLATE].receive() == []


def test_new_keys_are_handed_to_those_that_live_and_to_those_that_come(master: Master) -> None:
    dispatcher = master.asked_for(0)
    master.find_queue(OTHERS)
    assert dispatcher.receive() == [OTHERS]
    master.children.spawn(1)
    assert master.helpers[Role.TEMPLATE].receive() == [Fork(1, [PLACE], OTHERS)]


def test_keys_that_are_refused_are_the_scouts_affair(master: Master) -> None:
    """The pool is told nothing."""
    dispatcher = master.asked_for(0)
    dispatcher.send(KeysRefused("key"))
    assert master.hear() == []
    assert master.helpers[Role.SCOUT].receive() == [KeysRefused("key")]


@pytest.mark.parametrize("word", [KeysRefused("key"), KEYS])
def test_keys_are_the_scouts_to_tell_and_the_dispatchers_to_refuse(
    master: Master, word: Word
) -> None:
    speaker = master.helpers[Role.TEMPLATE if isinstance(word, Keys) else Role.SCOUT]
    speaker.send(word)
    assert master.hear() == []
    assert master.children.known.distrusted
    assert "secret" not in repr(word)


@pytest.mark.parametrize(
    "word", [Tell("no.event", {}), Tell("poll.failed", {}), Tell("poll.failed", {"event": 1})]
)
def test_what_a_dispatcher_has_told_must_be_tellable(master: Master, word: Tell) -> None:
    """It is not heard any more then."""
    dispatcher = master.asked_for(0)
    dispatcher.send(word)
    dispatcher.send(Empty(1.0))
    assert master.hear() == []
    assert master.children.known.distrusted == {0}
    assert dispatcher.wait() is None
    assert master.hear() == []


def test_what_is_no_word_ends_the_trust_after_what_was_said_before(master: Master) -> None:
    dispatcher = master.asked_for(0)
    dispatcher.send(Empty(1.0))
    os.write(dispatcher.fileno(), b"rubbish")
    assert master.hear() == [DispatcherSaid(0, Empty(1.0))]
    assert master.children.known.distrusted == {0}


def test_a_slot_that_is_forgotten_is_hung_up_on(master: Master) -> None:
    dispatcher = master.asked_for(0)
    master.children.forget(0)
    assert dispatcher.wait() is None
    assert master.children.known.asked == set()


def test_what_is_known_of_each_queue_is_handed_out() -> None:
    handouts = Handouts(2)
    handouts.note(KEYS)
    with pytest.raises(OSError, match="temporarily"):
        handouts.fork_order(0)
    handouts.note(Usable(PLACE, [], "low-dlq", 1))
    with pytest.raises(OSError, match="temporarily"):
        handouts.fork_order(0)
    assert handouts.dead_letters == ["", "low-dlq"]
    handouts.note(Usable(OTHER_PLACE, [], "", 0))
    assert handouts.fork_order(4) == Fork(4, [OTHER_PLACE, PLACE], KEYS)


def test_what_is_told_of_a_queue_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[str, object]] = []
    monkeypatch.setattr(
        log, "emit", lambda event, **fields: logged.append((event, fields["queue"]))
    )
    queues = one_queue(queue="http://127.0.0.1/0/high") + one_queue(queue="low")
    tell_helper_word(Usable(PLACE, [], "", 1), queues)
    tell_helper_word(Sampled(0, Depth(1, 2, 3)), queues)
    tell_helper_word(Late("no answer", 3.0, 1), queues)
    tell_helper_word(Unusable(1, 5, "gone"), queues)  # the core tells it, once the pool has begun
    tell_helper_word(SampleFailed("no answer", 1), queues)
    assert logged == [
        ("queue.usable", "low"),
        ("queue.sampled", "high"),
        ("queue.late", "low"),
        ("sample.failed", "low"),
    ]


def test_one_that_listens_to_nothing_is_distrusted(master: Master) -> None:
    dispatcher = master.asked_for(0)
    while 0 not in master.children.known.distrusted:
        master.children.send(0, Drain(30.0))
    assert dispatcher.receive()


def test_a_job_that_was_swept_before_its_dispatchers_death_was_noticed() -> None:
    """Its exit counts: the work is done, and must not be given back. Nobody else's is kept."""
    board = Scoreboard(scoreboard.create())
    job = Record(State.WORKING, 201, 3, job_pid=OTHERS_JOB, message_id="m", receipt_handle="h")
    board.writer(1).write(job)
    assert jobs_in_hand(board, [0, 1]) == {OTHERS_JOB}
    assert jobs_in_hand(board, [0]) == set()
    exits = {OTHERS_JOB: DONE, NOBODYS: DONE}
    news = describe_death(PendingDeath(1, 201, KILLED), board.read_batch(1), exits)
    (orphan,) = news.orphans
    assert (news.slot, news.exit, news.cause) == (1, KILLED, "SIGKILL")
    assert (orphan.exit, orphan.queue) == (DONE, 3)


@pytest.mark.parametrize("pid", [0, -1, 2**70, os.getppid()])
def test_what_is_no_pid_of_a_childs(pid: int) -> None:
    assert not processes.is_child(pid)
