"""What a job inherits of its message in the environment is what it would have set itself."""

import ctypes
import mmap
import os
import subprocess
from typing import Any

import pytest

from fleet.core.queue import Message
from fleet.job import message_variables
from fleet.job.message_variables import AREA, NAMES, CannotBeInherited, encode, inherit_from
from fleet.system import processes
from tests.support.forks import in_a_fork

libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_void_p


class Environment:
    """Of this process, which is a test's own."""

    def __init__(self) -> None:
        self.area = memoryview(mmap.mmap(-1, AREA, mmap.MAP_PRIVATE))
        self._mapping = inherit_from(self.area)

    def introduce(self, message: Message) -> None:
        self.area[:], variables = encode(message)
        self._mapping.update(variables)


def seen() -> list[list[str | None]]:
    """The variables to Python, to the C library, and to a program that is started here."""
    env = subprocess.run(["env"], capture_output=True, check=True, text=True).stdout
    programs = dict(line.split("=", 1) for line in env.splitlines() if "=" in line)
    return [
        [os.environ.get(name) for name in NAMES],
        [_c_value(name) for name in NAMES],
        [programs.get(name) for name in NAMES],
    ]


def _c_value(name: str) -> str | None:
    address = libc.getenv(name.encode())
    return None if address is None else os.fsdecode(ctypes.string_at(address))


@pytest.mark.parametrize("is_set_before", [True, False])
def test_every_message_has_its_own(is_set_before: bool) -> None:
    def act() -> Any:
        for name in NAMES:
            os.environ.pop(name, None)
            if is_set_before:
                os.environ[name] = "of somebody else"
        environment = Environment()
        found = []
        for message in (Message("x" * 100, "", "", attempt=12345), Message("é", "", "")):
            environment.introduce(message)
            found.append(seen())
        return found

    assert in_a_fork(act) == [[["x" * 100, "12345"]] * 3, [["é", "1"]] * 3]


def test_a_job_may_change_them() -> None:
    def act() -> Any:
        environment = Environment()
        environment.introduce(Message("m", "", ""))
        os.environ[NAMES[0]], found = "mine", []
        found.append(seen())
        del os.environ[NAMES[0]]
        found.append(seen())
        return found

    assert in_a_fork(act) == [[["mine", "1"]] * 3, [[None, "1"]] * 3]


def test_the_c_library_keeps_no_former_value() -> None:
    """Setenv(3) would have a copy of each for ever."""

    def act() -> Any:
        environment = Environment()
        start = ctypes.addressof(ctypes.c_char.from_buffer(environment.area))
        where = set()
        for number in range(3):
            environment.introduce(Message(f"message {number}", "", ""))
            where |= {libc.getenv(name.encode()) - start for name in NAMES}
        return [len(where), all(0 <= offset < AREA for offset in where)]

    assert in_a_fork(act) == [len(NAMES), True]


@pytest.mark.parametrize("id_", ["x" * 200, "a\0b", "\ud800"])
def test_what_no_environment_can_hold_is_refused(id_: str) -> None:
    with pytest.raises(ValueError, match=r"environment|surrogates"):
        encode(Message(id_, "", ""))


@pytest.mark.parametrize("is_empty", [True, False])
def test_an_environment_that_is_not_pythons_own_is_left_alone(is_empty: bool) -> None:
    class Other(dict[str, str]):
        _data: object = None if is_empty else {}

    def act() -> Any:
        os.environ = Other()  # type: ignore[assignment] # noqa: B003
        try:
            Environment()
        except CannotBeInherited:
            return True
        return False

    assert in_a_fork(act)


def test_a_child_inherits_them() -> None:
    def act() -> Any:
        environment = Environment()
        environment.introduce(Message("m", "", "", attempt=2))
        pid = os.fork()
        if pid == 0:
            os._exit(7 if seen() == [["m", "2"]] * 3 else 1)
        environment.introduce(Message("n", "", ""))
        return processes.await_child(pid)

    assert in_a_fork(act) == 7


def test_the_longest_id_of_sqs_has_room() -> None:
    assert encode(Message("x" * 100, "", "", attempt=1 << 31))
    assert message_variables.AREA >= 2 * 128
