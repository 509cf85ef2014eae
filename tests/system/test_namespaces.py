"""The names of all modules can be remembered, whatever is in them."""

import sys
from types import ModuleType

import pytest

from fleet.system.namespaces import Namespaces


def test_a_class_whose_module_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of an extension: what its objects have as a module is a descriptor to the class."""
    odd = ModuleType("odd")
    vars(odd)["Odd"] = type("Odd", (), {"__module__": property(lambda _: "odd")})
    monkeypatch.setitem(sys.modules, "odd", odd)
    assert Namespaces()
