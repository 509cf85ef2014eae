"""The exit status of what user code raises, and what is said of it; what a job draws and prints."""

import enum
import os
import random
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fleet import Reject, Retry
from fleet.core.outcomes import Exit
from fleet.job import outputs
from tests.support import jobs

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded:DeprecationWarning", "ignore::ResourceWarning"
)

DONE, FAILED = Exit(code=0), Exit(code=1)


class Leaves(SystemExit):
    """Of the app's."""


class LeavesOddly(SystemExit):
    """Its code cannot be had."""

    def __getattribute__(self, name: str) -> Any:
        if name == "code":
            raise ValueError
        return super().__getattribute__(name)


class Number(enum.IntEnum):
    """An int."""

    FIVE = 5


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SystemExit(), 0),
        (SystemExit(None), 0),
        (SystemExit(0), 0),
        (SystemExit(False), 0),
        (SystemExit(True), 1),
        (SystemExit(3), 3),
        (SystemExit(255), 255),
        (SystemExit(-1), 255),
        (SystemExit(-2), 254),
        (SystemExit(257), 1),
        (SystemExit(2**32 + 3), 3),
        (SystemExit(256), 255),  # CPython's is 0, but nobody meant success
        (SystemExit(2**40), 255),
        (SystemExit(-(2**31)), 255),
        (SystemExit(2**63), 255),
        (SystemExit(-(2**63) - 1), 255),
        (SystemExit(Number.FIVE), 5),
        (SystemExit("text"), 1),
        (SystemExit(""), 1),
        (SystemExit(0.0), 1),
        (SystemExit([]), 1),
        (SystemExit(1, 2), 1),
        (SystemExit(b"x"), 1),
        (Leaves(4), 4),
        (LeavesOddly(0), 1),
    ],
)
def test_statuses_are_cpythons(error: SystemExit, status: int) -> None:
    def job(_body: str) -> None:
        raise error

    assert jobs.run(job)[0] == Exit(code=status)


def test_an_interrupt_ends_by_its_signal_as_in_cpython() -> None:
    def job(_body: str) -> None:
        raise KeyboardInterrupt

    forked = jobs.fork(job)
    forked.wait_said("KeyboardInterrupt")
    assert forked.end() == Exit(signal=2)
    assert forked.page.read()["error"]["type"] == "KeyboardInterrupt"


def test_an_excepthook_that_is_not_there_costs_nothing_of_the_end() -> None:
    def job(_body: str) -> None:
        threading.Thread(target=lambda: os.write(1, b"the thread is done\n")).start()
        del sys.excepthook
        raise KeyError(5)

    ended, said = jobs.run(job)
    assert (ended, "the thread is done" in said, "fault of its own" in said) == (
        FAILED,
        True,
        False,
    )


def test_a_text_is_printed_and_noted() -> None:
    forked = jobs.fork(lambda _: sys.exit("no such file"))
    forked.wait_said("no such file\n")
    assert forked.end() == FAILED
    assert forked.page.read()["error"]["message"] == "no such file"


# sys.excepthook


def hook(kind: Any, error: Any, trace: Any) -> None:
    file = Path(trace.tb_frame.f_code.co_filename).name
    print("hooked", kind.__name__, error, file)  # noqa: T201


def job_that_raises(error: BaseException) -> Any:
    def job(_body: str) -> None:
        sys.excepthook = hook
        raise error

    return job


def test_an_apps_own_excepthook_is_called_for_an_exception() -> None:
    assert jobs.run(job_that_raises(KeyError(5))) == (
        FAILED,
        "hooked KeyError 5 test_status.py\n",
    )


@pytest.mark.parametrize("error", [Retry(), Reject("no"), SystemExit(3)])
def test_not_for_what_is_meant(error: BaseException) -> None:
    assert jobs.run(job_that_raises(error))[1] == ""


def test_one_that_fails_leaves_the_failure_what_it_is() -> None:
    def job(_body: str) -> None:
        sys.excepthook = lambda *_: sys.exit(0)
        raise KeyError("the job's")

    ended, said = jobs.run(job)
    assert ended == FAILED
    assert "Error in sys.excepthook" in said
    assert 'KeyError: "the job\'s"' in said


