"""What a job leaves for its dispatcher: whole, or nothing; whoever wrote it may have been killed
meanwhile.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.ipc.shared_page import SharedPage

ROOM = 8_189  # bytes of JSON that fit


@pytest.fixture
def page() -> Iterator[SharedPage]:
    """One, wiped."""
    page = SharedPage()
    page.wipe()
    yield page
    page._page.close()


def torn(page: SharedPage, length: int, text: bytes) -> None:
    """What a writer that was killed, or a wild one, may leave."""
    page._page[:3] = b"\1" + length.to_bytes(2, "big")
    page._page[3 : 3 + len(text)] = text


def test_a_new_slip_says_nothing() -> None:
    assert SharedPage().read() == {}


@pytest.mark.parametrize(
    "fields", [{"after": 7.5}, {"reason": "no such customer"}, {"reason": "Zoë ✓"}, {}]
)
def test_what_was_written_is_read(page: SharedPage, fields: dict[str, object]) -> None:
    page.write(**fields)
    assert page.read() == fields
    assert page.read() == fields


def test_the_last_word_counts(page: SharedPage) -> None:
    page.write(reason="a long reason for it")
    page.write(reason="short")
    assert page.read() == {"reason": "short"}


def test_what_is_written_is_added_to_what_was_there(page: SharedPage) -> None:
    for fields in ({"handler": True}, {"after": 1.0}, {"error": {"type": "ValueError"}}):
        assert page.write(**fields)
    assert page.read() == {"handler": True, "after": 1.0, "error": {"type": "ValueError"}}


def test_a_writer_that_is_killed_in_mid_write_takes_nothing_away(
    page: SharedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there is an exit handler, for instance: its job is killed while it writes down its
    error.
    """
    page.write(handler=True)

    class Page:
        """Takes all writes but the last one, which says that they count."""

        def __getitem__(self, key: Any) -> Any:
            return memory[key]

        def __setitem__(self, key: Any, value: Any) -> None:
            if key == 0:
                raise KeyboardInterrupt
            memory[key] = value

    memory = page._page
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(page, "_page", Page())
            with pytest.raises(KeyboardInterrupt):
                page.write(error="x" * 3000)
        assert page.read() == {"handler": True}


@pytest.mark.parametrize("text", ["\udcff\ud800", "\x00\x1b[31m\n\u202e", "Zoë ✓ 🚢", '"\\'])
def test_no_text_is_too_odd_for_it(page: SharedPage, text: str) -> None:
    assert page.write(reason=text)
    assert page.read() == {"reason": text}


def test_wiped_it_says_nothing(page: SharedPage) -> None:
    page.write(after=1.0)
    page.wipe()
    assert page.read() == {}


def test_a_child_writes_and_its_parent_reads(page: SharedPage) -> None:
    pid = os.fork()
    if pid == 0:
        page.write(after=2.0)
        os._exit(0)
    os.waitpid(pid, 0)
    assert page.read() == {"after": 2.0}


def test_what_just_fits_is_written_and_what_does_not_is_left_out(page: SharedPage) -> None:
    frame = len(json.dumps({"reason": ""}))
    longest = "x" * (ROOM - frame)
    for _ in range(3):
        assert page.write(reason=longest)
        assert page.read() == {"reason": longest}
        assert not page.stop_asked
    page.wipe()
    assert not page.write(reason=longest + "x")
    assert page.read() == {}


def test_what_is_left_out_does_not_touch_what_was_there(page: SharedPage) -> None:
    page.write(after=1.0)
    page.write(reason="x" * ROOM)
    assert page.read() == {"after": 1.0}


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (10, b'{"after": 7.5}'),  # cut
        (14, b'{"after": 7'),
        (4, b"\xff\xfe\x00\x01"),
        (2, b"[]"),
        (4, b"null"),
        (3, b"1.5"),
        (65_535, b'{"after": 7.5}'),
        (4094, b"[" * 4094),
        (4094, b'{"a":' * 818),
        (4094, b"9" * 4094),
        (1, b"\0"),
    ],
)
def test_rubbish_is_nothing(page: SharedPage, length: int, text: bytes) -> None:
    torn(page, length, text)
    assert page.read() == {}


@given(st.integers(0, 65_535), st.binary(max_size=4094))
def test_whatever_is_on_it_reading_is_safe(length: int, text: bytes) -> None:
    page = SharedPage()
    torn(page, length, text)
    assert isinstance(page.read(), dict)
    page._page.close()


def test_a_wish_to_stop_is_seen_by_the_other_side_until_it_is_wiped() -> None:
    page = SharedPage()
    seen = [page.stop_asked]
    page.ask_to_stop()
    page.write(reason="x")
    seen.append(page.stop_asked)
    assert page.read() == {"reason": "x"}
    page.wipe()
    assert [*seen, page.stop_asked] == [False, True, False]
