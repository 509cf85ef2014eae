"""The embedded SQS server: one process of its own on 127.0.0.1, shared by all who use its port.

The only place that knows ministack and hypercorn. Two halves, and no third file between them:

- `use()` runs in whoever needs the server (a pool's master, `fleet local`): it finds the server or starts it.
- This file run as a program *is* the server.

**Who uses the server** is said by a lock that needs no bookkeeping: every user holds a shared flock(2) on
`local-PORT.lock`. The lock belongs to the open file, which a pool's processes inherit, so the kernel drops it
when the last of them is gone, however it died. The server waits for the exclusive lock in a thread (it never
forks, so it may have one). When it gets it, nobody is left: it saves its queues and ends, and keeps the lock
until its last breath, so that the next user waits for the old server before it starts a new one.

**What is kept**: queues and messages are written to the state directory at that orderly end, and only then.
When the server itself is killed, everything since its last orderly end is lost. Users with another runtime
directory are not seen: the server may leave under them.
"""

import asyncio
import fcntl
import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from setproctitle import setproctitle

HOST = "127.0.0.1"
PROBE_TIMEOUT = 5.0  # seconds an answer to ListQueues may take before the port counts as not SQS
RETRY_EVERY = (
    0.02  # seconds between looks at what gives no signal: a lock held, a server that boots
)
# As in signals.py, from which a program that is run by its path cannot import.
GROUP_SIGNALS = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGTTIN, signal.SIGTTOU),
)
LAST_REQUESTS = 1.0  # seconds that requests still open get when the last user has gone

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
    """A running server, and the right to it.

    `lock_fd` is the shared lock on `lock`, close-on-exec: the server stays while a copy of it is
    open anywhere. `started` says that this call started the server, `pid` is then its process: a
    child of the caller.
    """

    endpoint_url: str
    lock: Path
    lock_fd: int
    started: bool
    pid: int | None


def use(port: int, state_dir: Path, runtime_dir: Path, timeout: float) -> LocalServer:
    """Find the SQS server on a port of 127.0.0.1, or start the embedded one there, within `timeout`
    seconds.

    Any SQS server that answers will do. The queues of the embedded one live in
    `state_dir/local-PORT`.

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
        raise LocalServerFailed(
            f"the embedded SQS server has no place for its files: {error}"
        ) from error
    try:
        starter_fd = _lock(
            lock.with_suffix(".start"), fcntl.LOCK_EX, deadline, f"another start on port {port}"
        )
        try:
            pid = _find_or_start(port, state, lock, deadline)
        finally:
            os.close(starter_fd)
    except BaseException:  # whatever it is, Ctrl-C too, it goes on; only the lock must not be kept
        os.close(lock_fd)
        raise
    return LocalServer(f"http://{HOST}:{port}", lock, lock_fd, started=pid is not None, pid=pid)


def answering(port: int) -> str | None:
    """The URL of the SQS server on a port of 127.0.0.1, None if nothing listens there. Raises
    PortTaken.
    """
    return _answering(port, time.monotonic() + PROBE_TIMEOUT)


def _answering(port: int, deadline: float) -> str | None:
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
    """The pid of the server if it had to be started."""
    if _answering(port, deadline) is not None:
        return None
    if importlib.util.find_spec("ministack") is None:
        raise LocalMissing(
            "the embedded SQS server is not installed: pip install 'fleet-sqs[local]'"
        )
    log = state / "server.log"
    server = _spawn(port, state, lock, log)
    try:
        _wait_until_it_answers(server, port, log, deadline)
    except (
        BaseException
    ):  # whatever it is, Ctrl-C too, it goes on; only the server must not be left
        server.kill()
        server.wait()
        raise
    # It outlives this process, which does not wait for it: without a status Popen warns when it is
    # collected.
    server.returncode = 0
    return server.pid


def _probe(port: int, deadline: float) -> Literal["sqs", "other", "nothing"]:
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
    program = [sys.executable, "-P", __file__, str(port), str(state), str(lock)]
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


# From here on: the server's own process.


def main(port: int, state: Path, lock: Path) -> None:
    """Serve SQS on a port of 127.0.0.1 until nobody holds the lock any more."""
    for number in GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a supervisor's group signals are for the pool
    setproctitle(f"fleet: local SQS server on port {port}")
    _set_aside_unreadable_state(state / "sqs.json")
    # ministack is told everything by its environment, so the user's must not speak to it.
    os.environ.clear()
    os.environ.update(_environment(port, state))
    asyncio.run(_serve(port, lock))


def _set_aside_unreadable_state(path: Path) -> None:
    """Keep what ministack cannot read: it would start empty, and overwrite the file at its end."""
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        kept = path.with_suffix(".unreadable")
        path.replace(kept)
        sys.stderr.write(
            f"cannot read the saved queues, starting empty; they are kept in {kept}: {error}\n"
        )


def _environment(port: int, state: Path) -> dict[str, str]:
    return {
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "SERVICES": "sqs",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state),
        "TMPDIR": str(state),
        "LOG_LEVEL": "WARNING",
        "SFTP_ENABLED": "0",  # a listener of its own
        "IOT_MTLS_ENABLED": "0",  # another one
        "DOCKER_HOST": "unix:///dev/null/none",  # it stops the containers it believes to be its own
    }


async def _serve(port: int, lock: Path) -> None:
    import ministack.app
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    # Directories of start-up scripts are fixed in ministack: /docker-entrypoint-initaws.d and
    # others.
    ministack.app._collect_scripts = lambda *_directories: []
    loop = asyncio.get_running_loop()
    last_user_gone = asyncio.Event()
    requests: set[asyncio.Task[Any]] = set()

    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def wait_for_the_last_user() -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # never given back: it ends with the process
        loop.call_soon_threadsafe(last_user_gone.set)

    async def leave() -> None:
        await last_user_gone.wait()
        loop.call_later(LAST_REQUESTS, lambda: [request.cancel() for request in requests])

    config = Config()
    config.bind = [f"{HOST}:{port}"]
    config.loglevel = "WARNING"
    config.keep_alive_timeout = 75
    threading.Thread(target=wait_for_the_last_user, daemon=True).start()
    await serve(_noting(requests, ministack.app.app), config, shutdown_trigger=leave, mode="asgi")


def _noting(requests: set[asyncio.Task[Any]], application: Any) -> Any:
    """The application, its open requests noted.

    From Python 3.12 on, closing a listening socket waits for the connections it accepted, so a long
    poll (up to 20 s) would hold up the end: who leaves has to cancel it.
    """

    async def noted(scope: dict[str, Any], receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await application(scope, receive, send)
            return
        requests.add(task)
        try:
            await application(scope, receive, send)
        finally:
            requests.discard(task)

    return noted


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
