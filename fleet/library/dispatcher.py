"""The library: one dispatcher in somebody's own loop, and the queue to give it.

It is the delivering of a pool's dispatcher (delivering.py) with surroundings of its own: signals
are borrowed from the program for the time of a dispatch (alone.py), and what belongs to a job is
kept together by a process in between (keeper.py), so that the program's own children are never
touched. Nothing is held between two dispatches.
"""

import functools
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from fleet.core import poll_cuts, polling
from fleet.core import queue as seam
from fleet.core.arguments import Call, merged, routed, transformed
from fleet.core.delivery.machine import FIRST_LEASE, Rules, first, polled
from fleet.core.delivery.settling import pause_before
from fleet.core.failure import Failure
from fleet.core.outcomes import Facts, Policy, Settlement, back_off
from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.reasons import Reason
from fleet.dispatcher.runner import Delivering
from fleet.job import api, callables
from fleet.job.results import finished_here
from fleet.library.results import DispatcherError, Ending, ending, tell
from fleet.library.standalone import Hooks, StandaloneInbox, renew, workbench, working_on
from fleet.sqs import lent as lending
from fleet.sqs.queue import Address, Sessions, SqsQueue
from fleet.system import log
from fleet.system.clock import now

SETTLE_ALLOWANCE = 10.0  # seconds: as a pool's stop has for what is to be settled at its end
WAIT_TIME = 10.0  # seconds of long poll, where nobody says anything else

Transformer = Callable[[Message], Any]


class Queue(seam.Queue):
    """What a dispatcher needs of a queue. Any object with these methods will do; a class may also
    derive from this.

    `name` and `wait_time()` (seconds) are used where an object has them.
    """

    @staticmethod
    def open(
        name_or_url: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        session: Any = None,
    ) -> SqsQueue:
        """An SQS queue. Nothing is asked of SQS before the first call; None is boto3's own choice.

        `session`: a boto3 session, whose credentials, region and profile are used. Raises TypeError
        for what is none.
        """
        lent = None if session is None else lending.of_session(session)
        return SqsQueue(Sessions(Address(name_or_url, region, endpoint_url), lent=lent))

    @staticmethod
    def wrap(resource: Any) -> SqsQueue:
        """The queue that a boto3 Queue resource stands for, with its credentials, region and
        endpoint.

        Time-outs, retries and proxies are fleet's own, not those of its client. Raises TypeError
        for what is none.
        """
        lent, url, endpoint_url = lending.of_queue(resource)
        return SqsQueue(Sessions(Address(url, endpoint_url=endpoint_url), lent=lent))


