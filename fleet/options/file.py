"""fleet.toml: options as the keys of a TOML file."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fleet.options.checks import SettingsError
from fleet.options.settings import Settings
from fleet.system import files

FILE = "fleet.toml"
LARGEST_FILE = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class OptionsFile:
    """What the file says, and its name. `ignored`: why it is not read, if it is not."""

    keys: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    ignored: str = ""


def read_file(given: str | None) -> OptionsFile:
    """The file that is given, or else fleet.toml of the current directory, if there is one.

    That one may be anybody's: it is ignored if others may have written it. Raises SettingsError.
    """
    path = Path(given or FILE)
    try:
        content = path.read_bytes() if given else files.read_trusted(path, LARGEST_FILE)
        keys = _parse(content.decode())
    except files.UntrustedFile as error:
        return OptionsFile(
            ignored=f"{FILE} in this directory is ignored: {error.strerror}; "
            f"--config {FILE} takes it all the same"
        )
    except FileNotFoundError:
        if given is None:
            return OptionsFile()
        raise SettingsError(f"--config: there is no file {given}") from None
    # Not UTF-8, not TOML, a number that is too long, brackets that are too deep.
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: {error}") from None
    _check_keys(keys, path)
    return OptionsFile(keys, str(path))


def _parse(text: str) -> dict[str, Any]:
    """Raises ValueError, RecursionError."""
    import tomllib  # here, for the master carries what it has imported

    return tomllib.loads(text)


def _check_keys(keys: dict[str, Any], path: Path) -> None:
    """Raises SettingsError for a key that is no option, with the nearest that is one."""
    known = [each.name for each in fields(Settings)]
    for key, value in keys.items():
        if key in known:
            continue
        if isinstance(value, dict):
            raise SettingsError(f"{path}: options stand at the top of the file, without [{key}]")
        import difflib  # as above

        close = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
        raise SettingsError(f"{path}: unknown key {key}{hint}")
