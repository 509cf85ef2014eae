"""A PostgreSQL server of a test's own, on loopback."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.needs import NOBODY, postgres_programs
from tests.support.servers import RUNNING, free_port

SCHEMA = """
create table prices (name text, price int);
insert into prices select 'b' || n, n * 10 from generate_series(1, 50) n;
create table done (body text, price int, backend int);
"""


@dataclass(frozen=True)
class Postgres:
    """A running server; its one user is `recipes`, without a password."""

    port: int
    programs: Path

    def ask(self, statement: str) -> list[list[str]]:
        """The rows of the answer, as text. Raises CalledProcessError with what psql has said."""
        command = [
            str(self.programs / "psql"),
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "recipes",
            "-d",
            "postgres",
        ]
        options = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement]
        answer = subprocess.run(
            [*command, *options], capture_output=True, text=True, check=True
        ).stdout
        return [line.split("|") for line in answer.splitlines()]


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A running server, in a directory that only its user may read.

    PostgreSQL refuses to run as root, so as root the server is started as another user.
    """
    programs, port = postgres_programs(), free_port()
    assert programs is not None
    directory = Path(tempfile.mkdtemp(prefix="fleet-postgres-"))
    other = os.geteuid() == 0
    if other:
        os.chown(directory, NOBODY, NOBODY)
    user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") if other else ()
    data = str(directory / "data")
    make = ["-D", data, "-U", "recipes", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run(
        [*user, programs / "initdb", *make], check=True, capture_output=True, cwd=directory
    )
    options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", str(directory), "-F"]
    server = subprocess.Popen(
        [*user, programs / "postgres", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=directory,
    )
    RUNNING.add(server.pid)
    try:
        found = Postgres(port, programs)
        eventually(
            lambda: _answers(found, server), what=lambda: f"PostgreSQL answers on port {port}"
        )
        found.ask(SCHEMA)
        yield found
    finally:
        server.terminate()  # as a whole: its children end with it
        server.wait(20)
        RUNNING.discard(server.pid)
        shutil.rmtree(directory, ignore_errors=True)


def _answers(server: Postgres, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "PostgreSQL ended at its start"
    try:
        return bool(server.ask("select 1"))
    except subprocess.CalledProcessError:  # not yet
        return False
