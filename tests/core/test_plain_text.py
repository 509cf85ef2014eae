"""What leaves is one line, and acts on nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.plain_text import block, dump_json, one_line


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (
            "what is printable stays: é ✓ 漢 🚀 \\ ' \"",
            "what is printable stays: é ✓ 漢 🚀 \\ ' \"",
        ),
        ("a\nb\r\nc\td", "a\\nb\\r\\nc\\td"),
        ("\0\x1b[2J\x07\x7f", "\\x00\\x1b[2J\\x07\\x7f"),
        ("\x85\x9b31m", "\\x85\\x9b31m"),
        ("\u2028\u2029\v\f\x1c", "\\u2028\\u2029\\x0b\\x0c\\x1c"),
        ("\u202e\u2066\u200f\u061c", "\\u202e\\u2066\\u200f\\u061c"),
        ("\u200b\u2060\ufeff\xad", "\\u200b\\u2060\\ufeff\\xad"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_one_line(text: str, plain: str) -> None:
    assert one_line(text) == plain


@given(st.text(st.characters()))
def test_any_text_is_printable_ends_up_in_one_line_and_stays_so(text: str) -> None:
    found = one_line(text)
    assert found.isprintable()
    assert one_line(found) == found
    found.encode()


@given(st.text(st.characters()))
def test_every_line_of_a_block_is_indented(text: str) -> None:
    below = block(text)
    assert all(line.startswith("    ") for line in below.split("\n")[1:])
    assert below.startswith("\n    ")
    assert below.replace("\n", "").isprintable()


@given(st.text(st.characters()))
def test_json_is_one_line_of_printable_ascii_and_the_same_data(text: str) -> None:
    found = dump_json({"text": text})
    assert found.isascii()
    assert found.isprintable()
    assert json.loads(found) == {"text": text}
