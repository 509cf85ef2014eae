"""The apps of a pool's queues, imported by one template."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.exit_codes import APP_UNUSABLE
from fleet.core.protocol import Failed, Plan, Word
from fleet.core.queue_config import QueueConfig
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.system import descriptors
from fleet.system.descriptors import StandardDescriptors
from fleet.template.importing import ImportedApp, Importer
from tests.support.forks import in_a_fork

HIGH = """
def job(body): return "high's"
def clean(body): return "cleans"
"""
LOW = "def job(body): return 'low'"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the apps are."""
    (tmp_path / "of_high.py").write_text(HIGH)
    (tmp_path / "of_low.py").write_text(LOW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(*queues: QueueConfig, preload: bool = True) -> tuple[ImportedApp | None, list[Word]]:
    """As the template does, in a fork of the test's process; and what the master hears."""
    inherited = descriptors.open_descriptors()
    ours, theirs = channel.make_pair()
    plan = Plan(replace(queues[0].config, preload=preload), [*queues], os.getppid())
    app = Importer(plan, ours, inherited, StandardDescriptors()).load()
    return app, Channel(theirs).receive()


@pytest.mark.usefixtures("directory")
def test_each_queue_has_the_code_that_its_options_name() -> None:
    queues = [
        QueueConfig("high", "of_high:job", Config(exit_handler="of_high:clean")),
        QueueConfig("low", "of_low:job", Config()),
        QueueConfig("more", "of_high:job", Config()),
    ]

    def act() -> list[Any]:
        app, heard = load(*queues)
        assert app is not None
        assert app.loaded is not None
        said = [each.job("") for each in app.loaded]
        return [said, [each.exit_handler is not None for each in app.loaded], len(heard)]

    assert in_a_fork(act) == [["high's", "low", "high's"], [True, False, False], 0]


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize("preload", [True, False])
def test_which_queues_app_cannot_be_used_is_told(preload: bool) -> None:
    """Of the only queue it is not said: the app is named."""

    def act() -> list[Any]:
        good = QueueConfig("high", "of_high:job", Config())
        bad = QueueConfig("low", "of_low:no_job", Config())
        told = []
        for queues in ([good, bad], [bad]):
            app, heard = load(*queues, preload=preload)
            told += [
                app is None,
                *((each.code, each.why) for each in heard if type(each) is Failed),
            ]
        return told

    first, (code, why), second, (same, alone) = in_a_fork(act)
    assert (first, second) == (True, True)
    assert code == same == APP_UNUSABLE
    assert why == f"queue low: {alone}"
    assert "of_low has no no_job" in alone


@pytest.mark.usefixtures("directory")
def test_without_a_preload_nothing_is_loaded_here() -> None:
    queues = [
        QueueConfig("high", "of_high:job", Config()),
        QueueConfig("low", "of_low:job", Config()),
    ]

    def act() -> list[Any]:
        app, heard = load(*queues, preload=False)
        assert app is not None
        return [app.loaded, "of_low" in sys.modules, len(heard)]

    assert in_a_fork(act) == [None, False, 0]
