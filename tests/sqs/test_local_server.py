"""The embedded SQS server as its users meet it: real processes, real locks, real ports."""

import contextlib
import fcntl
import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config

from fleet.sqs import local_server
from tests.support.eventually import PATIENCE
from tests.support.servers import free_port


def wait_until_gone(pid: int) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        assert select.select([pidfd], [], [], PATIENCE)[0], f"process {pid} is still there"
    finally:
        os.close(pidfd)
    os.waitpid(pid, 0)


@dataclass
class Place:
    """A port and two directories, and the servers started there."""

    root: Path
    port: int = field(default_factory=free_port)
    users: list[local_server.LocalServer] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.root / "state" / f"local-{self.port}"

    @property
    def log(self) -> str:
        return (self.state / "server.log").read_text()

    def use(self, timeout: float = PATIENCE) -> local_server.LocalServer:
        user = local_server.use(self.port, self.root / "state", self.root / "run", timeout)
        self.users.append(user)
        return user

    def start(self) -> tuple[local_server.LocalServer, int]:
        user = self.use()
        assert user.started
        assert user.pid is not None
        return user, user.pid

    def leave(self, user: local_server.LocalServer) -> None:
        self.users.remove(user)
        os.close(user.lock_fd)

    def stop(self, user: local_server.LocalServer, pid: int) -> None:
        self.leave(user)
        wait_until_gone(pid)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    started = [user.pid for user in place.users if user.pid is not None]
    for user in list(place.users):
        place.leave(user)
    for pid in started:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            wait_until_gone(pid)
    assert not listens(place.port)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def sqs(user: local_server.LocalServer) -> Iterator[Any]:
    client = boto3.client(
        "sqs",
        endpoint_url=user.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",  # noqa: S106 - the server checks none
        config=Config(retries={"total_max_attempts": 1}),
    )
    try:
        yield client
    finally:
        client.close()


def test_who_only_asks_starts_nothing(place: Place) -> None:
    assert local_server.find(place.port) is None
    place.use()
    assert local_server.find(place.port) == f"http://127.0.0.1:{place.port}"


def test_the_first_user_starts_the_server_and_the_last_one_ends_it(place: Place) -> None:
    first, pid = place.start()
    second = place.use()
    assert (second.started, second.pid) == (False, None)
    assert first.endpoint_url == second.endpoint_url == f"http://127.0.0.1:{place.port}"

    place.leave(first)
    with sqs(second) as client:
        client.create_queue(QueueName="jobs")

    place.stop(second, pid)
    assert place.log == ""


def test_the_lock_lives_as_long_as_any_process_that_inherited_it(place: Place) -> None:
    user, pid = place.start()
    assert not os.get_inheritable(user.lock_fd)
    heir = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[user.lock_fd])
    place.leave(user)

    assert place.use().pid is None
    place.leave(place.users[-1])
    heir.kill()
    heir.communicate()
    wait_until_gone(pid)


def test_users_that_come_at_once_start_one_server(place: Place) -> None:
    with ThreadPoolExecutor(4) as threads:
        users = list(threads.map(lambda _: place.use(), range(4)))
    assert sorted(user.started for user in users) == [False, False, False, True]


