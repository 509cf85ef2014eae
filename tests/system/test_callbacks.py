"""What an import registers for forks and audits: when it is called, and in which process."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.system import callbacks
from fleet.system.callbacks import Callbacks


class Interpreter:
    """Registers as os.register_at_fork does, but for the forks of this object."""

    def __init__(self) -> None:
        self._registered: list[dict[str, Callable[[], object]]] = []
        self.called: list[str] = []

    def register(self, **when: Callable[[], object]) -> None:
        self._registered.append(when)

    def fork(self) -> tuple[str, str]:
        """What is called in the parent, and what in the child; both go on as they are."""
        kinds = ("before", "after_in_parent"), ("before", "after_in_child")
        parent, child = (self._call(*each) for each in kinds)
        return parent, child

    def _call(self, before: str, after: str) -> str:
        self.called.clear()
        for each in reversed(self._registered):
            each.get(before, lambda: None)()
        for each in self._registered:
            each.get(after, lambda: None)()
        return " ".join(self.called)


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> Interpreter:
    made = Interpreter()
    monkeypatch.setattr(os, "register_at_fork", made.register)
    monkeypatch.setattr(callbacks, "_thread", SimpleNamespace(_count=lambda: 0))
    return made


def import_module(name: str, interpreter: Interpreter, *whens: str) -> None:
    """Register by a module of that name."""
    whens = whens or ("before", "after_in_child", "after_in_parent")
    calls = {when: lambda when=when: interpreter.called.append(f"{name}:{when}") for when in whens}
    exec("import os; os.register_at_fork(**calls)", {"__name__": name, "calls": calls})  # noqa: S102


def test_what_an_app_registers_is_called_in_jobs_alone(interpreter: Interpreter) -> None:
    app = Callbacks()
    import_module("work", interpreter)
    app.stop()
    assert interpreter.fork() == ("", "")
    app.redo()
    assert interpreter.called == ["work:before", "work:after_in_child"]
    assert interpreter.fork()[0] == "work:before work:after_in_parent"


def test_what_is_for_threads_is_called_but_at_the_forks_of_a_dispatcher(
    interpreter: Interpreter,
) -> None:
    app = Callbacks()
    import_module("threading", interpreter, "after_in_child")
    import_module("logging", interpreter)
    app.stop()
    everything = (
        "logging:before logging:after_in_parent",
        "logging:before threading:after_in_child logging:after_in_child",
    )
    assert interpreter.fork() == everything
    app.leave_out_threads()
    assert interpreter.fork() == ("", "")
    app.redo()
    assert interpreter.fork() == everything


def test_they_are_called_in_the_order_of_the_interpreter(interpreter: Interpreter) -> None:
    app = Callbacks()
    import_module("logging", interpreter)
    import_module("concurrent.futures.thread", interpreter)
    app.stop()
    assert interpreter.fork()[0] == (
        "concurrent.futures.thread:before logging:before "
        "logging:after_in_parent concurrent.futures.thread:after_in_parent"
    )


@pytest.mark.parametrize("module", ["random", "queue"])
def test_what_else_the_standard_library_registers_is_called_at_each_fork(
    interpreter: Interpreter, module: str
) -> None:
    app = Callbacks()
    import_module(module, interpreter, "after_in_child")
    app.stop()
    app.leave_out_threads()
    assert interpreter.fork() == ("", f"{module}:after_in_child")


def test_nothing_is_left_out_while_there_is_another_thread(
    interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out before the fork is so after it, whatever the thread does."""
    app, others = Callbacks(), [1]
    monkeypatch.setattr(callbacks, "_thread", SimpleNamespace(_count=others.pop))
    import_module("logging", interpreter, "before", "after_in_parent")
    app.stop()
    app.leave_out_threads()
    assert interpreter._call("before", "after_in_parent") == (
        "logging:before logging:after_in_parent"
    )


def test_what_raises_keeps_nothing_else_from_being_called(
    interpreter: Interpreter, capfd: pytest.CaptureFixture[str]
) -> None:
    app = Callbacks()
    calls: dict[str, Any] = {"before": lambda: 1 / 0}
    exec("import os; os.register_at_fork(**calls)", {"__name__": "logging", "calls": calls})  # noqa: S102
    import_module("threading", interpreter, "before")
    import_module("asyncio.events", interpreter, "before")
    app.stop()
    assert interpreter.fork()[0] == "asyncio.events:before threading:before"
    assert "ZeroDivisionError" in capfd.readouterr().err
