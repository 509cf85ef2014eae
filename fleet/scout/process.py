"""The scout's process: it talks to the queue for the master.

A program of its own, so that a slow or failing endpoint never delays the master. It has the place
of the queue and the keys found out (key_source.py), and tells the master both. It tries a late
queue for `--start-timeout`, then samples the queue's three approximate counts and does what the
master orders, and leaves when the master hangs up.

docs/decisions/0031 has the reasons.
"""

import os
import select
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from fleet.core import queue_advice
from fleet.core.depth import SAMPLE_JITTER
from fleet.core.protocol import Failed, Plan, Word
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_place import Keys, KeysRefused, QueuePlace
from fleet.core.scout_protocol import (
    DeleteTried,
    Recover,
    Recovered,
    Sampled,
    SampleDepth,
    SampleFailed,
    Served,
    TryDelete,
    Trying,
    Usable,
)
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.scout.key_source import KeySource
from fleet.scout.late_queue import LateQueue
from fleet.scout.recovery import Orders
from fleet.sqs import dns
from fleet.sqs.address import address_of
from fleet.sqs.pool_access import Keyring, PoolAccess, find_local
from fleet.sqs.provision import make_with_dead_letter_queue
from fleet.sqs.queue import SqsQueue
from fleet.sqs.stream import ConnectOptions
from fleet.system import jitter, log, signals, stacks, titles
from fleet.system.clock import now

SERVED_WITHIN = 15.0  # seconds for the embedded server to answer
RETRY = 1.0  # seconds between two tries of a queue that is late
ALIVE = 5.0  # seconds between two signs of life while a resolver is waited for
FIRST = 0  # the place of the only queue


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
    log.configure(plan.config.log_level, plan.config.log_format)
    titles.show("fleet: scout")
    scout = Scout(plan, master)
    try:
        scout.run()
    finally:
        scout.close()


class MasterGone(Exception):
    """Nobody is there any more whom the scout works for."""


class Scout:
    """Works for one master until that is gone, or the queue is given up."""

    def __init__(self, plan: Plan, master: Channel) -> None:
        self._plan, self._first, self._master = plan, plan.queues[0], master
        self._source = KeySource(plan)
        self._keyring: Keyring | None = None

    def run(self) -> None:
        """Find the queue, then sample it and do what the master orders."""
        try:
            queue = self._find_queue()
            if queue is not None:
                self._sample_for_ever(queue)
        except MasterGone:
            return

    def close(self) -> None:
        """Leave no process behind."""
        self._source.close()

    # The start.

    def _find_queue(self) -> SqsQueue | None:
        """Look the queue up until it answers or is too late; None if it does not answer.

        What a restart does not heal ends the scout at once. Raises MasterGone.
        """
        late = LateQueue(self._plan.config.start_timeout, now(), FIRST)
        found: tuple[SqsQueue, QueuePlace] | None = None
        while True:
            try:
                found = found or self._open_queue()
                self._master.send(self._check_queue(*found))
                return found[0]
            except QueueError as error:
                moment = now()
                word = late.judge(error, moment)
                if error.trouble is Trouble.SESSION:
                    found = None
                self._master.send(word)
                if isinstance(word, Failed):
                    return None
                self._restart_server(error)
            self._pause(min(RETRY, max(0.05, late.seconds_left(moment))))

    def _open_queue(self) -> tuple[SqsQueue, QueuePlace]:
        """The queue at its place, with keys. Raises QueueError, MasterGone."""
        place, keys = self._find_place()
        self._keyring = Keyring(keys, self._note_refusal)
        self._master.send(keys, wait=True)
        access = PoolAccess(address_of(self._plan, self._first), place, self._keyring)
        options = ConnectOptions(dns.resolve_in_time)
        return SqsQueue(access, wait_time=0, options=options), place

    def _find_place(self) -> tuple[QueuePlace, Keys]:
        """Where the queue is, and the keys. Raises QueueError, MasterGone."""
        if self._plan.local_port is not None:
            by_botocore = self._plan.config.transport == "boto3"
            return find_local(address_of(self._plan, self._first), by_botocore=by_botocore)
        self._source.start()
        while (found := self._source.take()) is None:
            self._hear(min(now() + ALIVE, self._source.wakes_at))
            self._leave_with_master()
            self._master.send(Trying())
        return found.place, found.keys

    def _check_queue(self, queue: SqsQueue, place: QueuePlace) -> Usable:
        """One look at the queue. Raises QueueError when it cannot be used, or not yet."""
        name, config = self._first.queue, self._first.config
        if self._plan.local_port is not None:
            make_with_dead_letter_queue(address_of(self._plan, self._first))
        limit = queue.max_receive_count()
        if trouble := queue_advice.batch_trouble(name, config.batch_size, limit):
            raise QueueError(Trouble.USAGE, trouble)
        advice = queue_advice.advise_on_redrive(limit) + self._advise_on_dead_letters(queue, limit)
        advice += queue_advice.advise_on_visibility(config.visibility_timeout)
        advice += queue_advice.advise_on_retry_delay(name, config.retry_delay)
        advice += queue_advice.advise_on_topics(
            config.body, config.sns_topic, verified=config.sns_verify
        )
        dead_letters = "" if limit is None else queue.dead_letter_queue_name()
        return Usable(replace(place, url=queue.url), advice, dead_letters, FIRST)

    def _advise_on_dead_letters(self, queue: SqsQueue, limit: int | None) -> list[str]:
        """Whether the dead-letter queue exists. A pool starts although that is not known now."""
        if limit is None:
            return []
        try:
            queue.find_dead_letter_queue()
        except QueueError as error:
            return queue_advice.advise_on_dead_letters(
                queue.dead_letter_queue_name(),
                error.trouble,
                direct=self._first.config.dead_letters_directly,
            )
        return []

    # From then on.

    def _sample_for_ever(self, queue: SqsQueue) -> None:
        """Sample the depth about every interval, and when the master asks; do what it orders.

        Raises MasterGone.
        """
        # An answer waits for room in the channel: a lost one would leave its order open for ever.
        orders = Orders(
            queue,
            self._first.config.first_lease,
            lambda word: self._master.send(word, wait=isinstance(word, Recovered | DeleteTried)),
        )
        while True:
            try:
                self._master.send(Sampled(FIRST, queue.depth()))
            except QueueError as error:
                if error.trouble is Trouble.SESSION:
                    queue.renew()
                self._master.send(SampleFailed(str(error), FIRST))
                self._restart_server(error)
            share = 1 + SAMPLE_JITTER * (2 * jitter.draw() - 1)
            self._work(self._plan.config.sample_interval * share, orders)

    def _work(self, seconds: float, orders: Orders) -> None:
        """Do for so long what is ordered or due, or until a sample is asked for.

        Raises MasterGone.
        """
        deadline = now() + seconds
        is_sample_asked = False
        while now() < deadline and not is_sample_asked:
            for word in self._hear(min(deadline, orders.wakes_at, self._source.wakes_at)):
                match word:
                    case Recover() | TryDelete():
                        orders.take(word)
                    case KeysRefused(access_key):
                        self._source.note_refusal(access_key)
                    case SampleDepth():
                        is_sample_asked = True
            orders.work()
            self._leave_with_master()
            self._renew_keys()

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

    def _restart_server(self, error: QueueError) -> None:
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
            make_with_dead_letter_queue(address_of(self._plan, self._first))
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
