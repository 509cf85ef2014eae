"""Count the lines, functions and classes of Python's own library: one source file is one message.

    fleet local &
    python -m examples.census list | fleet send --local --queue census
    fleet start --local --queue census --until-empty examples.census:job
    python -m examples.census report

Some files cannot be parsed, and are meant to: test data of the library and `examples/broken`. Their
messages fail on every attempt and end in the dead-letter queue. The counts go to one SQLite
database, `census.db` or what CENSUS_DB names.
"""

import argparse
import ast
import contextlib
import os
import sqlite3
import sys
import sysconfig
import warnings
from pathlib import Path

from rich.console import Console
from rich.table import Table

LIBRARY = Path(sysconfig.get_path("stdlib"))
PACKAGES = Path(sysconfig.get_path("purelib"))
BROKEN = Path(__file__).with_name("broken")
ENOUGH = 500  # files that make a census worth a pool
SHOWN = 15  # packages in the report

SCHEMA = (
    "CREATE TABLE files "
    "(path TEXT PRIMARY KEY, package TEXT, lines INT, functions INT, classes INT)"
)
TOTALS = "count(*), coalesce(sum(lines), 0), coalesce(sum(functions), 0), coalesce(sum(classes), 0)"


def job(path: str) -> None:
    """Count one file. Doing it twice leaves one row: SQS may deliver a message more than once."""
    source = Path(path).read_bytes()
    warnings.simplefilter("ignore")  # what the compiler thinks of the library's style
    nodes = [type(node) for node in ast.walk(ast.parse(source, path))]
    row = (
        path,
        package(Path(path)),
        len(source.splitlines()),
        nodes.count(ast.FunctionDef) + nodes.count(ast.AsyncFunctionDef),
        nodes.count(ast.ClassDef),
    )
    with contextlib.closing(database()) as connection, connection:
        connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", row)


def package(path: Path) -> str:
    """The top-level package or module that a file belongs to."""
    for root in (PACKAGES, LIBRARY):  # in this order: the first may lie inside the second
        if path.is_relative_to(root):
            return path.relative_to(root).parts[0].removesuffix(".py")
    return path.parent.name


def database() -> sqlite3.Connection:
    """The open database, made if it is missing. Writers wait up to 30 s for each other."""
    path = Path(os.environ.get("CENSUS_DB", "census.db"))
    if not path.exists():
        make_database(path)
    return sqlite3.connect(path, timeout=30)


def make_database(path: Path) -> None:
    """Make it aside and link it into place, whole: many jobs may find it missing at once.

    (A change to WAL mode does not wait for other writers; it fails with "database is locked".)
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(SCHEMA)
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()


def sources(limit: int | None) -> list[Path]:
    """Files to count, at most `limit` of them: every file made to fail first, the rest evenly
    chosen.
    """
    made_to_fail = sorted(BROKEN.iterdir())
    rest: list[Path] = []
    for path in python_files(LIBRARY):
        (made_to_fail if is_bad_on_purpose(path) else rest).append(path)
    if len(made_to_fail) + len(rest) < ENOUGH:
        print(
            f"{LIBRARY} has fewer than {ENOUGH} files: those of {PACKAGES} are added",
            file=sys.stderr,
        )
        rest += python_files(PACKAGES)
    if limit is not None:
        made_to_fail = made_to_fail[:limit]
        room = limit - len(made_to_fail)
        rest = (
            [rest[number * len(rest) // room] for number in range(min(room, len(rest)))]
            if room
            else []
        )
    return made_to_fail + rest


def python_files(root: Path) -> list[Path]:
    """Python files under a directory, without the packages installed below it."""
    installed = {"site-packages", "dist-packages"}
    return [
        path
        for path in sorted(root.rglob("*.py"))
        if not installed & set(path.relative_to(root).parts)
    ]


def is_bad_on_purpose(path: Path) -> bool:
    """True for the library's own examples of what does not parse (and for a few neighbours that
    do).
    """
    return path.parent.name in {"data", "tokenizedata"} or path.name.startswith("badsyntax")


def report() -> Table:
    """The largest packages and the total, no wider than 80 columns."""
    with contextlib.closing(database()) as connection:
        largest_first = "FROM files GROUP BY package ORDER BY 3 DESC, 1"
        rows = connection.execute(f"SELECT package, {TOTALS} {largest_first}").fetchall()
        total = connection.execute(f"SELECT {TOTALS} FROM files").fetchone()  # noqa: S608
    table = Table(title=f"The largest {min(SHOWN, len(rows))} of {len(rows)} packages")
    table.add_column("package", max_width=30, overflow="ellipsis", no_wrap=True)
    for heading in ("files", "lines", "functions", "classes"):
        table.add_column(heading, justify="right")
    for name, *counts in rows[:SHOWN]:
        table.add_row(name, *(f"{count:,}" for count in counts))
    table.add_section()
    table.add_row("all packages", *(f"{count:,}" for count in total), style="bold")
    return table


def main() -> None:
    """The command line: what to send, and what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.census", description=__doc__.partition("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    lister = commands.add_parser("list", help="print the files to count, one path a line")
    lister.add_argument("--limit", type=int, help="at most this many, those that fail included")
    commands.add_parser("report", help="print the counts")
    arguments = parser.parse_args()
    if arguments.command == "list":
        print(*sources(arguments.limit), sep="\n")
    else:
        Console().print(report())


if __name__ == "__main__":
    main()
