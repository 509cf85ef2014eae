"""The scout's process: it talks to the queues for the master.

A program of its own, so that a slow or failing endpoint never delays the master. It has the places
of the queues and the keys found out (key_source.py), and tells the master both. It looks after each
queue (watched_queue.py): once an interval, in a round, it reads the three approximate counts of
them all. Between two queues it does what the master orders. It leaves when the master hangs up.

docs/decisions/0031 has the reasons.
"""

import os
import select
from collections.abc import Sequence
from math import ceil, inf

from fleet.core.depth import SAMPLE_JITTER
from fleet.core.protocol import Failed, FromScout, Plan, Word
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_config import QueueConfig
from fleet.core.queue_place import Keys, KeysRefused, QueuePlace
from fleet.core.scout_protocol import (
    DeleteTried,
    Recover,
    Recovered,
    SampleDepth,
    Served,
    TryDelete,
    Trying,
)
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.scout.key_source import KeySource
from fleet.scout.late_queue import LateQueue
from fleet.scout.watched_queue import RETRY, GivenUp, WatchedQueue
from fleet.sqs import dns
from fleet.sqs.address import address_of
from fleet.sqs.pool_access import Keyring, PoolAccesses, find_local
from fleet.sqs.provision import make_with_dead_letter_queue
from fleet.sqs.queue import SqsQueue
from fleet.sqs.stream import ConnectOptions
from fleet.system import jitter, log, signals, stacks, titles
from fleet.system.clock import now

SERVED_WITHIN = 15.0  # seconds for the embedded server to answer
ALIVE = 5.0  # seconds between two signs of life while a resolver is waited for


def main(arguments: Sequence[str]) -> None:
    """`arguments`: the descriptor of the channel to the master."""
    signals.let_pass()
    stacks.enable()
    control = int(arguments[0])
    os.set_inheritable(control, False)
    master = channel.adopt(control)
    plan = master.wait()
    if not isinstance(plan, Plan):
        return
    several = len(plan.queues) > 1
    log.configure(plan.config.log_level, plan.config.log_format, names_queue=several)
    titles.show("fleet: scout")
    scout = Scout(plan, master)
    try:
        scout.run()
    finally:
        scout.close()


class MasterGone(Exception):
    """Nobody is there any more whom the scout works for."""


