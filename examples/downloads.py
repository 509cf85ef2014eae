"""Downloads: a loop over two queues with the library, JSON bodies, a child process that does the
work.

    python -m examples.downloads URGENT NORMAL DIRECTORY

A message's body is {"job_id": 7, "query": "select …"}. The job has `psql` write the result to
DIRECTORY/7.partial and renames it when it is whole. When the program is told to stop, the job is
stopped where it stands, the partial file is removed, everything that the job has started is killed,
and the message is seen again a moment later.
"""

import json
import logging
import subprocess
import sys
from pathlib import Path

from fleet import Dispatcher, DispatcherError, JobError, Message, Queue, QueueError, Reject

log = logging.getLogger("downloads")


def arguments(message: Message) -> dict[str, object]:
    """The job's named arguments.

    What is no request will never be one: it goes to the dead-letter queue.
    """
    try:
        request = json.loads(message.body)
        return {"job_id": int(request["job_id"]), "query": str(request["query"])}
    except (ValueError, KeyError, TypeError) as error:
        raise Reject(f"no download request ({type(error).__name__})") from None


def download(directory: Path, job_id: int, query: str) -> None:
    """Run the query; the file appears when it is whole."""
    partial = directory / f"{job_id}.partial"
    with partial.open("wb") as output:
        subprocess.run(["psql", "--csv", "--command", query], stdout=output, check=True)
    partial.rename(directory / f"{job_id}.csv")


def clean_up(directory: Path, job_id: int, query: str, message: Message) -> None:
    """The job was stopped, or died: forget what it had written."""
    (directory / f"{job_id}.partial").unlink(missing_ok=True)
    log.warning(
        "download %s (message %s, %d characters of query) cleaned up",
        job_id,
        message.id,
        len(query),
    )


def main(urgent: str, normal: str, directory: Path) -> None:
    """The urgent queue first; the long poll of the other one is where an idle loop waits."""
    first = Dispatcher(Queue.open(urgent), wait_time=0, drain_timeout=0)
    second = Dispatcher(Queue.open(normal), wait_time=1, drain_timeout=0)
    while not (first.is_exiting or second.is_exiting):
        for dispatcher in (first, second):
            try:
                dispatcher.dispatch(
                    download,
                    directory,
                    message_transformer=arguments,
                    exit_handler=clean_up,
                    worker_process_name="download",
                )
            except (JobError, DispatcherError, QueueError) as error:
                log.error("%s", error)
            if dispatcher.last:
                break  # there was a message: look at the urgent queue again


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
