"""Loading `module:attribute` and `path/file.py:attribute`: found, or one line that says what would
be right.
"""

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.job.loader import AppError, load


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
