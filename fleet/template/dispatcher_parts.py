"""What a dispatcher is made of: its forker, its inbox, and each queue at the first grant for it."""

from fleet.core.delivery import Rules
from fleet.core.protocol import Plan
from fleet.core.queue import Message
from fleet.core.queue_config import QueueConfig
from fleet.dispatcher import job_process
from fleet.dispatcher.context import Context
from fleet.dispatcher.inbox import Inbox
from fleet.dispatcher.job_forker import JobForker, Means
from fleet.dispatcher.process import ConnectedQueue, PoolDispatcher
from fleet.ipc import channel
from fleet.ipc.scoreboard import SlotBoard
from fleet.ipc.shared_page import SharedPage
from fleet.job import process
from fleet.job.forker_process import NO_MESSAGE
from fleet.sqs import dns
from fleet.sqs.pool_access import PoolAccesses
from fleet.sqs.queue import SqsQueue
from fleet.sqs.stream import ConnectOptions
from fleet.sqs.transport import SHORT_CALL
from fleet.system.cgroup import OomKills
from fleet.template.importing import ImportedApp


def make_dispatcher(
    plan: Plan,
    app: ImportedApp,
    slot: int,
    end: int,
    accesses: PoolAccesses,
    board: SlotBoard,
    means: Means | None,
) -> tuple[PoolDispatcher, JobForker]:
    """The dispatcher of that slot, and its forker, which is a process already.

    `end`: the descriptor of its channel to the master. `means`: what the forker forks with, None if
    that could not be found out. Raises OSError when there is no descriptor or process to be had.
    """
    options = ConnectOptions(dns.resolve_in_time, board.note)
    page, oom = SharedPage(), OomKills()
    effects = app.effects
    left = None if effects is None else effects.without_those_of_forker()

    def work(place: int, message: Message, page: SharedPage) -> process.Work:
        queue = plan.queues[place]
        return process.Work(
            queue.app,
            queue.config,
            None if app.loaded is None else app.loaded[place],
            queue.queue,
            slot,
            message,
            app.keep_fds,
            page,
            as_imported=None if effects is None else effects.redo,
            place=place,
        )

    of_forker = [work(place, NO_MESSAGE, page) for place in range(len(plan.queues))]
    for each in of_forker:
        each.as_imported = None if left is None else left.redo
    begin = effects.begin_forker if effects else lambda: None
    forker = JobForker(of_forker, means, begin)
    inbox = Inbox(plan, channel.adopt(end), accesses.keyring.take)
    accesses.keyring.tell_refused = inbox.tell_refused

    def open_queue(place: int) -> tuple[Context, ConnectedQueue]:
        queue_config = plan.queues[place]
        config = queue_config.config
        short_call = min(SHORT_CALL, config.call_timeout)
        queue = SqsQueue(accesses[place], None, config.wait_time, short_call, options)
        context = Context(
            queue_config.queue,
            rules_of(queue_config),
            slot,
            queue,
            queue.renew,
            lambda message, page: work(place, message, page),
            lambda work: forker.start(work, inbox.poll),
            lambda act: job_process.start(act, board.pid, inbox.poll, forker.pids),
            inbox,
            board,
            page,
            oom,
        )
        return context, queue

    return PoolDispatcher(open_queue, inbox, board), forker


def rules_of(queue: QueueConfig) -> Rules:
    """What decides about every delivery of the queue."""
    config = queue.config
    has_handler = config.exit_handler is not None or config.router is not None
    return Rules(config, has_handler, queue.is_fifo)