class Scout:
    """Works for one master until that is gone, or the only queue is given up."""

    def __init__(self, plan: Plan, master: Channel) -> None:
        self._plan, self._master = plan, master
        self._source = KeySource(plan)
        self._keyring: Keyring | None = None
        self._queues: list[WatchedQueue] = []
        self._is_sample_asked = False

    def run(self) -> None:
        """Find the queues, then look after them and do what the master orders."""
        try:
            if self._find_queues():
                self._watch_for_ever()
        except (MasterGone, GivenUp):
            return

    def close(self) -> None:
        """Leave no process behind."""
        self._source.close()

    def _say(self, word: FromScout) -> None:
        """An answer waits for room in the channel: a lost one would leave its order open."""
        self._master.send(word, wait=isinstance(word, Recovered | DeleteTried))

    # The start.

    def _find_queues(self) -> bool:
        """Have places and keys found out; False if that is given up. Raises MasterGone."""
        timeout, began = self._plan.config.start_timeout, now()
        lates = [LateQueue(timeout, began, place) for place in range(len(self._plan.queues))]
        first = lates[0]  # it is said of this one: without keys nothing can be said of any
        while True:
            try:
                self._queues = self._open_queues(lates)
                return True
            except QueueError as error:
                moment = now()
                word = first.judge(error, moment)
                self._say(word)
                if isinstance(word, Failed):
                    return False
            self._pause(min(RETRY, max(0.05, first.seconds_left(moment))))

    def _open_queues(self, lates: Sequence[LateQueue]) -> list[WatchedQueue]:
        """The queues at their places, with keys. Raises QueueError, MasterGone."""
        places, keys = self._find_places()
        self._keyring = Keyring(keys, self._note_refusal)
        self._master.send(keys, wait=True)
        addresses = [address_of(self._plan, queue) for queue in self._plan.queues]
        accesses = PoolAccesses(addresses, self._keyring)
        accesses.find(places)
        options = ConnectOptions(dns.resolve_in_time)
        return [
            WatchedQueue(
                self._plan,
                number,
                lates[number],
                SqsQueue(accesses[number], wait_time=0, options=options),
                place,
                self._say,
            )
            for number, place in enumerate(places)
        ]

    def _find_places(self) -> tuple[list[QueuePlace], Keys]:
        """Where the queues are, and the keys. Raises QueueError, MasterGone."""
        if self._plan.local_port is not None:
            by_botocore = self._plan.config.transport == "boto3"
            found = [
                find_local(address_of(self._plan, queue), by_botocore=by_botocore)
                for queue in self._plan.queues
            ]
            return [place for place, _ in found], found[0][1]
        self._source.start()
        while (resolved := self._source.take()) is None:
            self._hear(min(now() + ALIVE, self._source.wakes_at))
            self._leave_with_master()
            self._master.send(Trying())
        return resolved.places, resolved.keys

    # From then on.

    def _watch_for_ever(self) -> None:
        """Look at all queues about every interval, and when the master asks; do what it orders.

        Raises MasterGone, GivenUp.
        """
        round_at = -inf
        while True:
            in_round = self._is_sample_asked or now() >= round_at
            self._is_sample_asked = False
            for queue in self._queues:
                error = queue.look(in_round=in_round)
                if error is not None:
                    self._restart_server(error, queue.config)
                self._work(now())
            if in_round:
                share = 1 + SAMPLE_JITTER * (2 * jitter.draw() - 1)
                round_at = now() + self._plan.config.sample_interval * share
            self._work(min(round_at, *(queue.tries_at for queue in self._queues)))

    def _work(self, until: float) -> None:
        """Do until then what is ordered or due, or until a sample is asked for.

        What has been ordered is heard in any case. Raises MasterGone.
        """
        while True:
            orders_wake_at = min(each.orders.wakes_at for each in self._queues)
            for word in self._hear(min(until, orders_wake_at, self._source.wakes_at)):
                match word:
                    case Recover() | TryDelete():
                        self._queues[word.queue].orders.take(word)
                    case KeysRefused(access_key):
                        self._source.note_refusal(access_key)
                    case SampleDepth():
                        self._is_sample_asked = True
            for queue in self._queues:
                queue.orders.work()
            self._leave_with_master()
            self._renew_keys()
            if self._is_sample_asked or now() >= until:
                return

    def _renew_keys(self) -> None:
        """Fetch the keys when they are due, and hand out new ones."""
        try:
            self._source.start_if_due()
            found = self._source.take()
        except QueueError as error:
            log.emit("credentials.failed", error=str(error))
            return
        if found is None or self._keyring is None or found.keys == self._keyring.keys:
            return
        self._keyring.keys = found.keys
        self._master.send(found.keys, wait=True)
        log.emit("credentials.renewed", access_key=found.keys.access_key)

    def _note_refusal(self, keys: Keys) -> bool:
        """SQS has refused the keys in a call of our own."""
        self._source.note_refusal(keys.access_key)
        return True

    def _restart_server(self, error: QueueError, queue: QueueConfig) -> None:
        """Start the embedded server again, if it may have been killed, and make the queue on it."""
        port = self._plan.local_port
        if port is None or error.trouble not in (Trouble.PASSING, Trouble.GONE):
            return
        # Their imports are of no use to other scouts.
        from fleet.sqs import local_server
        from fleet.system import host

        try:
            served = local_server.use(
                port, host.state_directory(), host.runtime_directory(), SERVED_WITHIN
            )
            os.close(served.lock_fd)  # the master's is what keeps it
            if served.pid is not None:
                # The master must know it before it could take it for something that a scout has
                # left.
                self._master.send(Served(served.pid), wait=True)
            make_with_dead_letter_queue(address_of(self._plan, queue))
        except (local_server.LocalError, QueueError, OSError):
            return  # the failed sample has said it; the next one tries again

    def _pause(self, seconds: float) -> None:
        """Wait that long, and heed nothing but the master's end. Raises MasterGone."""
        deadline = now() + seconds
        while now() < deadline:
            self._hear(deadline)
            self._leave_with_master()

    def _hear(self, until: float) -> list[Word]:
        """What the master says first, if it says anything until then (seconds on our clock).

        Ends sooner when the resolver has said something, or the master is gone.
        """
        poll = select.poll()
        poll.register(self._master.fileno(), select.POLLIN)
        self._source.register(poll)
        ready = {fd for fd, _ in poll.poll(max(0, ceil((until - now()) * 1000)))}
        return self._master.receive() if self._master.fileno() in ready else []

    def _leave_with_master(self) -> None:
        """Raises MasterGone if it is gone."""
        if self._master.closed:
            raise MasterGone
