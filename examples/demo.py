"""The demonstration behind `scripts/demo`: the census on the embedded queue, watched and summed up.

It does what a user can do by hand, and shows every command it runs. Everything it writes lies in
`.demo`.
"""

import argparse
import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from examples import census

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".demo"
LOG = HOME / "pool.log"
QUEUE = "census"
REGION = "us-east-1"  # the embedded server keeps the queues of regions apart
PORT = 9324
WORKERS = 8
LEASE = 5  # seconds: what fails is tried again when its lease has run out
WAIT = 2  # seconds of a long poll: the pool ends when a whole one found nothing
ENDED_BADLY = 6  # exit status: the queue is empty, and some messages failed for good
INTERRUPTED = 130
PATIENCE = 30  # seconds for the embedded server to listen
LOOK_EVERY = 0.2  # seconds between looks at the results
QUIET = 1.0  # seconds without a new result: what is left are retries
LINE_EVERY = 100  # files for a line of progress, without a terminal


@dataclass
class Run:
    """One demonstration: where its queue is, and what has been seen of it."""

    console: Console
    port: int
    total: int = 0
    counted: int = 0
    dead: list[str] = field(default_factory=list)
    started: float = 0.0
    last_success: float = 0.0  # seconds since the start
    interrupted: bool = False

    @property
    def elapsed(self) -> float:
        """Seconds since the pool was started."""
        return time.monotonic() - self.started


def main() -> int:
    """Run the demonstration; the exit status is 0 if everything came out as it should."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--limit", type=int, default=600, help="how many files (default: 600)")
    limit = parser.parse_args().limit
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # ends as Ctrl-C does: in order
    run = Run(Console(highlight=False), choose_port())
    try:
        return demonstrate(run, limit)
    except KeyboardInterrupt:
        run.console.print("Stopped.")
        return INTERRUPTED


def choose_port() -> int:
    """The usual port, or a free one if something holds it: the demonstration shares no queue."""
    for port in (PORT, 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as free:
            return int(free.getsockname()[1])
    raise SystemExit("no port is free on 127.0.0.1")


def demonstrate(run: Run, limit: int) -> int:
    """Server, messages, pool, summary."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    files = HOME / "files.txt"
    paths = census.sources(limit)
    files.write_text("".join(f"{path}\n" for path in paths))
    run.total = len(paths)
    with embedded_server(run):
        with files.open() as lines:
            command = fleet(
                run, "send", "--local", "--queue", QUEUE, shown=f"< {files.relative_to(ROOT)}"
            )
            subprocess.run(command, stdin=lines, env=environment(), check=True)
        status = work(run)
        if status in (0, ENDED_BADLY) and not run.interrupted:
            run.dead = dead_letters(run)
    return summary(run, status)