def test_queues_and_messages_survive_an_orderly_end(place: Place) -> None:
    user, pid = place.start()
    with sqs(user) as client:
        dead = client.create_queue(QueueName="jobs-dlq")["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        policy = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"3"}}'
        jobs = client.create_queue(QueueName="jobs", Attributes={"RedrivePolicy": policy})[
            "QueueUrl"
        ]
        client.send_message(QueueUrl=jobs, MessageBody="in flight")
        taken = client.receive_message(QueueUrl=jobs, VisibilityTimeout=600)["Messages"]
        number = {"DataType": "Number", "StringValue": "7"}
        binary = {"DataType": "Binary", "BinaryValue": b"\x00\xff"}
        client.send_message(
            QueueUrl=jobs, MessageBody="visible é", MessageAttributes={"n": number, "b": binary}
        )
        client.send_message(QueueUrl=jobs, MessageBody="delayed", DelaySeconds=600)
        group = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
        ordered = client.create_queue(QueueName="jobs.fifo", Attributes={"FifoQueue": "true"})[
            "QueueUrl"
        ]
        client.send_message(QueueUrl=ordered, MessageBody="ordered", **group)
    place.stop(user, pid)

    with sqs(place.use()) as client:
        attributes = client.get_queue_attributes(QueueUrl=jobs, AttributeNames=["All"])[
            "Attributes"
        ]
        counts = [
            attributes[f"ApproximateNumberOfMessages{kind}"]
            for kind in ("", "NotVisible", "Delayed")
        ]
        assert counts == ["1", "1", "1"]
        assert attributes["RedrivePolicy"] == policy
        message = client.receive_message(QueueUrl=jobs, MessageAttributeNames=["All"])["Messages"][
            0
        ]
        assert message["Body"] == "visible é"
        assert message["MessageAttributes"] == {"n": number, "b": binary}
        client.delete_message(QueueUrl=jobs, ReceiptHandle=taken[0]["ReceiptHandle"])
        left = client.get_queue_attributes(QueueUrl=jobs, AttributeNames=["All"])["Attributes"]
        assert left["ApproximateNumberOfMessagesNotVisible"] == "1"  # the one received just now
        # Within five minutes: no second one.
        client.send_message(QueueUrl=ordered, MessageBody="again", **group)
        answer = client.receive_message(QueueUrl=ordered, MaxNumberOfMessages=10)
        assert [message["Body"] for message in answer["Messages"]] == ["ordered"]


@pytest.mark.parametrize("saved", [b"{", b"\xff\xfe\x00", b""])
def test_a_state_that_cannot_be_read_is_kept_aside_and_the_server_starts_empty(
    place: Place, saved: bytes
) -> None:
    place.state.mkdir(parents=True)
    (place.state / "sqs.json").write_bytes(saved)
    user, pid = place.start()
    with sqs(user) as client:
        assert not client.list_queues().get("QueueUrls")
        client.create_queue(QueueName="new")
    place.stop(user, pid)
    assert "cannot read the saved queues, starting empty; they are kept in " in place.log
    assert (place.state / "sqs.unreadable").read_bytes() == saved

    with sqs(place.use()) as client:
        assert len(client.list_queues()["QueueUrls"]) == 1


@contextlib.contextmanager
def long_poll(place: Place, client: Any, queue: str) -> Iterator[socket.socket]:
    """A connection with a long poll of 20 s, from somebody who holds no lock."""
    body = f'{{"QueueUrl": "{queue}", "WaitTimeSeconds": 20}}'.encode()
    with socket.create_connection(("127.0.0.1", place.port)) as poller:
        poller.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
            b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        client.list_queues()  # an answer: the poll that came before it is being served
        yield poller


def test_open_connections_do_not_hold_up_the_end(place: Place) -> None:
    user, pid = place.start()
    with sqs(user) as client, socket.create_connection(("127.0.0.1", place.port)):
        queue = client.create_queue(QueueName="jobs")["QueueUrl"]
        with long_poll(place, client, queue) as poller:
            place.stop(user, pid)
            assert b" 500 " in poller.recv(1024)  # it was cut, not awaited
    with sqs(place.use()) as client:
        assert client.list_queues()["QueueUrls"] == [queue]


def test_a_new_user_waits_for_the_old_server_to_leave(place: Place) -> None:
    old, pid = place.start()
    with sqs(old) as client, socket.create_connection(("127.0.0.1", place.port)) as idle:
        queue = client.create_queue(QueueName="jobs")["QueueUrl"]
        with long_poll(place, client, queue):
            place.leave(old)
            assert idle.recv(1) == b""  # it is leaving, and the poll keeps it for a while
            new = place.use()
    assert new.started
    with sqs(new) as client:
        assert client.list_queues()["QueueUrls"] == [queue]
    wait_until_gone(pid)


def test_group_signals_do_not_end_it(place: Place) -> None:
    user, pid = place.start()
    assert os.getsid(pid) == pid
    group = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
    for number in (
        *group,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGALRM,
        signal.SIGTTIN,
        signal.SIGTTOU,
    ):
        os.kill(pid, number)
    with sqs(user) as client:
        client.create_queue(QueueName="jobs")


def test_after_a_kill_the_next_user_starts_another(place: Place) -> None:
    _user, pid = place.start()
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert place.use().started


def test_it_listens_on_one_loopback_port_and_keeps_its_files_private(place: Place) -> None:
    _user, pid = place.start()
    listening = [
        c.laddr for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN
    ]
    assert listening == [("127.0.0.1", place.port)]
    for directory in (place.state.parent, place.state, place.root / "run"):
        assert directory.stat().st_mode & 0o777 == 0o700
    assert Path(f"/proc/{pid}/cwd").readlink() == place.state


def test_the_users_environment_and_directory_do_not_speak_to_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "GATEWAY_PORT": "1",
        "MINISTACK_HOST": "example.invalid",
        "SERVICES": "s3",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "asyncio.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    with sqs(place.use()) as client:
        assert client.create_queue(QueueName="jobs")["QueueUrl"].startswith(
            f"http://127.0.0.1:{place.port}/"
        )


def test_another_sqs_server_on_the_port_is_used(place: Place) -> None:
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(place.port)]
    moto = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert moto.stderr is not None
    try:
        ready = any("Running on" in line for line in moto.stderr)
        assert ready
        assert not place.use().started
    finally:
        moto.terminate()
        moto.communicate()


