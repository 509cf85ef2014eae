"""The scout's resolver: what it says is taken, and whatever it does instead, it ends."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.core.config import Config
from fleet.core.protocol import Plan
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_place import Keys, QueuePlace
from fleet.core.scout_protocol import Resolved
from fleet.scout import key_source
from fleet.scout.key_source import KeySource
from fleet.system import processes
from tests.support.eventually import eventually
from tests.support.processes import is_alive
from tests.support.queues import one_queue

URL = "http://127.0.0.1:1"
PLAN = Plan(Config(), one_queue(), 1, "eu-west-1", URL)
PLACE = QueuePlace("jobs", f"{URL}/", "eu-west-1", URL, is_own_server=True)
FOUND = b'["Resolved", [["jobs", "http://127.0.0.1:1/", "x"]], ["key", "secret"]]'


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def source() -> Iterator[KeySource]:
    source = KeySource(PLAN)
    yield source
    source.close()


def outcome(source: KeySource) -> Resolved:
    """What it says in the end. Raises QueueError."""
    found: list[Resolved] = []

    def take() -> bool:
        found.extend(filter(None, [source.take()]))
        return bool(found)

    eventually(take, what="the resolver's word")
    return found[0]


Say = Callable[..., None]


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Say:
    """Resolvers of the test's own: they run this program, whose channel is `end`."""

    def says(program: str) -> None:
        text = f"import os, sys, time; end = int(sys.argv[1]); os.read(end, 65536); {program}"

        def spawn(_module: str, arguments: list[str], fds: list[int], _mark: str) -> int:
            started = subprocess.Popen(
                [sys.executable, "-c", text, *arguments], pass_fds=fds, start_new_session=True
            )
            started.returncode = 0  # the source waits for it
            return started.pid

        monkeypatch.setattr(processes, "spawn_program", spawn)

    return says


def test_place_and_keys_are_found_out(source: KeySource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    source.start()
    assert source._pid
    assert outcome(source) == Resolved([PLACE], Keys("key", "secret"))
    assert source._pid == 0
    assert source.take() is None


def test_what_is_wrong_is_said_as_botocore_says_it(source: KeySource, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\nrole_arn = x\nsource_profile = none\n")
    source.start()
    with pytest.raises(QueueError, match='The source_profile "none" referenced in') as caught:
        outcome(source)
    assert caught.value.trouble is Trouble.USAGE
    assert not caught.value.answered


def test_one_that_takes_too_long_is_killed_with_its_credential_process(
    source: KeySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, told = tmp_path / "give-keys", tmp_path / "pid"
    script.write_text(f"#!/bin/sh\necho $$ >{told}.new; mv {told}.new {told}; exec sleep 1000\n")
    script.chmod(0o700)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {script}\n")
    source.start()
    late_at = source.wakes_at
    eventually(told.exists, what="the credential process")
    pids = [int(told.read_text()), source._pid]
    assert all(map(is_alive, pids))
    monkeypatch.setattr(key_source, "now", lambda: late_at)
    with pytest.raises(QueueError, match="they were not found within 60 s") as caught:
        source.take()
    assert caught.value.trouble is Trouble.SESSION
    eventually(lambda: not any(map(is_alive, pids)), what="the end of both")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("sys.exit(3)", "the process that looks them up has failed (exit 3)"),
        ("os.abort()", "failed (SIGABRT)"),
        ("os.write(end, b'rubbish'); time.sleep(1000)", "failed (it was killed)"),
        ("os.write(end, b'[\"Ready\", 1]'); time.sleep(1000)", "failed (it was killed)"),
        ("os.write(end, b'[\"Resolved\", 1, 2]'); time.sleep(1000)", "failed (it was killed)"),
        ('os.write(end, b\'["Unresolved", "BAD", ""]\'); time.sleep(1000)', "failed (it was"),
    ],
)
def test_one_that_says_nothing_of_use_has_failed(
    source: KeySource, says: Say, program: str, said: str
) -> None:
    says(program)
    source.start()
    pid = source._pid
    with pytest.raises(QueueError) as caught:
        outcome(source)
    assert caught.value.trouble is Trouble.SESSION
    assert str(caught.value).startswith("queue 'jobs': no AWS credentials: ")
    assert said in str(caught.value)
    assert not is_alive(pid)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_one_that_goes_on_after_its_word_is_killed(source: KeySource, says: Say) -> None:
    says(f"os.write(end, {FOUND!r}); time.sleep(1000)")
    source.start()
    pid = source._pid
    assert outcome(source).keys == Keys("key", "secret")
    assert not is_alive(pid)


def test_where_there_is_no_process_to_be_had(
    source: KeySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spawn(*_: object) -> int:
        raise OSError(errno.EAGAIN, "")

    monkeypatch.setattr(processes, "spawn_program", spawn)
    with pytest.raises(QueueError, match="no process to be had to look them up: Resource temp"):
        source.start()
    assert source._pid == 0


def test_keys_are_fetched_when_they_are_due(
    source: KeySource, says: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before the first time was asked for, and once at a time."""
    clock = [0.0]
    monkeypatch.setattr(key_source, "now", lambda: clock[0])
    says(f"os.write(end, {FOUND!r})")
    source.start_if_due()
    source.note_refusal("key")
    source.start_if_due()
    assert source._pid == 0
    source.start()
    outcome(source)
    source.note_refusal("another")
    clock[0] += 10.0
    source.start_if_due()
    assert source._pid == 0
    source.note_refusal("key")
    source.start_if_due()
    pid = source._pid
    source.start_if_due()
    assert source._pid == pid > 0
    outcome(source)
