"""Real SQS servers as processes of their own on loopback, and tests' queues on them."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.support import inherited
from tests.support.eventually import eventually

REGION = "us-east-1"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
}

MAX_RECEIVE_COUNT = 3

MODULE = """
import os, runpy, signal, sys
from fleet.system import processes
parent, module, *sys.argv[1:] = sys.argv[1:]
if not processes.die_with_parent(int(parent), signal.SIGKILL):
    sys.exit("nobody is there any more who would use it")
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""Runs a module that ends with its parent, which may be killed before it ends anything: a worker of
xdist often is.
"""

RUNNING: set[int] = set()
"""The pids of the servers whose block has not ended."""


def free_port() -> int:
    """Return a loopback port that nothing holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connect(endpoint: str) -> Any:
    """Return a boto3 client for the server at `endpoint`; short time-outs, no retries."""
    return boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 1}),
    )


@dataclass(frozen=True)
class Server:
    """A running SQS server."""

    port: int
    client: Any

    @property
    def endpoint(self) -> str:
        """The URL that clients use."""
        return f"http://127.0.0.1:{self.port}"


def environment(directory: Path, **more: str) -> dict[str, str]:
    """Return an environment with nothing of the caller's but what programs need to be found."""
    return inherited.for_programs() | {"HOME": str(directory), "TMPDIR": str(directory), **more}


@contextlib.contextmanager
def ministack(directory: Path, port: int | None = None) -> Iterator[Server]:
    """Run ministack, its files in `directory`, until the block ends."""
    port = port or free_port()
    command = ["ministack"]
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "sqs",
        "LOG_LEVEL": "WARNING",
    }
    with _running(command, environment(directory, **settings), directory, port) as server:
        yield server


@contextlib.contextmanager
def moto(directory: Path) -> Iterator[Server]:
    """Run moto's server, its files in `directory`, until the block ends."""
    port = free_port()
    command = ["moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, environment(directory), directory, port) as server:
        yield server


@contextlib.contextmanager
def _running(
    command: list[str], env: dict[str, str], directory: Path, port: int
) -> Iterator[Server]:
    with (directory / "server.log").open("wb") as log:
        program = [sys.executable, "-c", MODULE, str(os.getpid()), *command]
        process = subprocess.Popen(
            program, env=env, cwd=directory, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    RUNNING.add(process.pid)
    client = connect(f"http://127.0.0.1:{port}")
    try:
        eventually(lambda: _answers(client, process), what=f"{command} answers on port {port}")
        yield Server(port, client)
    finally:
        client.close()
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        RUNNING.discard(process.pid)


def _answers(client: Any, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the server ended at its start; its log is in its directory"
    try:
        client.list_queues()
    except (BotoCoreError, ClientError):  # not there yet
        return False
    return True


@dataclass(frozen=True)
class Depth:
    """A queue's three counts, exact on the servers that tests use."""

    visible: int
    in_flight: int
    delayed: int


EMPTY = Depth(0, 0, 0)


class LiveQueue:
    """A queue, and its dead-letter queue NAME-dlq, on a server, as another program sees them."""

    def __init__(
        self, server: Server, name: str, limit: int | None = MAX_RECEIVE_COUNT, fifo: bool = False
    ) -> None:
        suffix, kind = (".fifo", {"FifoQueue": "true"}) if fifo else ("", {})
        self.server = server
        self.name = f"{name}{suffix}"
        self._client = server.client
        self.dead_letter_url = self._create(f"{name}-dlq{suffix}", kind)
        arn = self._attributes(self.dead_letter_url)["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(limit)})
        self.url = self._create(self.name, kind | ({"RedrivePolicy": policy} if limit else {}))

    @classmethod
    def fresh(
        cls, server: Server, limit: int | None = MAX_RECEIVE_COUNT, fifo: bool = False
    ) -> "LiveQueue":
        """Make a queue that no other test has.

        `limit` is its maxReceiveCount; with None nothing is dead-lettered.
        """
        return cls(server, f"jobs-{uuid.uuid4().hex[:8]}", limit, fifo)

    def _create(self, name: str, attributes: dict[str, str]) -> str:
        return str(self._client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def _attributes(self, url: str) -> dict[str, str]:
        answer = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return dict(answer["Attributes"])

    def delete(self) -> None:
        """Delete the queue; its dead-letter queue stays."""
        self._client.delete_queue(QueueUrl=self.url)

    def delete_dead_letters(self) -> None:
        """Delete the dead-letter queue; the redrive policy names it all the same."""
        self._client.delete_queue(QueueUrl=self.dead_letter_url)

    def send(self, *bodies: str) -> list[str]:
        """Send one message a body and return their ids, in the same order."""
        ids: list[str] = []
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(n), "MessageBody": body}
                for n, body in enumerate(bodies[start : start + 10])
            ]
            answer = self._client.send_message_batch(QueueUrl=self.url, Entries=entries)
            assert not answer.get("Failed")
            sent = {entry["Id"]: entry["MessageId"] for entry in answer["Successful"]}
            ids.extend(sent[entry["Id"]] for entry in entries)
        return ids

    def send_one(self, body: str, attributes: dict[str, Any] | None = None, **more: Any) -> str:
        """Send one message with these attributes, and `more` arguments of SendMessage.

        Returns its id.
        """
        answer = self._client.send_message(
            QueueUrl=self.url, MessageBody=body, MessageAttributes=attributes or {}, **more
        )
        return str(answer["MessageId"])

    def depth(self) -> Depth:
        """Return the counts of the queue."""
        return self._depth(self.url)

    def dead_depth(self) -> Depth:
        """Return the counts of the dead-letter queue."""
        return self._depth(self.dead_letter_url)

    def _depth(self, url: str) -> Depth:
        counts = self._attributes(url)
        return Depth(
            int(counts["ApproximateNumberOfMessages"]),
            int(counts["ApproximateNumberOfMessagesNotVisible"]),
            int(counts["ApproximateNumberOfMessagesDelayed"]),
        )

    def wait_depth(self, visible: int = 0, in_flight: int = 0) -> None:
        """Wait until the queue has exactly these counts."""
        wanted = Depth(visible, in_flight, 0)
        eventually(
            lambda: self.depth() == wanted,
            what=lambda: f"{self.name} has {wanted}, now {self.depth()}",
        )

    def dead_ids(self) -> set[str]:
        """Return the ids of what is in the dead-letter queue, which hides it for a while."""
        found: set[str] = set()
        while messages := self._client.receive_message(
            QueueUrl=self.dead_letter_url, MaxNumberOfMessages=10, VisibilityTimeout=600
        ).get("Messages"):
            found |= {message["MessageId"] for message in messages}
        return found

    def dead_letters(self) -> dict[str, dict[str, Any]]:
        """Return what is in the dead-letter queue, by body; it is hidden for a while then."""
        letters: dict[str, dict[str, Any]] = {}
        while found := self._client.receive_message(
            QueueUrl=self.dead_letter_url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=600,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages"):
            letters |= {message["Body"]: message for message in found}
        return letters

    def dead_bodies(self) -> list[str]:
        """Return the bodies in the dead-letter queue, which hides them for a while."""
        return sorted(self.dead_letters())
