"""The example does what its page says: it counts, it fails on what cannot be parsed, it may be run
twice.
"""

import contextlib
import io
import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from examples import census
from tests.support.eventually import eventually
from tests.support.pool import REPOSITORY, Home

# The demonstration in a directory of its own, on a free port and with short leases.
DEMO = """
import pathlib, signal, sys
from examples import demo
# A shell's background jobs have it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
demo.HOME = demo.ROOT = pathlib.Path(sys.argv.pop())
demo.LOG, demo.PORT, demo.LEASE, demo.WAIT = demo.HOME / "pool.log", 0, 2, 1
sys.exit(demo.main())
"""
WHOLE = 100.0
"""Seconds for a demonstration, a dozen programs one after another: only a failure waits for it."""
SOURCE = """class Shape:
    def area(self): ...

async def draw(shape):
    def line(): ...
"""


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "results" / "census.db"
    path.parent.mkdir()
    monkeypatch.setenv("CENSUS_DB", str(path))
    return path


def rows() -> list[tuple[object, ...]]:
    with contextlib.closing(census.database()) as connection:
        return connection.execute("SELECT * FROM files ORDER BY path").fetchall()


def test_a_file_is_counted_once_however_often_it_is_delivered(tmp_path: Path) -> None:
    path = tmp_path / "shapes.py"
    path.write_text(SOURCE)
    census.job(str(path))
    census.job(str(path))
    assert rows() == [(str(path), tmp_path.name, 5, 3, 1)]


def test_jobs_that_all_find_no_database_share_one(results: Path) -> None:
    paths = [str(path) for path in census.sources(None) if path.parent == census.LIBRARY][:8]
    together = multiprocessing.get_context("fork").Barrier(len(paths))

    def child(path: str) -> None:
        together.wait()
        census.job(path)

    jobs = [
        multiprocessing.get_context("fork").Process(target=child, args=(path,)) for path in paths
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * len(paths)
    assert [row[0] for row in rows()] == paths
    assert list(results.parent.iterdir()) == [results]


@pytest.mark.parametrize("path", sorted(census.BROKEN.iterdir()), ids=lambda path: path.name)
def test_broken_files_fail(path: Path, results: Path) -> None:
    with pytest.raises(SyntaxError):
        census.job(str(path))
    assert not results.exists()


def test_packages_have_the_name_one_would_look_for() -> None:
    assert census.package(census.LIBRARY / "asyncio" / "locks.py") == "asyncio"
    assert census.package(census.LIBRARY / "argparse.py") == "argparse"
    assert census.package(census.PACKAGES / "rich" / "table.py") == "rich"
    assert census.package(Path("/somewhere/else/x.py")) == "else"


def test_the_library_is_enough_work() -> None:
    paths = census.sources(None)
    assert len(paths) >= census.ENOUGH
    assert len(set(paths)) == len(paths)
    assert set(census.BROKEN.iterdir()) < set(paths)


@pytest.mark.parametrize("limit", [3, 10, 100, 501])
def test_a_limit_keeps_the_files_that_fail(limit: int) -> None:
    paths = census.sources(limit)
    assert len(set(paths)) == limit
    assert set(census.BROKEN.iterdir()) <= set(paths)


def test_a_small_library_is_filled_up_with_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site-packages" / "data").mkdir(parents=True)
    installed = tmp_path / "site-packages" / "data" / "installed.py"
    for path in (tmp_path / "own.py", installed):
        path.touch()
    monkeypatch.setattr(census, "LIBRARY", tmp_path)
    monkeypatch.setattr(census, "PACKAGES", tmp_path / "site-packages")
    assert census.sources(None)[-2:] == [tmp_path / "own.py", installed]
    assert "fewer than 500 files" in capsys.readouterr().err


def test_the_report_fits_a_terminal(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"a_package_with_a_name_of_more_than_thirty_letters_{number}" / "m.py"
        path.parent.mkdir()
        path.write_text(SOURCE * 1000)
        census.job(str(path))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(census.report())
    lines = console.export_text().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "The largest 15 of 20 packages" in lines[0]
    assert "│ all packages" in lines[-2]
    assert "100,000" in lines[-2]


def test_the_commands_of_its_page() -> None:
    program = [sys.executable, "-m", "examples.census"]
    listed = subprocess.run(
        [*program, "list", "--limit", "5"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    )
    assert len(listed.stdout.splitlines()) == 5
    report = subprocess.run(
        [*program, "report"], cwd=REPOSITORY, capture_output=True, check=True, text=True
    )
    assert "all packages" in report.stdout


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


def start_demo(home: Home, limit: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", DEMO, "--limit", str(limit), str(home.directory / "demo")]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=home.environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_the_demonstration_accounts_for_every_message(home: Home) -> None:
    demo = start_demo(home, 30)
    output, _ = demo.communicate(timeout=WHOLE)
    assert demo.returncode == 0, output
    assert "Exit status 6, as it should be" in output
    assert "left 0" not in output
    for path in census.BROKEN.iterdir():
        assert path.name in output
    home.wait_empty()


@pytest.mark.slow
def test_an_interrupted_demonstration_drains_and_leaves_nothing(home: Home) -> None:
    demo = start_demo(home, 600)
    log = home.directory / "demo" / "pool.log"
    eventually(lambda: log.exists() and "succeeded" in log.read_text())
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=WHOLE)
    assert demo.returncode == 130, output
    assert "Ledger of the pool: received" in output
    assert "the pool ended with exit status 0" in output
    home.wait_empty()
