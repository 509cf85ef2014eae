"""The master's network: is the queue usable, and how deep is it?

A program of its own, so that a slow or failing endpoint never delays the master. It tries a late
queue for `--start-timeout`, then samples the three approximate counts for ever, and leaves when the
master hangs up.
"""

import os
import random
import select
from collections.abc import Sequence
from math import ceil

import setproctitle

from fleet.core import queue_advice
from fleet.core.depth import SAMPLE_JITTER
from fleet.core.exit_codes import QUEUE_LATE, QUEUE_UNUSABLE, USAGE
from fleet.core.protocol import (
    DeleteTried,
    Failed,
    Late,
    Plan,
    Recover,
    Recovered,
    SampleDepth,
    SampleFailed,
    Served,
    TryDelete,
    Trying,
    Usable,
)
from fleet.core.queue import QueueError, Trouble
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.scout.recovery import Orders
from fleet.sqs import dns
from fleet.sqs.address import address_of
from fleet.sqs.provision import make_with_dead_letter_queue
from fleet.sqs.queue import SqsQueue
from fleet.sqs.sessions import Sessions
from fleet.sqs.stream import ConnectOptions
from fleet.system import host, log, signals, stacks
from fleet.system.clock import now

SERVED_WITHIN = 15.0  # seconds for the embedded server to answer
RETRY = 1.0  # seconds between two tries of a queue that is late


def main(arguments: Sequence[str]) -> None:
    """`arguments`: the descriptor of our channel."""
    signals.let_pass()
    stacks.enable()
    control = int(arguments[0])
    os.set_inheritable(control, False)
    master = channel.adopt(control)
    plan = master.wait()
    if not isinstance(plan, Plan):
        return
    log.configure(plan.config.log_level, plan.config.log_format)
    setproctitle.setproctitle("fleet: scout")
    queue = SqsQueue(
        Sessions(address_of(plan)), wait_time=0, options=ConnectOptions(dns.resolve_in_time)
    )
    if _found(plan, master, queue):
        _sample(plan, master, queue)


def _found(plan: Plan, master: Channel, queue: SqsQueue) -> bool:
    """Look the queue up until it answers, cannot, or is too late; what a restart does not heal ends
    at once.
    """
    deadline = now() + plan.config.start_timeout
    said = ""
    while True:
        try:
            master.send(_usable(plan, queue))
            return True
        except QueueError as error:
            left = deadline - now()
            if error.trouble is Trouble.USAGE:
                master.send(Failed(USAGE, str(error)))
                return False
            if error.trouble in (Trouble.DENIED, Trouble.GONE, Trouble.MESSAGE, Trouble.FINAL):
                master.send(Failed(QUEUE_UNUSABLE, str(error)))
                return False
            if left <= 0:
                master.send(
                    Failed(
                        QUEUE_LATE,
                        f"{error}, tried for {plan.config.start_timeout:g} s (--start-timeout)",
                    )
                )
                return False
            if error.trouble is Trouble.SESSION:
                queue.renew()
            if str(error) != said:
                said = str(error)
                master.send(Late(said, round(left, 1)))
            else:
                master.send(Trying())
            _serve_again(plan, master, error)
        if _hung_up(master, min(RETRY, max(0.05, left))):
            return False


def _usable(plan: Plan, queue: SqsQueue) -> Usable:
    if trouble := queue.region_trouble():
        raise QueueError(Trouble.USAGE, trouble)
    if plan.local_port is not None:
        make_with_dead_letter_queue(address_of(plan))
    limit = queue.max_receive_count()
    if trouble := queue_advice.batch_trouble(plan.queue, plan.config.batch_size, limit):
        raise QueueError(Trouble.USAGE, trouble)
    found = queue_advice.advise_on_redrive(limit) + _on_dead_letters(plan, queue, limit)
    found += queue_advice.advise_on_visibility(plan.config.visibility_timeout)
    found += queue_advice.advise_on_retry_delay(plan.queue, plan.config.retry_delay)
    found += queue_advice.advise_on_topics(
        plan.config.body, plan.config.sns_topic, verified=plan.config.sns_verify
    )
    return Usable(queue.url, found, "" if limit is None else queue.dead_letter_queue_name())


def _on_dead_letters(plan: Plan, queue: SqsQueue, limit: int | None) -> list[str]:
    """Whether there is such a queue. That this cannot be known now holds up no pool."""
    if limit is None:
        return []
    try:
        queue.find_dead_letter_queue()
    except QueueError as error:
        return queue_advice.advise_on_dead_letters(
            queue.dead_letter_queue_name(), error.trouble, direct=plan.config.dead_letters_directly
        )
    return []


def _sample(plan: Plan, master: Channel, queue: SqsQueue) -> None:
    """Sample, wait about the interval or until the master asks, and again."""
    # A lost answer would leave its order open for ever.
    orders = Orders(
        queue,
        plan.config.first_lease,
        lambda word: master.send(word, wait=isinstance(word, Recovered | DeleteTried)),
    )
    while True:
        try:
            master.send(queue.depth())
        except QueueError as error:
            if error.trouble is Trouble.SESSION:
                queue.renew()
            master.send(SampleFailed(str(error)))
            _serve_again(plan, master, error)
        if _hung_up(
            master,
            plan.config.sample_interval * random.uniform(1 - SAMPLE_JITTER, 1 + SAMPLE_JITTER),
            orders,
        ):
            return


def _serve_again(plan: Plan, master: Channel, error: QueueError) -> None:
    """The embedded server may have been killed: start it again, and have the queue on it."""
    if plan.local_port is None or error.trouble not in (Trouble.PASSING, Trouble.GONE):
        return
    from fleet.sqs import local_server  # it imports what nobody else here needs

    try:
        served = local_server.use(
            plan.local_port, host.state_directory(), host.runtime_directory(), SERVED_WITHIN
        )
        os.close(served.lock_fd)  # the master's is what keeps it
        if served.pid is not None:
            master.send(
                Served(served.pid), wait=True
            )  # before it could be taken for something that we have left
        make_with_dead_letter_queue(address_of(plan))
    except (
        local_server.LocalError,
        QueueError,
        OSError,
    ):  # said by the sample that has failed; the next one tries again
        return


def _hung_up(master: Channel, seconds: float, orders: Orders | None = None) -> bool:
    """Wait that long, doing what the master orders, or until it wants a sample or is gone; whether
    it is gone.
    """
    poll = select.poll()
    poll.register(master.fileno(), select.POLLIN)
    deadline = now() + seconds
    while now() < deadline:
        until = min(deadline, orders.wakes_at) if orders else deadline
        words = (
            master.receive() if poll.poll(max(0, ceil(min(until - now(), seconds) * 1000))) else []
        )
        if orders:
            for word in words:
                if isinstance(word, Recover | TryDelete):
                    orders.take(word)
            orders.work()
        if master.closed or any(isinstance(word, SampleDepth) for word in words):
            return master.closed
    return False