class NotSqs(BaseHTTPRequestHandler):
    """Answers as a web server, as another AWS service, or with a JSON of its own."""

    answers = (
        (200, "text/html", b"<html>"),
        (400, "application/x-amz-json-1.0", b'{"__type": "UnknownOperationException"}'),
        (200, "application/json", b"{}"),
        (200, "application/json", b"[]"),
        (200, "application/x-amz-json-1.0", b"[]"),
    )
    answer = answers[0]

    def do_POST(self) -> None:
        status, kind, body = self.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.mark.parametrize("answer", NotSqs.answers)
def test_what_is_not_sqs_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str, bytes]
) -> None:
    monkeypatch.setattr(NotSqs, "answer", answer)
    with ThreadingHTTPServer(("127.0.0.1", place.port), NotSqs) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            with pytest.raises(local_server.PortTaken) as refused:
                place.use()
            with pytest.raises(local_server.PortTaken):
                local_server.find(place.port)
        finally:
            server.shutdown()
    assert str(refused.value) == (
        f"port {place.port} on 127.0.0.1 is held by something that is not an SQS server; "
        "choose another with --local-port"
    )


def test_what_never_answers_is_not_sqs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_server, "PROBE_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", place.port)), pytest.raises(local_server.PortTaken):
        place.use()


def test_a_server_that_cannot_start_says_why(place: Place) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", place.port))  # held, but nobody listens
        with pytest.raises(
            local_server.LocalServerFailed, match=r"did not start: .*Address already in use"
        ):
            place.use()


def test_a_server_that_does_not_answer_in_time_is_killed(place: Place) -> None:
    with pytest.raises(local_server.LocalServerFailed, match="does not answer on port"):
        place.use(timeout=0.001)


def test_a_lock_held_too_long_is_an_error(place: Place) -> None:
    (place.root / "run").mkdir()
    with (place.root / "run" / f"local-{place.port}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(
            local_server.LocalServerFailed, match="gave up waiting for the server that leaves port"
        ):
            place.use(timeout=0.05)


def test_no_place_for_its_files_is_an_error(place: Place) -> None:
    (place.root / "state").write_text("not a directory")
    with pytest.raises(local_server.LocalServerFailed, match="has no place for its files"):
        place.use()


def test_without_the_extra_it_says_what_to_install(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(local_server.LocalMissing, match=r"pip install 'fleet-sqs\[local\]'"):
        place.use()
