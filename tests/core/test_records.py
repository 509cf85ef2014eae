"""A record with some fields changed: the same as dataclasses.replace, with slots and without."""

import dataclasses
from dataclasses import dataclass

import pytest

from fleet.core.records import replace


@dataclass(frozen=True)
class Plain:
    one: int
    two: str = "b"


@dataclass(frozen=True, slots=True)
class Slotted:
    one: int
    two: str = "b"


@pytest.mark.parametrize("record", [Plain(1, "x"), Slotted(1, "x")])
def test_it_is_what_dataclasses_make_of_it(record: Plain | Slotted) -> None:
    changed = replace(record, two="c")
    assert changed == dataclasses.replace(record, two="c")
    assert type(changed) is type(record)
    assert hash(changed) == hash(dataclasses.replace(record, two="c"))
    assert record.two == "x"


def test_without_changes_it_is_an_equal_one() -> None:
    record = Plain(1)
    assert replace(record) == record
    assert replace(record) is not record


@pytest.mark.parametrize("record", [Plain(1), Slotted(1)])
def test_a_name_that_is_no_field_is_refused(record: Plain | Slotted) -> None:
    with pytest.raises(TypeError, match="three"):
        replace(record, three=3)


def test_the_new_record_is_frozen_too() -> None:
    changed = replace(Plain(1), one=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        changed.one = 3  # type: ignore[misc]
