"""`fleet.Dispatcher`: takes one message at a time in the caller's own loop, and runs a job for it.

It delivers as a pool's dispatcher does (dispatcher/runner.py), in other surroundings: signals are
borrowed from the program for the time of a dispatch (borrowed_signals.py), and what belongs to a
job is kept together by a process in between (shim.py), so that the program's own children are never
touched. Nothing is held between two dispatches.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from fleet.core import queue as core_queue
from fleet.core.config import Config
from fleet.core.delivery import Rules
from fleet.core.failure import Failure
from fleet.core.outcomes import Facts, Settlement, back_off
from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.queue_names import is_fifo
from fleet.core.reasons import Reason
from fleet.dispatcher.context import Context
from fleet.dispatcher.runner import DeliveryRunner
from fleet.job import api
from fleet.library import calls, checks
from fleet.library.calls import Prepare, Transformer
from fleet.library.queue import name_of
from fleet.library.receiver import Receiver
from fleet.library.results import (
    DispatcherError,
    Ending,
    dispatcher_error,
    queue_error,
    result_of,
    return_or_raise,
)
from fleet.library.standalone import Hooks, StandaloneInbox, open_context, with_call
from fleet.sqs.queue import SqsQueue
from fleet.system import jitter, log
from fleet.system.clock import now

LATE = "its transformer took longer than the lease, others may have it by now"


class Dispatcher:
    """Takes one message at a time from a queue and runs a job for it in a process of its own.

    All times are seconds.

    - `visibility_timeout`: the lease, 2 to 43,200; it is extended every third of it.
    - `wait_time`: of the long poll, 0 for none, at most 20. None: the queue's own setting, or 10
      where it has none.
    - `drain_timeout`: what a running job gets after a signal; 0 interrupts it at once.
    - `exit_timeout`: for one try of the exit handler, or from SIGTERM to SIGKILL without one.
    - `job_timeout`: then the job is stopped and has failed. None: no limit.
    - `retry_delay`: by attempt, for failed messages, the last one repeats. Empty: their lease runs
      out.
    - `dead_letter`: `native`, or `direct` to dead-letter a message after its last attempt at once.
    - `on_failure`: called with a `Failure`, in a process of its own, after a job has failed and
      before its message is settled, for at most `exit_timeout`.
    - `worker_process_name`: the title of the job's process. None: the job's name.
    - `job_init`: called in each job's process before the job.
    - `job_exit`: called there when all is done, with the job's exception or None, for at most
      `exit_timeout`.

    Raises ValueError and TypeError for options that cannot be meant. A dispatcher may be made
    before a fork: it makes no call to the queue before one is needed. It is for one thread at a
    time.

    `last` is the result of the last message (None: there was no message), `attempt` its attempt.
    """

    def __init__(
        self,
        queue: core_queue.MessageQueue,
        *,
        visibility_timeout: float = 60.0,
        wait_time: float | None = None,
        drain_timeout: float = 30.0,
        exit_timeout: float = 30.0,
        job_timeout: float | None = None,
        retry_delay: Sequence[float] = (),
        dead_letter: str = "native",
        on_failure: Callable[[Failure], object] | None = None,
        worker_process_name: str | None = None,
        job_init: Callable[[], object] | None = None,
        job_exit: Callable[[BaseException | None], object] | None = None,
    ) -> None:
        checks.check_times(
            visibility_timeout=visibility_timeout,
            wait_time=wait_time,
            drain_timeout=drain_timeout,
            exit_timeout=exit_timeout,
            job_timeout=job_timeout,
            retry_delay=retry_delay,
        )
        if dead_letter not in ("native", "direct"):
            raise ValueError(f"dead_letter is {dead_letter!r}; it must be native or direct")
        checks.check_optional_callables(job_init=job_init, job_exit=job_exit, on_failure=on_failure)
        checks.check_has_time("job_exit", job_exit, exit_timeout)
        checks.check_has_time("on_failure", on_failure, exit_timeout)
        self._hooks = Hooks(job_init, job_exit, on_failure)
        self._queue, self._queue_name = queue, name_of(queue)
        self._title = worker_process_name
        fifo = is_fifo(self._queue_name)
        config = Config(
            visibility_timeout=visibility_timeout,
            drain_timeout=drain_timeout,
            exit_timeout=exit_timeout,
            job_timeout=inf if job_timeout is None else job_timeout,
            on_failure=None if on_failure is None else calls.name_of(on_failure),
            retry_delay=tuple(retry_delay),
            dead_letter=dead_letter,
            on_lease_lost="kill" if fifo else "continue",
        )
        self._rules = Rules(config, is_fifo=fifo)
        if isinstance(queue, SqsQueue):
            queue.shorten_calls(config.call_timeout)
        self._receiver = Receiver(queue, wait_time, visibility_timeout)
        self._inbox: StandaloneInbox | None = None
        self._exiting = False
        self.last: Ending | None = None
        self.attempt = 0

    @property
    def is_exiting(self) -> bool:
        """Whether a signal has come that is to end the program. Then nothing is taken any more."""
        return self._exiting or (self._inbox is not None and self._inbox.leaving)

    @property
    def allow_retries(self) -> bool:
        """Whether the queue delivers a message more than once.

        Asks the queue; raises QueueError.
        """
        limit = self._queue.max_receive_count()
        return limit is None or limit > 1

    def dispatch(
        self,
        job: Callable[..., object],
        *args: Any,
        message_transformer: Transformer | None = None,
        exit_handler: Callable[..., object] | None = None,
        worker_process_name: str | None = None,
        **kwargs: Any,
    ) -> bool:
        """Take a message, if there is one, and run `job` for it.

        The job is called with what the transformer makes of the message, then `args` and `kwargs`.

        The transformer (default: the body) returns a list or tuple of arguments, a dict of named
        ones, or the only one. `exit_handler` is called with the same arguments when the job is
        stopped or dies. True: the job succeeded and the message was deleted. False: there was no
        message (`last` is None), or it was released on purpose or rejected (`last` says which).

        Raises JobError, DispatcherError and QueueError; TypeError, before a message is taken, for
        what cannot be called like this; and what the transformer raises, TypeError for a name given
        twice: then the message has been released before, with the delay of a failure
        (`retry_delay`, else 5 s, twice as long at each attempt, up to the visibility timeout).
        """
        checks.check_callable("job", job)
        checks.check_optional_callables(
            message_transformer=message_transformer, exit_handler=exit_handler
        )
        checks.check_has_time("an exit handler", exit_handler, self._rules.config.exit_timeout)
        if message_transformer is None:
            checks.check_fit(job, args, kwargs)
        prepare = calls.for_job(job, message_transformer, exit_handler, args, kwargs)
        return self._dispatch(
            prepare, worker_process_name, takes_whole_lease=message_transformer is not None
        )

    def dispatch_by_message_attribute(
        self,
        message_transformer: Transformer,
        *args: Any,
        worker_process_name: str | None = None,
        **kwargs: Any,
    ) -> bool:
        """As `dispatch`, with a transformer that chooses the job too.

        It returns a dict: `_job`, and if wanted `_exit_handler` and `_job_args`; all else are named
        arguments. Returns and raises as `dispatch` does.
        """
        checks.check_callable("message_transformer", message_transformer)
        prepare = calls.by_message(message_transformer, args, kwargs)
        return self._dispatch(prepare, worker_process_name, takes_whole_lease=True)

    def _dispatch(self, prepare: Prepare, title: str | None, *, takes_whole_lease: bool) -> bool:
        """Work on one message; the signals are borrowed from the receive to the settlement.

        `takes_whole_lease`: the receive asks for the whole visibility timeout, because the lease
        is not extended while a transformer runs.
        """
        self.last, self.attempt = None, 0
        if self._exiting:
            return False
        config = self._rules.config
        longest_finish = config.longest_finish(config.drain_timeout)
        inbox = self._inbox = StandaloneInbox(config.drain_timeout, longest_finish)
        try:
            inbox.listen()
            return self._work_on_one(inbox, prepare, title, takes_whole_lease)
        finally:
            try:
                inbox.give_back()
            finally:
                self._exiting = inbox.leaving
                self._inbox = None

    def _work_on_one(
        self,
        inbox: StandaloneInbox,
        prepare: Prepare,
        title: str | None,
        takes_whole_lease: bool,
    ) -> bool:
        wait_time = self._receiver.wait_seconds()
        config = replace(self._rules.config, wait_time=wait_time)
        rules = replace(self._rules, config=config, takes_whole_lease=takes_whole_lease)
        asked_at, message = self._receiver.receive(inbox, wait_time, rules.first_lease)
        if message is None:
            return False
        self.attempt = message.attempt
        if message.unusable:
            raise self._leave_unusable(message)
        with open_context(self._queue, self._queue_name, inbox, rules) as context:
            try:
                call = prepare(message)
            except (api.Retry, api.Reject) as asked:
                call = calls.that_raises(asked)
            except BaseException:  # the caller sees whatever it is; first the message goes back
                self._release_untransformed(context, message, asked_at)
                raise
            if now() >= asked_at + rules.first_lease:
                raise self._leave_late(message)
            process_title = title or self._title or calls.name_of(call.job)
            runner = DeliveryRunner(
                with_call(context, call, self._hooks, process_title), message, asked_at
            )
            delivery = runner.run()
        self._receiver.note_start(starved=runner.starved)
        self.last = result_of(message, delivery, runner.delay)
        return return_or_raise(self.last, delivery, refusal=runner.refusal, starved=runner.starved)

    def _release_untransformed(self, context: Context, message: Message, asked_at: float) -> None:
        """The message of a transformer that has failed goes back, as if its job had died."""
        runner = DeliveryRunner(context, message, asked_at)
        verdict = back_off(
            "its transformer failed",
            Reason.TRANSFORMER_FAILED,
            Facts(attempt=message.attempt),
            context.rules.config,
            jitter.draw(),
        )
        delivery = runner.give_back(verdict)
        self.last = result_of(message, delivery, runner.delay)

    def _leave_late(self, message: Message) -> DispatcherError:
        """The error for a message whose transformer has outlasted the lease."""
        self.last = Ending(message, Settlement.LEAVE, why=LATE, reason=Reason.TRANSFORMER_LATE)
        return dispatcher_error(f"message {message.id}: {LATE}", self.last)

    def _leave_unusable(self, message: Message) -> QueueError:
        """The error for a message that must not be worked on."""
        why = message.unusable
        about = {"slot": 0, "queue": self._queue_name, "message_id": message.id}
        log.emit("message.left", **about, attempt=message.attempt, why=why)
        self.last = Ending(message, Settlement.LEAVE, why=why, reason=Reason.UNUSABLE)
        text = f"message {message.id} was left to its lease: {why}"
        return queue_error(Trouble.MESSAGE, text, self.last)
