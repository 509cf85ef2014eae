"""A validator: the job is chosen by a message attribute, and a second attempt cleans up after the
first.

    python -m examples.validator QUEUE DIRECTORY

The attribute `kind` says `generation` or `validation`; without it a message is validated. Results
are files in DIRECTORY: `NAME.working` while a job is at work, `NAME.done` at its end.
"""

import logging
import sys
from pathlib import Path
from typing import Any

from fleet import Dispatcher, DispatcherError, JobError, Message, Queue, QueueError

log = logging.getLogger("validator")


class Validator:
    """Its methods are the jobs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def choose(self, message: Message) -> dict[str, Any]:
        """Job, exit handler and arguments for a message."""
        kind = message.attributes.get("kind", {}).get("StringValue")
        work = self.generate if kind == "generation" else self.validate
        return {
            "_job": work,
            "_exit_handler": self.mark_as_stopped,
            "name": message.body,
            "is_retry": message.attempt > 1,
        }

    def generate(self, name: str, is_retry: bool, source: Path) -> None:
        """Make a file out of a source."""
        working = self._begun(name, is_retry)
        with working.open("a") as output:
            output.writelines(source.open())
        working.rename(self._directory / f"{name}.done")

    def validate(self, name: str, is_retry: bool, source: Path) -> None:
        """Say whether a source has anything in it."""
        working = self._begun(name, is_retry)
        working.write_text("valid\n" if source.open().readline() else "empty\n")
        working.rename(self._directory / f"{name}.done")

    def _begun(self, name: str, is_retry: bool) -> Path:
        working = self._directory / f"{name}.working"
        if is_retry:
            working.unlink(missing_ok=True)  # what an attempt that was killed has left
        working.open("x").close()
        return working

    def mark_as_stopped(
        self, name: str, is_retry: bool, source: Path, queue_message: Message
    ) -> None:
        """The job was stopped, or died."""
        text = f"message {queue_message.id} of {source.name}, retry: {is_retry}\n"
        (self._directory / f"{name}.stopped").write_text(text)


def main(queue: str, directory: Path) -> None:
    """One queue, until a signal comes."""
    dispatcher = Dispatcher(Queue.open(queue), visibility_timeout=2, wait_time=1, drain_timeout=0)
    validator = Validator(directory)
    while not dispatcher.is_exiting:
        try:
            dispatcher.dispatch_by_message_attribute(validator.choose, source=directory / "source")
        except (JobError, DispatcherError, QueueError) as error:
            log.error("attempt %d: %s", dispatcher.attempt, error)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(sys.argv[1], Path(sys.argv[2]))
