"""What a job leaves for its dispatcher: whole, or nothing; whoever wrote it may have been killed meanwhile."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.system.slip import Slip

ROOM = 8_189  # bytes of JSON that fit


@pytest.fixture
def slip() -> Iterator[Slip]:
    """One, wiped."""
    slip = Slip()
    slip.wipe()
    yield slip
    slip._page.close()


def torn(slip: Slip, length: int, text: bytes) -> None:
    """What a writer that was killed, or a wild one, may leave."""
    slip._page[:3] = b"\1" + length.to_bytes(2, "big")
    slip._page[3 : 3 + len(text)] = text


def test_a_new_slip_says_nothing() -> None:
    assert Slip().read() == {}


@pytest.mark.parametrize("fields", [{"after": 7.5}, {"reason": "no such customer"}, {"reason": "Zoë ✓"}, {}])
def test_what_was_written_is_read(slip: Slip, fields: dict[str, object]) -> None:
    slip.write(**fields)
    assert slip.read() == fields
    assert slip.read() == fields


def test_the_last_word_counts(slip: Slip) -> None:
    slip.write(reason="a long reason for it")
    slip.write(reason="short")
    assert slip.read() == {"reason": "short"}


def test_what_is_written_is_added_to_what_was_there(slip: Slip) -> None:
    for fields in ({"handler": True}, {"after": 1.0}, {"error": {"type": "ValueError"}}):
        assert slip.write(**fields)
    assert slip.read() == {"handler": True, "after": 1.0, "error": {"type": "ValueError"}}


def test_a_writer_that_is_killed_in_mid_write_takes_nothing_away(slip: Slip, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether there is an exit handler, for instance: its job is killed while it writes down its error."""
    slip.write(handler=True)

    class Page:
        """Takes all writes but the last one, which says that they count."""

        def __getitem__(self, key: Any) -> Any:
            return page[key]

        def __setitem__(self, key: Any, value: Any) -> None:
            if key == 0:
                raise KeyboardInterrupt
            page[key] = value

    page = slip._page
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(slip, "_page", Page())
            with pytest.raises(KeyboardInterrupt):
                slip.write(error="x" * 3000)
        assert slip.read() == {"handler": True}


@pytest.mark.parametrize("text", ["\udcff\ud800", "\x00\x1b[31m\n\u202e", "Zoë ✓ 🚢", '"\\'])
def test_no_text_is_too_odd_for_it(slip: Slip, text: str) -> None:
    assert slip.write(reason=text)
    assert slip.read() == {"reason": text}


def test_wiped_it_says_nothing(slip: Slip) -> None:
    slip.write(after=1.0)
    slip.wipe()
    assert slip.read() == {}


def test_a_child_writes_and_its_parent_reads(slip: Slip) -> None:
    pid = os.fork()
    if pid == 0:
        slip.write(after=2.0)
        os._exit(0)
    os.waitpid(pid, 0)
    assert slip.read() == {"after": 2.0}


def test_what_just_fits_is_written_and_what_does_not_is_left_out(slip: Slip) -> None:
    frame = len(json.dumps({"reason": ""}))
    longest = "x" * (ROOM - frame)
    for _ in range(3):
        assert slip.write(reason=longest)
        assert slip.read() == {"reason": longest}
        assert not slip.stop_asked
    slip.wipe()
    assert not slip.write(reason=longest + "x")
    assert slip.read() == {}


def test_what_is_left_out_does_not_touch_what_was_there(slip: Slip) -> None:
    slip.write(after=1.0)
    slip.write(reason="x" * ROOM)
    assert slip.read() == {"after": 1.0}


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
def test_rubbish_is_nothing(slip: Slip, length: int, text: bytes) -> None:
    torn(slip, length, text)
    assert slip.read() == {}


@given(st.integers(0, 65_535), st.binary(max_size=4094))
def test_whatever_is_on_it_reading_is_safe(length: int, text: bytes) -> None:
    slip = Slip()
    torn(slip, length, text)
    assert isinstance(slip.read(), dict)
    slip._page.close()


def test_a_wish_to_stop_is_seen_by_the_other_side_until_it_is_wiped() -> None:
    slip = Slip()
    seen = [slip.stop_asked]
    slip.ask_to_stop()
    slip.write(reason="x")
    seen.append(slip.stop_asked)
    assert slip.read() == {"reason": "x"}
    slip.wipe()
    assert [*seen, slip.stop_asked] == [False, True, False]
