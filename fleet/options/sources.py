"""Where the value of each option comes from.

The command line counts before the environment, that before fleet.toml, that before the default.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from fleet.core import variables
from fleet.core.queue_config import QueueConfig
from fleet.core.queue_names import is_url
from fleet.options import queues
from fleet.options.checks import check_value
from fleet.options.consistency import make_consistent
from fleet.options.file import FILE, OptionsFile, read_file
from fleet.options.queues import Given, QueueTable
from fleet.options.settings import Settings


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and where each value came from.

    `tables`: the queues as they are given, perhaps none; of several the settings have the first.
    `ignored`: why the file of the current directory is not read. `endpoint`: where that file sends
    requests to SQS, credentials and bodies included.
    """

    settings: Settings
    origins: Mapping[str, str]
    given: Given
    tables: tuple[QueueTable, ...] = ()
    ignored: str = ""
    endpoint: str = ""

    def make_queues(self, app: str) -> list[QueueConfig]:
        """The queues of a pool that is started with that APP. Raises SettingsError."""
        return queues.queues_of(self.given, self.tables, app)


def load(
    command_line: Mapping[str, Any],
    environment: Mapping[str, str],
    config: str | None,
    app: str = "",
) -> LoadedSettings:
    """Choose, check and complete every value. Raises SettingsError.

    `command_line` holds None for what was not given. `config`: the file, if --config names one.
    `app`: for the pool's name.
    """
    file = read_file(config or environment.get("FLEET_CONFIG"))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    tables: tuple[QueueTable, ...] = ()
    endpoint = ""
    may_resize = False
    for each in fields(Settings):
        raw, origin = _choose(each, command_line, environment, file)
        origins[each.name] = origin
        if each.name == "queue":
            tables, endpoint = _choose_queues(raw, origin, file)
            values["queue"] = tables[0].queue if tables else None
            continue
        if each.name == "workers":
            may_resize = raw == "auto"
        flag = f"--{each.name.replace('_', '-')}"
        check = each.metadata["check"]
        values[each.name] = None if raw is None else check_value(check, raw, flag, origin)
    given = Given({**values}, {**origins}, may_resize)
    if tables and values["name"] is None:
        values["name"] = queues.pool_name(tables, app)
    make_consistent(values, origins, app, may_resize=may_resize)
    settings = Settings(**values)
    if origins["endpoint_url"] == FILE:
        endpoint = settings.endpoint_url or ""
    elif settings.local or settings.endpoint_url:
        endpoint = ""
    return LoadedSettings(settings, origins, given, tables, file.ignored, endpoint)


def _choose(
    option: Field[Any],
    command_line: Mapping[str, Any],
    environment: Mapping[str, str],
    file: OptionsFile,
) -> tuple[Any, str]:
    """The value that counts, unchecked, and where it came from."""
    given = command_line.get(option.name)
    if given is not None:
        return given, "command line"
    variable = f"{variables.PREFIX}{option.name.upper()}"
    text = environment.get(variable)
    if text and not variables.is_kubernetes(variable, text):
        return text, f"environment, {variable}"
    if option.name in file.keys:
        return file.keys[option.name], file.name
    return option.default, "default"


def _choose_queues(raw: Any, origin: str, file: OptionsFile) -> tuple[tuple[QueueTable, ...], str]:
    """The queues, and the URLs that the file of the current directory has for them.

    Whoever starts fleet in that directory may not know what the file says. Raises SettingsError.
    """
    if raw is None:
        return (), ""
    said = queues.read_queues(raw, origin)
    if origin == file.name:
        chosen, here = queues.choose_queues((), said), set()
    else:
        tables = queues.read_tables(file.keys.get("queue"), file.name)
        chosen, here = queues.choose_queues(said, tables), {each.queue for each in said}
    urls = [each.queue for each in chosen if is_url(each.queue) and each.queue not in here]
    return chosen, ", ".join(urls) if file.name == FILE else ""


def list_unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that is likely meant for fleet, and is nothing that it knows."""
    return variables.describe_unknown(environment, [each.name for each in fields(Settings)])
