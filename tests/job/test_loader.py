"""Loading `module:attribute` and `path/file.py:attribute`: found, or one line that says what would
be right.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.job.loader import AppError, load
from tests.support.pool import REPOSITORY


@pytest.fixture(autouse=True)
def _imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test imports is gone after it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_current_directory_that_has_been_removed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool's template may be started again long after a deployment has removed the directory."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(
        AppError, match="there is no module not_there; the current directory has been removed"
    ):
        load("not_there:job")
    assert load("json:dumps")(1) == "1"


def test_a_module_that_is_newer_than_the_listing_of_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory's time says no more than that it has changed since the last tick."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AppError):
        load("newborn_module:job")
    listed_at = tmp_path.stat().st_mtime_ns
    (tmp_path / "newborn_module.py").write_text("def job(body): return 1\n")
    os.utime(tmp_path, ns=(listed_at, listed_at))
    assert load("newborn_module:job")("") == 1


def test_no_more_is_imported_than_the_module() -> None:
    """From Python 3.13 on importlib.invalidate_caches() imports importlib.metadata."""
    program = (
        "import sys; from fleet.job.loader import load; before = set(sys.modules); "
        "load('os:getcwd'); print(*set(sys.modules) - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert run.stdout == "\n"


@pytest.mark.parametrize("missing", ["wrok", "pack.wrok"])
def test_a_module_that_is_called_nearly_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    (tmp_path / "pack").mkdir()
    for each in ("work.py", "pack/__init__.py", "pack/work.py"):
        (tmp_path / each).write_text("def job(body): ...\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AppError) as raised:
        load(f"{missing}:job")
    right = missing.replace("wrok", "work")
    assert str(raised.value) == (
        f"there is no module {missing} in {tmp_path}, nor among what is installed; "
        f"did you mean {right}?"
    )


@pytest.mark.parametrize("name", ["work.py", "my-app.py", "json.py", "1st.py"])
def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Also one whose name is no module's, or another module's; its neighbours can be imported."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_text(
        "import neighbour_of_it\ndef job(body): return neighbour_of_it.ANSWER\n"
    )
    (tmp_path / "deep" / "neighbour_of_it.py").write_text("ANSWER = 42\n")
    monkeypatch.chdir(tmp_path)
    job = load(f"deep/{name}:job")
    assert job("x") == 42
    assert pickle.loads(pickle.dumps(job)) is job  # noqa: S301 - our own
    assert sys.modules["json"].dumps({}) == "{}"


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work.py").write_text("def job(body): ...\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AppError, match=r"there is no file wrok\.py; did you mean .*work\.py\?"):
        load("wrok.py:job")


def test_a_file_whose_own_code_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AppError, match=r"importing work\.py failed: ZeroDivisionError") as raised:
        load("work.py:job")
    assert raised.value.trace.splitlines()[1].strip().startswith('File "')
    assert "fleet/job/loader.py" not in raised.value.trace