class Dispatcher:
    """Takes one message at a time from a queue and runs a job for it in a process of its own. Times
    are seconds.

    `wait_time`: of the long poll, 0 for none; left out, the queue's own setting, or 10 where it has
    none. `drain_timeout`: what a running job gets after a signal; 0 interrupts it at once.
    `exit_timeout`: for one try of the exit handler, or from SIGTERM to SIGKILL without one.
    `retry_delay`: by attempt, for failed messages, the last one repeats; left out, their lease runs
    out. `dead_letter`: `native` or `direct`. `job_init` is called in each job's process before the
    job; `job_exit` there when all is done, with its exception or None; `on_failure` with a
    `Failure`, in a process of its own, after a job has failed and before its message is settled;
    the last two for `exit_timeout` at the most.

    It may be made before a fork; no call is made before it is needed. One thread at a time.
    """

    def __init__(
        self,
        queue: seam.Queue,
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
        _check("visibility_timeout", visibility_timeout, 2, 43_200)
        _check("wait_time", WAIT_TIME if wait_time is None else wait_time, 0, 20)
        _check("drain_timeout", drain_timeout)
        _check("exit_timeout", exit_timeout)
        _check("job_timeout", inf if job_timeout is None else job_timeout)
        for delay in retry_delay:
            _check("retry_delay", delay, 0, 43_200)
        if dead_letter not in ("native", "direct"):
            raise ValueError(f"dead_letter is {dead_letter!r}; it must be native or direct")
        _check_callable(
            job_init=job_init or str, job_exit=job_exit or str, on_failure=on_failure or str
        )
        for name, hook in (("job_exit", job_exit), ("on_failure", on_failure)):
            if hook is not None and exit_timeout == 0:
                raise ValueError(f"exit_timeout is 0: {name} would never have time to run")
        self._hooks = Hooks(job_init, job_exit, on_failure)
        self._queue, self._name = queue, worker_process_name
        self._queue_name = str(getattr(queue, "name", type(queue).__name__))
        self._wait_time, self._drain_timeout = wait_time, drain_timeout
        tries = 2 if on_failure is None else 3  # of what may run when the job is over
        self._longest_stop = (
            max(drain_timeout, exit_timeout) + tries * exit_timeout + SETTLE_ALLOWANCE
        )
        fifo = self._queue_name.endswith(".fifo")
        self._rules = Rules(
            visibility=visibility_timeout,
            exit_timeout=exit_timeout,
            job_timeout=inf if job_timeout is None else job_timeout,
            on_failure=on_failure is not None,
            kill_on_loss=fifo,
            fifo=fifo,
            policy=Policy(tuple(retry_delay), direct=dead_letter == "direct"),
        )
        if isinstance(queue, SqsQueue):
            queue.hasten(self._rules.first_lease / 6)
        self._inbox: StandaloneInbox | None = None
        self._exiting = False
        self._failures, self._user = 0, 0
        self._polling, self._cuts = polling.Polling(), poll_cuts.Cuts()
        self.last: Ending | None = None
        self.attempt = 0

    @property
    def is_exiting(self) -> bool:
        """Whether a signal has come that is to end the program. Then nothing is taken any more."""
        return self._exiting or (self._inbox is not None and self._inbox.leaving)

    @property
    def allow_retries(self) -> bool:
        """Whether the queue delivers a message more than once. Asks the queue; raises QueueError."""
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
        """Take a message, if there is one, and run `job` for it, with what the transformer makes of
        it and the rest.

        The transformer (default: the body) returns a list or tuple of arguments, a dict of named
        ones, or the only one. True: the job succeeded and the message was deleted. False: there was
        no message (`last` is None), or it was released on purpose or rejected (`last` says which).
        Raises JobError, DispatcherError, QueueError, and what the transformer raises, TypeError for
        a name given twice; then the message has been released before, with the delay of a failure
        (`retry_delay`, else 5 s, twice as long at each attempt, up to the visibility timeout).
        """

        _check_callable(
            job=job,
            message_transformer=message_transformer or str,
            exit_handler=exit_handler or str,
        )
        if exit_handler is not None and self._rules.exit_timeout == 0:
            raise ValueError("exit_timeout is 0: an exit handler would never have time to run")
        if message_transformer is None and (
            why := callables.misfit(job, (((None, *args), kwargs),))
        ):
            raise TypeError(
                f"job cannot be called with the message's body and what dispatch() was given: {why}"
            )

        def call(message: Message) -> Call:
            value = (
                finished_here(message_transformer(message)) if message_transformer else message.body
            )
            given, named = merged(*transformed(value), args, kwargs)
            return Call(job, given, named, exit_handler)

        return self._dispatch(
            call, worker_process_name, FIRST_LEASE if message_transformer is None else inf
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
        arguments.
        """

        _check_callable(message_transformer=message_transformer)

        def call(message: Message) -> Call:
            found = routed(finished_here(message_transformer(message)))
            given, named = merged(found.args, found.kwargs, args, kwargs)
            return Call(found.job, given, named, found.exit_handler)

        return self._dispatch(call, worker_process_name, inf)

    def _dispatch(self, prepare: Callable[[Message], Call], name: str | None, least: float) -> bool:
        """The signals are ours from before the receive until after the settlement.

        `least` is the first lease: nobody extends it while a transformer runs, so then it is the
        whole one.
        """
        self.last, self.attempt = None, 0
        if self._exiting:
            return False
        self._inbox = StandaloneInbox(self._drain_timeout, self._longest_stop)
        try:
            self._inbox.listen()
            return self._one(self._inbox, prepare, name, replace(self._rules, first=least))
        finally:
            try:
                self._inbox.give_back()
            finally:
                self._exiting, self._inbox = self._inbox.leaving, None

    def _one(
        self,
        inbox: StandaloneInbox,
        prepare: Callable[[Message], Call],
        name: str | None,
        rules: Rules,
    ) -> bool:
        wait_time = self._wait_seconds()
        rules = replace(rules, first=max(rules.first, first(wait_time)))
        before, message = self._receive(inbox, wait_time, rules.first_lease)
        if message is None:
            return False
        self.attempt = message.attempt
        with workbench(self._queue, self._queue_name, inbox, wait_time, rules) as bench:
            try:
                call = prepare(message)
            except (api.Retry, api.Reject) as asked:
                call = _ends_with(asked)
            except BaseException:  # the caller sees whatever it is; first the message goes back
                delivering = Delivering(bench, message, before)
                facts = Facts(attempt=message.attempt, lease=rules.visibility)
                later = back_off(
                    "its transformer failed",
                    Reason.TRANSFORMER_FAILED,
                    facts,
                    rules.policy,
                    random.random(),
                )
                ended = delivering.give_back(later)
                self.last = ending(message, ended, delivering.delay)
                raise
            if now() >= before + rules.first_lease:
                late = "its transformer took longer than the lease, others may have it by now"
                self.last = Ending(
                    message, Settlement.LEAVE, why=late, reason=Reason.TRANSFORMER_LATE
                )
                raise DispatcherError(
                    f"message {message.id}: {late}",
                    message=message,
                    settlement=Settlement.LEAVE,
                    reason=Reason.TRANSFORMER_LATE,
                )
            title = name or self._name or _name_of(call.job)
            delivering = Delivering(working_on(bench, call, self._hooks, title), message, before)
            ended = delivering.run()
        again = polling.starved(self._polling, now(), random.random())
        self._polling = again if delivering.starved else polling.fed(self._polling)
        self.last = ending(message, ended, delivering.delay)
        return tell(self.last, ended, refusal=delivering.refusal, starved=delivering.starved)

    # The parts.

    def _wait_seconds(self) -> float:
        """Once it is known it is kept; SQS's default of 0 is nobody's setting."""
        if self._wait_time is None:
            ask: Callable[[], float] = getattr(self._queue, "wait_time", lambda: 0.0)
            self._wait_time = ask() or WAIT_TIME
        return polled(self._wait_time, self._rules.visibility)

    def _receive(
        self, inbox: StandaloneInbox, wait_time: float, lease: float
    ) -> tuple[float, Message | None]:
        """One poll, and the moment before it. After one that failed there is a pause: a caller's
        loop must not spin.
        """
        if self._user not in (
            0,
            os.getpid(),
        ):  # connections are not shared with the process that we were forked from
            renew(self._queue)
        self._user = os.getpid()
        if (
            self._polling.not_before > now()
        ):  # this host had no process for a job: whoever asks on burns attempts
            inbox.wait(self._polling.not_before)
        if self._failures:
            inbox.wait(now() + pause_before(self._failures, random.random()))
        if inbox.leaving:
            return now(), None
        before = now()
        wait = poll_cuts.length(self._cuts, before, wait_time)
        self._cuts = poll_cuts.asked(self._cuts, before)
        try:
            message = self._queue.receive(wait, lease)
        except QueueError as error:
            self._failures += 1
            if error.unanswered:
                self._measured(
                    poll_cuts.cut(self._cuts, now(), now() - before, wait_time), wait_time
                )
            if error.trouble is Trouble.SESSION:
                renew(self._queue)
            raise
        self._failures = 0
        self._measured(poll_cuts.came_home(self._cuts, now() - before), wait_time)
        if message:
            log.emit("message.received", slot=0, message_id=message.id, attempt=message.attempt)
            if message.unusable:
                raise self._left(message)
        return before, message

    def _measured(self, after: poll_cuts.Cuts, wait_time: float) -> None:
        """What a poll's age says of how long polls may be."""
        if after.longest < self._cuts.longest:
            log.emit("poll.shortened", age=round(after.age, 1), seconds=int(after.longest))
        elif after.longest > self._cuts.longest:
            log.emit("poll.lengthened", seconds=wait_time)
        self._cuts = after

    def _left(self, message: Message) -> QueueError:
        """Of a message that must not be worked on."""
        why = message.unusable
        log.emit("message.left", slot=0, message_id=message.id, attempt=message.attempt, why=why)
        self.attempt, self.last = (
            message.attempt,
            Ending(message, Settlement.LEAVE, why=why, reason=Reason.UNUSABLE),
        )
        error = QueueError(Trouble.MESSAGE, f"message {message.id} was left to its lease: {why}")
        error.message, error.settlement, error.reason = message, Settlement.LEAVE, Reason.UNUSABLE
        return error


def _check(name: str, value: float, least: float = 0, most: float = inf) -> None:
    if not least <= value <= most:
        right = (
            f"from {least:g} to {most:g} seconds" if most < inf else f"{least:g} seconds or more"
        )
        raise ValueError(f"{name} is {value!r}; it must be {right}")


def _check_callable(**given: object) -> None:
    """Before a message is taken: what the caller has mistaken must not cost it one of its attempts."""
    for name, value in given.items():
        if not callable(value):
            raise TypeError(f"{name} is of type {type(value).__name__}; it must be callable")
        if kind := callables.lazy(value):
            raise TypeError(f"{name} is {kind}: calling it would run none of its code")


def _ends_with(asked: Exception) -> Call:
    """What a transformer asks for is done as if its job had asked."""

    def job() -> None:
        raise asked

    return Call(job)


def _name_of(job: Callable[..., object]) -> str:
    """What a callable is called; a partial is called what it is of."""
    while isinstance(job, functools.partial):
        job = job.func
    return str(getattr(job, "__name__", type(job).__name__))
