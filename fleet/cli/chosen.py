"""The options of a command as they count: its own, the environment's, the file's."""

import os
from typing import Any

from fleet.cli.failure import CommandFailed, complain
from fleet.core.exit_codes import USAGE
from fleet.options import sources
from fleet.options.checks import SettingsError
from fleet.options.file import FILE
from fleet.options.queues import NO_QUEUE
from fleet.options.sources import LoadedSettings

LOCAL_REGION, LOCAL_KEY = "us-east-1", "fleet"  # what the embedded server is spoken to with


def load(given: dict[str, Any], app: str = "") -> LoadedSettings:
    """The settings: a command's options, the environment, the file. Raises CommandFailed."""
    config = given.pop("config", None)
    try:
        return sources.load(given, os.environ, config, app)
    except SettingsError as error:
        raise CommandFailed(USAGE, str(error)) from None


def load_aloud(given: dict[str, Any], app: str = "") -> LoadedSettings:
    """The same; what is to be known of the file goes to standard error, for there is no log."""
    loaded = load(given, app)
    if loaded.ignored:
        complain(loaded.ignored)
    if loaded.endpoint:
        complain(f"{FILE} in this directory says where requests go: {loaded.endpoint}")
    return loaded


def queue_of(loaded: LoadedSettings) -> str:
    """The queue, for a command that is about one. Raises CommandFailed."""
    if not loaded.tables:
        raise CommandFailed(USAGE, NO_QUEUE)
    if len(loaded.tables) > 1:
        names = ", ".join(each.name for each in loaded.tables)
        raise CommandFailed(USAGE, f"several queues are given ({names}); name one with --queue")
    return loaded.tables[0].queue
