"""The embedded SQS server's own process. The only place that knows ministack and hypercorn.

local_server.py runs this file by its path, so it imports nothing of fleet. It waits for the lock of
its users in a thread: it never forks, so it may have one.
"""

import asyncio
import fcntl
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from setproctitle import setproctitle

# As in signals.py, from which a program that is run by its path cannot import.
GROUP_SIGNALS = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGTTIN, signal.SIGTTOU),
)
LAST_REQUESTS = 1.0  # seconds that requests still open get when the last user has gone


def main(host: str, port: int, state: Path, lock: Path) -> None:
    """Serve SQS on an address and port until nobody holds the lock any more."""
    for number in GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a supervisor's group signals are for the pool
    setproctitle(f"fleet: local SQS server on port {port}")
    _set_aside_unreadable_state(state / "sqs.json")
    # ministack is told everything by its environment, so the user's must not speak to it.
    os.environ.clear()
    os.environ.update(_environment(host, port, state))
    asyncio.run(_serve(host, port, lock))


def _set_aside_unreadable_state(path: Path) -> None:
    """Keep what ministack cannot read: it would start empty, and overwrite the file at its end."""
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        kept = path.with_suffix(".unreadable")
        path.replace(kept)
        what = "cannot read the saved queues, starting empty; they are kept in"
        sys.stderr.write(f"{what} {kept}: {error}\n")


def _environment(host: str, port: int, state: Path) -> dict[str, str]:
    return {
        "BIND_HOST": host,
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


async def _serve(host: str, port: int, lock: Path) -> None:
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
    config.bind = [f"{host}:{port}"]
    config.loglevel = "WARNING"
    config.keep_alive_timeout = 75
    threading.Thread(target=wait_for_the_last_user, daemon=True).start()
    await serve(
        _note_requests(requests, ministack.app.app), config, shutdown_trigger=leave, mode="asgi"
    )


def _note_requests(requests: set[asyncio.Task[Any]], application: Any) -> Any:
    """The application; its open requests are kept in `requests`.

    From Python 3.12 on, closing a listening socket waits for the connections it accepted, so a long
    poll (up to 20 s) would hold up the end: the server that leaves has to cancel it.
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
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