def environment() -> dict[str, str]:
    """What the commands run with: settings and state of this run, none of the user's."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("FLEET_", "AWS_"))
    }
    own = {
        "FLEET_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "any",  # the embedded server checks none
        "AWS_SECRET_ACCESS_KEY": "any",
        "XDG_STATE_HOME": str(HOME / "state"),
        "CENSUS_DB": str(HOME / "census.db"),
    }
    os.environ["CENSUS_DB"] = own["CENSUS_DB"]  # where this process looks, too
    return kept | own


def fleet(run: Run, *arguments: str, shown: str = "") -> list[str]:
    """The command line of one fleet command, which is shown to the user."""
    port = () if run.port == PORT else ("--local-port", str(run.port))
    command = [arguments[0], *port, *arguments[1:]]
    line = f"$ fleet {shlex.join(command)} {shown}".strip()
    run.console.print(line, style="bold", markup=False, soft_wrap=True)
    return [sys.executable, "-m", "fleet", *command]


@contextlib.contextmanager
def embedded_server(run: Run) -> Iterator[None]:
    """`fleet local` in the background.

    It outlasts the pool, so that the dead letters can be looked at.
    """
    command = fleet(run, "local", shown="&")
    with (HOME / "local.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_it_listens(run.port, server)
        yield
    finally:
        server.terminate()
        server.wait()


def wait_until_it_listens(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Raises SystemExit if it does not."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(LOOK_EVERY)
            break
    raise SystemExit(f"`fleet local` did not start; see {HOME / 'local.log'}")


def work(run: Run) -> int:
    """Run the pool to its end and show its progress. Ctrl-C lets it finish what it has in hand."""
    times = ("--visibility-timeout", str(LEASE), "--wait-time", str(WAIT))
    options = ("--workers", str(WORKERS), "--until-empty", *times)
    command = fleet(run, "start", "--local", "--queue", QUEUE, *options, "examples.census:job")
    with LOG.open("wb") as log:
        pool = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    run.started = time.monotonic()
    try:
        with progress(run) as show:
            while True:
                try:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        pool.wait(LOOK_EVERY)
                    look(run)
                    show()
                    if pool.returncode is not None:
                        return pool.returncode
                except KeyboardInterrupt:
                    run.interrupted = True
                    pool.terminate()
    finally:
        pool.terminate()  # nothing, if it has ended
        pool.wait()


def look(run: Run) -> None:
    """Count the results."""
    with contextlib.closing(census.database()) as connection:
        (counted,) = connection.execute("SELECT count(*) FROM files").fetchone()
    if counted > run.counted:
        run.counted, run.last_success = counted, run.elapsed


@contextlib.contextmanager
def progress(run: Run) -> Iterator[Callable[[], None]]:
    """Gives what shows the present state: a bar on a terminal, else a line now and then."""
    if not run.console.is_terminal:
        yield lines_of_progress(run)
        return
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=run.console) as bar:
        task = bar.add_task("", total=run.total)
        yield lambda: bar.update(task, completed=run.counted, description=state(run))


def lines_of_progress(run: Run) -> Callable[[], None]:
    """Prints a line for every LINE_EVERY files."""
    said = 0

    def show() -> None:
        nonlocal said
        if run.counted // LINE_EVERY > said:
            said = run.counted // LINE_EVERY
            run.console.print(f"{run.elapsed:5.1f} s  {state(run)}")

    return show


def state(run: Run) -> str:
    """How far it is, in words."""
    words = f"{run.counted} of {run.total} files counted"
    if run.interrupted:
        return words + ", stopping"
    if run.counted and run.elapsed - run.last_success > QUIET:
        return words + ", the rest failed"
    return words


def dead_letters(run: Run) -> list[str]:
    """The bodies of all messages in the dead-letter queue: paths, here. They stay there."""
    client: Any = boto3.client(
        "sqs",
        endpoint_url=f"http://127.0.0.1:{run.port}",
        region_name=REGION,
        aws_access_key_id="any",
        aws_secret_access_key="any",  # noqa: S106 - the embedded server checks none
    )
    found: list[str] = []
    with contextlib.closing(client):
        url = client.get_queue_url(QueueName=f"{QUEUE}-dlq")["QueueUrl"]
        while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            found += [message["Body"] for message in messages]
    return sorted(found)


def summary(run: Run, status: int) -> int:
    """Print what was done; the exit status of the demonstration."""
    say = run.console.print
    log = LOG.read_text(errors="replace")
    if run.counted:
        say(census.report())
    ledger = re.search(r"received \d+ = .*", log)
    if ledger:
        say(f"[bold]Ledger of the pool:[/bold] {ledger.group()}", soft_wrap=True)
    if run.interrupted:
        say(
            f"Stopped after {run.counted} of {run.total} files; "
            f"the pool ended with exit status {status}."
        )
        return INTERRUPTED
    if status != ENDED_BADLY or run.counted + len(run.dead) != run.total:
        say(
            f"[bold]Not as it should be:[/bold] exit status {status} instead of {ENDED_BADLY}; "
            f"{run.counted} of {run.total} files counted, {len(run.dead)} dead letters. "
            f"The end of {LOG}:"
        )
        say(*log.splitlines()[-10:], sep="\n", markup=False, soft_wrap=True)
        return 1
    say(
        f"[bold]{len(run.dead)} messages[/bold] failed on every attempt "
        f"and ended in the queue {QUEUE}-dlq:"
    )
    for path in run.dead:
        say(f"  {short(path)}", markup=False, soft_wrap=True)
    say(
        f"{run.counted} files counted by {WORKERS} workers in {run.last_success:.1f} s, "
        "start included: "
        f"[bold]{run.counted / run.last_success:.0f} jobs a second[/bold]. "
        f"With the retries of the rest, {LEASE} s apart, the pool took {run.elapsed:.1f} s."
    )
    say(
        f"Exit status {status}, as it should be: "
        "the queue is empty, and some messages failed for good."
    )
    return 0


def short(path: str) -> str:
    """A path without its well-known beginning."""
    for root in (census.LIBRARY, ROOT):
        if Path(path).is_relative_to(root):
            return str(Path(path).relative_to(root))
    return path


if __name__ == "__main__":
    sys.exit(main())
