"""The scout's process: it talks to the queue for the master.

A program of its own, so that a slow or failing endpoint never delays the master. It tries a late
queue for `--start-timeout`, then samples the queue's three approximate counts and does what the
master orders, and leaves when the master hangs up.
"""

import os
import random
import select
from collections.abc import Sequence
from math import ceil

import setproctitle

from fleet.core import queue_advice
from fleet.core.depth import SAMPLE_JITTER
from fleet.core.protocol import Failed, Plan
from fleet.core.queue import QueueError, Trouble
from fleet.core.scout_protocol import (
    DeleteTried,
    Recover,
    Recovered,
    SampleDepth,
    SampleFailed,
    Served,
    TryDelete,
    Usable,
)
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.scout.late_queue import LateQueue
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
    setproctitle.setproctitle("fleet: scout")
    queue = SqsQueue(
        Sessions(address_of(plan)), wait_time=0, options=ConnectOptions(dns.resolve_in_time)
    )
    if _find_queue(plan, master, queue):
        _sample_for_ever(plan, master, queue)


def _find_queue(plan: Plan, master: Channel, queue: SqsQueue) -> bool:
    """Look the queue up until it answers or is too late; whether it answers.

    What a restart does not heal ends the scout at once.
    """
    late = LateQueue(plan.config.start_timeout, now())
    while True:
        try:
            master.send(_check_queue(plan, queue))
            return True
        except QueueError as error:
            moment = now()
            word = late.judge(error, moment)
            if error.trouble is Trouble.SESSION and not isinstance(word, Failed):
                queue.renew()
            master.send(word)
            if isinstance(word, Failed):
                return False
            _restart_server(plan, master, error)
        if _wait(master, min(RETRY, max(0.05, late.seconds_left(moment)))):
            return False


def _check_queue(plan: Plan, queue: SqsQueue) -> Usable:
    """One look at the queue. Raises QueueError when it cannot be used, or not yet."""
    if trouble := queue.region_trouble():
        raise QueueError(Trouble.USAGE, trouble)
    if plan.local_port is not None:
        make_with_dead_letter_queue(address_of(plan))
    limit = queue.max_receive_count()
    if trouble := queue_advice.batch_trouble(plan.queue, plan.config.batch_size, limit):
        raise QueueError(Trouble.USAGE, trouble)
    advice = queue_advice.advise_on_redrive(limit) + _advise_on_dead_letters(plan, queue, limit)
    advice += queue_advice.advise_on_visibility(plan.config.visibility_timeout)
    advice += queue_advice.advise_on_retry_delay(plan.queue, plan.config.retry_delay)
    advice += queue_advice.advise_on_topics(
        plan.config.body, plan.config.sns_topic, verified=plan.config.sns_verify
    )
    return Usable(queue.url, advice, "" if limit is None else queue.dead_letter_queue_name())


def _advise_on_dead_letters(plan: Plan, queue: SqsQueue, limit: int | None) -> list[str]:
    """Whether the dead-letter queue exists. A pool starts although that cannot be known now."""
    if limit is None:
        return []
    try:
        queue.find_dead_letter_queue()
    except QueueError as error:
        return queue_advice.advise_on_dead_letters(
            queue.dead_letter_queue_name(), error.trouble, direct=plan.config.dead_letters_directly
        )
    return []


def _sample_for_ever(plan: Plan, master: Channel, queue: SqsQueue) -> None:
    """Sample the depth about every interval, and when the master asks; do what it orders."""
    # An answer waits for room in the channel: a lost one would leave its order open for ever.
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
            _restart_server(plan, master, error)
        if _wait(
            master,
            plan.config.sample_interval * random.uniform(1 - SAMPLE_JITTER, 1 + SAMPLE_JITTER),
            orders,
        ):
            return


def _restart_server(plan: Plan, master: Channel, error: QueueError) -> None:
    """Start the embedded server again, if it may have been killed, and make the queue on it."""
    if plan.local_port is None or error.trouble not in (Trouble.PASSING, Trouble.GONE):
        return
    from fleet.sqs import local_server  # its imports are of no use to other scouts

    try:
        served = local_server.use(
            plan.local_port, host.state_directory(), host.runtime_directory(), SERVED_WITHIN
        )
        os.close(served.lock_fd)  # the master's is what keeps it
        if served.pid is not None:
            # The master must know it before it could take it for something that a scout has left.
            master.send(Served(served.pid), wait=True)
        make_with_dead_letter_queue(address_of(plan))
    except (local_server.LocalError, QueueError, OSError):
        return  # the failed sample has said it; the next one tries again


def _wait(master: Channel, seconds: float, orders: Orders | None = None) -> bool:
    """Wait that long and do what the master orders; whether the master is gone.

    The wait ends at once when the master is gone or asks for a sample.
    """
    poll = select.poll()
    poll.register(master.fileno(), select.POLLIN)
    deadline = now() + seconds
    while now() < deadline:
        until = min(deadline, orders.wakes_at) if orders else deadline
        timeout = max(0, ceil(min(until - now(), seconds) * 1000))
        words = master.receive() if poll.poll(timeout) else []
        if orders:
            for word in words:
                if isinstance(word, Recover | TryDelete):
                    orders.take(word)
            orders.work()
        if master.closed or any(isinstance(word, SampleDepth) for word in words):
            return master.closed
    return False