# Random numbers


def test_python_s_own_random_numbers_differ_from_job_to_job() -> None:
    draws = {jobs.run(lambda _: print(random.random()))[1] for _ in range(3)}  # noqa: T201
    assert len(draws) == 3


def test_so_do_numpys() -> None:
    numpy = pytest.importorskip("numpy")
    numpy.random.seed(5)
    draws = {jobs.run(lambda _: print(numpy.random.random()))[1] for _ in range(3)}  # noqa: T201
    assert len(draws) == 3


def test_what_cannot_be_seeded_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert jobs.run(lambda _: None) == (DONE, "")
    torch.seed = lambda: print("seeded")  # type: ignore[attr-defined]  # noqa: T201
    assert jobs.run(lambda _: None) == (DONE, "seeded\n")
    torch.seed = lambda: 1 / 0  # type: ignore[attr-defined]
    assert jobs.run(lambda _: None) == (DONE, "")


def test_an_apps_hooks_at_a_fork_run_once_for_a_job(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    wanted = [True]

    def note() -> None:
        if wanted:
            with pids.open("a") as file:
                file.write(f"{os.getpid()}\n")

    os.register_at_fork(after_in_child=note)
    try:
        ended, said = jobs.run(lambda _: print(os.getpid()))  # noqa: T201
    finally:
        wanted.clear()
    assert ended == DONE
    assert pids.read_text() == said


# What it prints and writes


@pytest.mark.parametrize(
    "end", [lambda: os._exit(0), lambda: os.kill(os.getpid(), 9), lambda: os.kill(os.getpid(), 11)]
)
def test_what_a_job_prints_is_seen_however_it_dies(end: Any) -> None:
    def job(_body: str) -> None:
        print("step 1")  # noqa: T201
        end()

    assert jobs.run(job)[1].startswith("step 1\n")


def test_a_stream_that_the_app_has_put_there_is_left_alone() -> None:
    def job(_body: str) -> None:
        print("step 1")  # noqa: T201
        os._exit(0)

    stream = open(os.dup(1), "w")  # noqa: PTH123, SIM115
    before, sys.stdout = sys.stdout, stream
    try:
        pid = os.fork()
        if pid == 0:
            outputs.line_buffer()
            os._exit(int(stream.line_buffering))
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        sys.stdout = before
        stream.close()


def write_everywhere(directory: Path) -> list[Any]:
    """Files that are held, and closed by nobody."""
    import gzip
    import io

    text = (directory / "text").open("w")
    data = (directory / "data").open("wb")
    packed = gzip.open(directory / "packed", "wt")  # noqa: SIM115
    wrapped = io.TextIOWrapper((directory / "wrapped").open("wb"))
    for file in (text, packed, wrapped):
        file.write("work")
    data.write(b"work")
    return [text, data, packed, wrapped]


def test_files_that_are_left_open_are_written_out(tmp_path: Path) -> None:
    import gzip

    kept: list[Any] = []
    assert jobs.run(lambda _: kept.extend(write_everywhere(tmp_path))) == (DONE, "")
    assert {(tmp_path / name).read_text() for name in ("text", "data", "wrapped")} == {"work"}
    with gzip.open(tmp_path / "packed", "rt") as packed:
        assert packed.read() == "work"


def test_a_file_of_the_apps_too_without_what_was_in_its_buffer(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        log.write("app\n")
        outputs.take_stock()
        assert (tmp_path / "log").read_text() == "app\n"
        for number in range(2):
            assert jobs.run(lambda _, number=number: log.write(f"{number}\n") and None) == (
                DONE,
                "",
            )
    outputs._inherited.clear()
    assert (tmp_path / "log").read_text() == "app\n0\n1\n"


def test_what_cannot_be_written_out_is_a_failure() -> None:
    kept: list[Any] = []

    def job(_body: str) -> None:
        kept.append(open("/dev/full", "w"))  # noqa: PTH123, SIM115
        kept[0].write("work")

    forked = jobs.fork(job)
    forked.wait_said("No space left on device")
    assert forked.end() == FAILED
    assert forked.page.read()["error"]["type"] == "OSError"
