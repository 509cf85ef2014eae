"""What a dispatcher is told of the exception that ended a job."""

import json
from pathlib import Path

import pytest

from fleet.core.config import Config
from fleet.core.queue import Message
from fleet.ipc.shared_page import SharedPage
from fleet.job import errors
from fleet.job.bodies import argument
from fleet.job.loader import AppError, load


def fails(text: str = "no such customer") -> None:
    """A job's own code."""
    raise ValueError(text)


def caught(call: object = fails, *args: object) -> BaseException:
    try:
        call(*args)  # type: ignore[operator]
    except BaseException as error:  # noqa: BLE001 - any
        return error
    raise AssertionError


def noted(error: BaseException) -> dict[str, str]:
    page = SharedPage()
    errors.write(page, "error", error)
    return errors.read(page, "error")


def test_type_text_place_and_traceback() -> None:
    found = noted(caught())
    line = fails.__code__.co_firstlineno + 2
    assert found["error_type"] == "ValueError"
    assert found["error"] == "no such customer"
    assert found["where"] == f"test_errors.py:{line} in fails"
    assert found["traceback"].startswith("Traceback (most recent call last):\n")
    assert found["traceback"].endswith("ValueError: no such customer\n")


def test_the_place_is_the_jobs_not_the_librarys_that_it_called() -> None:
    assert noted(caught(json.loads, "{"))["where"].startswith("test_errors.py:")
    assert noted(caught(json.loads, "{"))["where"].endswith(" in caught")


def test_one_that_was_never_raised_has_no_place() -> None:
    assert noted(ValueError("x"))["where"] == "its call"


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "🚢" * 100_000, "\x01" * 100_000, "\udcff" * 100_000]
)
def test_whatever_its_length_it_fits_and_the_end_of_the_traceback_is_kept(text: str) -> None:
    found = noted(caught(fails, text))
    assert found["error"] == text[:500]
    assert 100 < len(found["traceback"]) <= 2_500
    assert found["traceback"].endswith(text[:100] + "\n")


def test_what_was_written_before_stays() -> None:
    page = SharedPage()
    page.write(handler=True)
    errors.write(page, "error", caught())
    assert page.read()["handler"] is True


class UnspeakableError(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise SystemExit(0)


def raises_unspeakable() -> None:
    raise UnspeakableError


def test_an_exception_that_cannot_say_what_it_is() -> None:
    found = noted(caught(raises_unspeakable))
    assert (found["error_type"], found["error"]) == ("UnspeakableError", "<its text cannot be had>")
    assert "UnspeakableError" in found["traceback"]


def test_an_app_that_cannot_be_imported_brings_its_own_traceback() -> None:
    found = noted(AppError("importing work failed: ValueError", "Traceback of its own\n"))
    assert found["error_type"] == "AppError"
    assert found["traceback"] == "Traceback of its own\nfleet: importing work failed: ValueError\n"


def test_of_an_app_that_cannot_be_imported_the_place_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_good.py").write_text("\n\nraise KeyError(5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert noted(caught(load, "no_good:job"))["where"] == "no_good.py:3 in <module>"


def test_of_a_body_that_cannot_be_used_no_code_is_named() -> None:
    error = caught(argument, Config(body="json"), Message("id", "handle", "{secret"))
    found = noted(error)
    assert (found["error_type"], found["where"], found["traceback"]) == ("Unusable", "its body", "")
    assert "not JSON" in found["error"]
    assert "secret" not in str(found)
