"""Loading `module:attribute` where there is little to load it from."""

from pathlib import Path

import pytest

from fleet.app import AppError, load


def test_a_current_directory_that_has_been_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool's template may be started again long after a deployment has removed the directory."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(AppError, match="'not_there' for not_there; the current directory has been removed; searched /"):
        load("not_there:job")
    assert load("json:dumps")(1) == "1"
