"""Where the value of each option comes from.

The command line counts before the environment, that before fleet.toml, that before the default.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from fleet.core import variables
from fleet.core.queue_names import is_url
from fleet.options.checks import check_value
from fleet.options.consistency import make_consistent
from fleet.options.file import FILE, OptionsFile, read_file
from fleet.options.settings import Settings


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and where each value came from.

    `ignored`: why the file of the current directory is not read. `endpoint`: where that file sends
    requests to SQS, credentials and bodies included.
    """

    settings: Settings
    origins: Mapping[str, str]
    ignored: str = ""
    endpoint: str = ""


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
    may_resize = False
    for each in fields(Settings):
        raw, origin = _choose(each, command_line, environment, file)
        if each.name == "workers":
            may_resize = raw == "auto"
        flag = f"--{each.name.replace('_', '-')}"
        check = each.metadata["check"]
        values[each.name] = None if raw is None else check_value(check, raw, flag, origin)
        origins[each.name] = origin
    make_consistent(values, origins, app, may_resize=may_resize)
    settings = Settings(**values)
    return LoadedSettings(settings, origins, file.ignored, _find_endpoint(settings, origins))


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


def _find_endpoint(chosen: Settings, origins: Mapping[str, str]) -> str:
    """Where the file of the current directory sends requests, and empty if it does not say that.

    Whoever starts fleet in that directory may not know what the file says.
    """
    if origins["endpoint_url"] == FILE:
        return chosen.endpoint_url or ""
    queue = chosen.queue or ""
    is_elsewhere = chosen.local or chosen.endpoint_url
    if origins["queue"] == FILE and is_url(queue) and not is_elsewhere:
        return queue
    return ""


def list_unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that is likely meant for fleet, and is nothing that it knows."""
    return variables.describe_unknown(environment, [each.name for each in fields(Settings)])
