"""The embedded SQS server, as those who need it find it or start it: one process on 127.0.0.1.

It is shared by all who use its port. `use()` runs in whoever needs the server (a pool's master,
`fleet local`); local_server_program.py *is* the server.

Who uses the server is said by a lock that needs no bookkeeping: every user holds a shared flock(2)
on `local-PORT.lock`. The lock belongs to the open file, which a pool's processes inherit, so the
kernel drops it when the last of them is gone, however it died. The server waits for the exclusive
lock. When it gets it, nobody is left: it saves its queues and ends, and keeps the lock until its
process is gone, so that the next user waits for the old server before it starts a new one.

Queues and messages are written to the state directory at that orderly end, and only then. When the
server itself is killed, everything since its last orderly end is lost. Users with another runtime
directory are not seen: the server may leave under them.

docs/decisions/0020 has the reasons.
"""

import fcntl
import http.client
import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HOST = "127.0.0.1"
PROBE_TIMEOUT = 5.0  # seconds an answer to ListQueues may take before the port counts as not SQS
# Seconds between looks at what gives no signal: a lock held, a server that boots.
RETRY_EVERY = 0.02
PROGRAM = Path(__file__).with_name("local_server_program.py")

# The scope in the Authorization header is how moto tells SQS from S3. Nobody checks the signature.
LIST_QUEUES = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "AmazonSQS.ListQueues",
    "Authorization": "AWS4-HMAC-SHA256 Credential=fleet/20000101/us-east-1/sqs/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


class LocalError(Exception):
    """The embedded server cannot be used."""


class LocalMissing(LocalError):
    """The extra that brings the embedded SQS server is not installed."""


class LocalServerFailed(LocalError):
    """The embedded SQS server did not start, or did not leave in time."""


class PortTaken(LocalError):
    """The port is held by something that is not an SQS server."""


@dataclass(frozen=True)
class LocalServer:
    """A running server, and the right to use it.

    `lock_fd` is the shared lock on `lock`, close-on-exec: the server stays while a copy of it is
    open anywhere. `started` says that this call has started the server; `pid` is then its process,
    a child of the caller.
    """

    endpoint_url: str
    lock: Path
    lock_fd: int
    started: bool
    pid: int | None


def use(port: int, state_dir: Path, runtime_dir: Path, timeout: float) -> LocalServer:
    """Find the SQS server on a port of 127.0.0.1, or start the embedded one there.

    It takes at most `timeout` seconds. Any SQS server that answers will do. The queues of the
    embedded one live in `state_dir/local-PORT`.

    Raises PortTaken, LocalMissing or LocalServerFailed, all of them LocalError.
    """
    deadline = time.monotonic() + timeout
    state = state_dir / f"local-{port}"
    lock = runtime_dir / f"local-{port}.lock"
    try:
        for directory in (state_dir, state, runtime_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        state.chmod(0o700)
        lock_fd = _lock(lock, fcntl.LOCK_SH, deadline, f"the server that leaves port {port}")
    except OSError as error:
        why = f"the embedded SQS server has no place for its files: {error}"
        raise LocalServerFailed(why) from error
    start_lock = lock.with_suffix(".start")
    try:
        starter_fd = _lock(start_lock, fcntl.LOCK_EX, deadline, f"another start on port {port}")
        try:
            pid = _find_or_start(port, state, lock, deadline)
        finally:
            os.close(starter_fd)
    except BaseException:  # whatever it is, Ctrl-C too, it goes on; only the lock must not be kept
        os.close(lock_fd)
        raise
    return LocalServer(f"http://{HOST}:{port}", lock, lock_fd, started=pid is not None, pid=pid)


def find(port: int) -> str | None:
    """The URL of the SQS server on a port of 127.0.0.1, None if nothing listens there.

    Raises PortTaken.
    """
    return _find(port, time.monotonic() + PROBE_TIMEOUT)


def _find(port: int, deadline: float) -> str | None:
    match _probe(port, deadline):
        case "sqs":
            return f"http://{HOST}:{port}"
        case "nothing":
            return None
        case "other":
            raise PortTaken(
                f"port {port} on {HOST} is held by something that is not an SQS server; "
                "choose another with --local-port"
            )


def _lock(path: Path, operation: int, deadline: float, what: str) -> int:
    """A descriptor with the lock. Raises OSError, LocalServerFailed."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise LocalServerFailed(f"gave up waiting for {what} ({path} is locked)") from None
            time.sleep(RETRY_EVERY)
        else:
            return descriptor


def _find_or_start(port: int, state: Path, lock: Path, deadline: float) -> int | None:
    """The pid of the server if it had to be started; None if it was there. Raises LocalError."""
    if _find(port, deadline) is not None:
        return None
    if importlib.util.find_spec("ministack") is None:
        raise LocalMissing(
            "the embedded SQS server is not installed: pip install 'fleet-sqs[local]'"
        )
    log = state / "server.log"
    server = _spawn(port, state, lock, log)
    try:
        _wait_until_it_answers(server, port, log, deadline)
    except BaseException:  # whatever it is, Ctrl-C too, it goes on; the server must not be left
        server.kill()
        server.wait()
        raise
    # It outlives this process, which does not wait for it: without a status Popen warns when it is
    # collected.
    server.returncode = 0
    return server.pid


def _probe(port: int, deadline: float) -> Literal["sqs", "other", "nothing"]:
    """What listens on the port."""
    timeout = max(RETRY_EVERY, min(PROBE_TIMEOUT, deadline - time.monotonic()))
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("POST", "/", body=b'{"MaxResults": 1}', headers=LIST_QUEUES)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except ConnectionRefusedError:
        return "nothing"
    except (OSError, http.client.HTTPException, ValueError):
        return "other"
    finally:
        connection.close()
    # No queue yet: `{}` and `{"QueueUrls": []}` are both in use, and the content type tells `{}`
    # apart.
    is_aws = response.getheader("Content-Type", "").startswith("application/x-amz-json")
    is_list = isinstance(answer, dict) and (is_aws or "QueueUrls" in answer)
    return "sqs" if response.status == http.HTTPStatus.OK and is_list else "other"


def _spawn(port: int, state: Path, lock: Path, log: Path) -> "subprocess.Popen[bytes]":
    # By path and with -P, in its own directory: nothing in the user's directory can shadow a
    # module.
    program = [sys.executable, "-P", str(PROGRAM), HOST, str(port), str(state), str(lock)]
    with log.open("wb") as output:
        return subprocess.Popen(
            program,
            cwd=state,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _wait_until_it_answers(
    server: "subprocess.Popen[bytes]", port: int, log: Path, deadline: float
) -> None:
    """Raises LocalServerFailed if it ends before, or is late."""
    while _probe(port, deadline) != "sqs":
        try:
            server.wait(RETRY_EVERY)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
            raise LocalServerFailed(
                f"the embedded SQS server does not answer on port {port}; see {log}"
            ) from None
        last_line = log.read_text(errors="replace").strip().rpartition("\n")[2]
        raise LocalServerFailed(
            f"the embedded SQS server did not start: {last_line or 'no word'} (see {log})"
        )
