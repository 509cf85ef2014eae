"""The floors: bare loops of the calls that a pool cannot do without, run beside it in the same
benchmark.

    python -m bench.floors boto3-fork   receive, fork a child that runs the job, wait, delete
    python -m bench.floors boto3        the same without the fork: what the two boto3 calls cost
    python -m bench.floors fork         fork, exit, wait: what a process costs beside boto3

Each is run by so many processes, forked from one that has loaded everything and frozen the
collector's heap; the client is made after that fork, as a pool must. A loop with a queue ends at
its first empty receive. No signals, no leases, no supervision: what fleet's numbers have above
these is the price of its guarantees.
"""

import argparse
import gc
import os
import sys
from collections.abc import Callable

import boto3
from botocore.config import Config

from bench import apps

WAIT = 20  # seconds of long poll: an idle loop must not end before the messages come


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["boto3-fork", "boto3", "fork"])
    parser.add_argument("--endpoint-url", default="")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--app", default="noop", choices=["noop", "stamp", "nap"])
    parser.add_argument("--count", type=int, default=0, help="`fork` only: how many in all")
    options = parser.parse_args()
    job: Callable[[str], None] = getattr(apps, options.app)
    session = boto3.Session("bench", "bench", region_name="us-east-1")
    session.client("sqs", endpoint_url="http://127.0.0.1:1")  # loads the data files
    gc.collect()
    gc.freeze()

    def work() -> None:
        if options.kind == "fork":
            for _ in range(options.count // options.workers):
                run_forked(job, "")
            return
        run = run_forked if options.kind == "boto3-fork" else run_here
        consume(session, options.endpoint_url, lambda body: run(job, body))

    pids = [start(work) for _ in range(options.workers)]
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    sys.exit(any(statuses))


def start(work: Callable[[], None]) -> int:
    """Run `work` in a forked process."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid


def consume(session: boto3.Session, endpoint_url: str, run: Callable[[str], None]) -> None:
    """Receive, run, delete, until a receive comes back empty."""
    config = Config(read_timeout=WAIT + 10, retries={"total_max_attempts": 1})
    sqs = session.client("sqs", endpoint_url=endpoint_url, config=config)
    url = sqs.get_queue_url(QueueName="bench")["QueueUrl"]
    while True:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=WAIT,
            VisibilityTimeout=20,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        if not answer.get("Messages"):
            return
        message = answer["Messages"][0]
        run(message["Body"])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def run_forked(job: Callable[[str], None], body: str) -> None:
    """Run a job in a process of its own and wait for it."""
    pid = os.fork()
    if pid == 0:
        job(body)
        os._exit(0)
    os.waitpid(pid, 0)


def run_here(job: Callable[[str], None], body: str) -> None:
    """Run a job without a process."""
    job(body)


if __name__ == "__main__":
    main()
