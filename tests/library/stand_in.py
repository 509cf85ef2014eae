"""What callers of SQSWorkDispatcher see of it, as far as the snippets of the moving-over page use
it.

Not that program: a few lines that behave as its documentation says, on a boto3 queue, so that the
old calls of the page are run beside the new ones.
"""

import inspect
import os
import signal
from collections.abc import Callable
from typing import Any

import boto3


class QueueWorkerProcessError(Exception):
    """The worker failed."""


class QueueWorkDispatcherError(Exception):
    """The dispatcher did."""


def get_sqs_queue() -> Any:
    """The test's queue."""
    return boto3.resource("sqs").get_queue_by_name(QueueName=os.environ["QUEUE_NAME"])


class SQSWorkDispatcher:
    """One message, one forked process, an exit handler."""

    is_exiting = False

    def __init__(
        self,
        sqs_queue_instance: Any,
        worker_process_name: str | None = None,
        default_visibility_timeout: int = 60,
        long_poll_seconds: int | None = None,
        monitor_sleep_time: float = 5,
        exit_handling_timeout: int = 30,
        worker_can_start_child_processes: bool = False,
    ) -> None:
        self._queue, self._wait = sqs_queue_instance, long_poll_seconds or 0
        self._options = (worker_process_name, default_visibility_timeout, monitor_sleep_time)
        self._more = (exit_handling_timeout, worker_can_start_child_processes)

    def dispatch(
        self,
        job: Callable[..., object],
        *additional_job_args: Any,
        message_transformer: Callable[[Any], Any] = lambda message: message.body,
        exit_handler: Callable[..., object] | None = None,
        **additional_job_kwargs: Any,
    ) -> bool:
        """Work on a message, if there is one."""
        for message in self._received():
            made = message_transformer(message)
            if isinstance(made, dict):
                return self._work(message, job, exit_handler, (), made | additional_job_kwargs)
            given = tuple(made) if isinstance(made, list | tuple) else (made,)
            return self._work(
                message, job, exit_handler, given + additional_job_args, additional_job_kwargs
            )
        return False

    def dispatch_by_message_attribute(
        self, message_transformer: Callable[[Any], dict[str, Any]]
    ) -> bool:
        """Work on a message, if there is one, with the job that it chooses."""
        for message in self._received():
            made = dict(message_transformer(message))
            job, handler, args = (
                made.pop("_job"),
                made.pop("_exit_handler", None),
                made.pop("_job_args", ()),
            )
            return self._work(message, job, handler, tuple(args), made)
        return False

    def _received(self) -> list[Any]:
        found: list[Any] = self._queue.receive_messages(
            WaitTimeSeconds=self._wait,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
            MaxNumberOfMessages=1,
        )
        return found

    def _work(
        self,
        message: Any,
        job: Callable[..., object],
        handler: Callable[..., object] | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> bool:
        # From the first moment of the worker a stop has somebody to hear it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        worker = os.fork()
        if worker == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            try:
                job(*args, **kwargs)
            except Exception:  # noqa: BLE001 - a worker that fails
                os._exit(1)
            os._exit(0)

        def leave(number: int, _frame: Any) -> None:
            os.kill(worker, signal.SIGSTOP)
            if handler:
                takes = "queue_message" in inspect.signature(handler).parameters
                handler(*args, **kwargs, **({"queue_message": message} if takes else {}))
            message.change_visibility(VisibilityTimeout=self._wait + 1)
            os.kill(worker, signal.SIGKILL)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

        before = signal.signal(signal.SIGTERM, leave)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        status = os.waitpid(worker, 0)[1]
        signal.signal(signal.SIGTERM, before)
        if status:
            raise QueueWorkerProcessError(status)
        message.delete()
        return True
