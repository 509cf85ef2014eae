"""The options of a command as typer knows them, made of the one list (options/settings.py)."""

import inspect
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Annotated, Any

import typer

from fleet.options.settings import Settings

Command = Callable[..., int]


def with_options(*names: str) -> Callable[[Command], Command]:
    """Give a command these options (all without names) and --config, as keyword arguments.

    typer reads a command's parameters from its signature, so that is what is changed.
    """
    added = [_parameter(each) for each in fields(Settings) if not names or each.name in names]
    added.append(_config_parameter())

    def give(command: Command) -> Command:
        own = inspect.signature(command)
        kept = [
            each
            for each in own.parameters.values()
            if each.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        signature = own.replace(parameters=[*kept, *added])
        command.__signature__ = signature  # type: ignore[attr-defined]
        return command

    return give


def _parameter(option: Field[Any]) -> inspect.Parameter:
    """One field of Settings as an option of typer's; None means that it was not given."""
    about, is_flag = option.metadata, option.type is bool
    kind: Any = bool if is_flag else list[str] if about["many"] else str
    name = option.name.replace("_", "-")
    flags = [f"--{name}/--no-{name}" if is_flag and option.default else f"--{name}"]
    if about["short"]:
        flags.append(about["short"])
    default = _default(option)
    declared = typer.Option(
        *flags,
        help=about["help"] + (f" [{default}]" if default else ""),
        show_default=False,
        metavar=None if is_flag else about["check"].metavar,
    )
    return _keyword(option.name, Annotated[kind | None, declared])


def _default(option: Field[Any]) -> str:
    """The default as the help tells it; empty if there is nothing to tell."""
    if option.metadata["shown"]:
        return str(option.metadata["shown"])
    if option.type is bool:
        return "on" if option.default else "off"
    if isinstance(option.default, float):
        return f"{option.default:g}"
    return "" if option.default is None else str(option.default)


def _config_parameter() -> inspect.Parameter:
    declared = typer.Option(
        "--config",
        help="Options as a TOML file. [fleet.toml if there]",
        show_default=False,
        metavar="FILE",
    )
    return _keyword("config", Annotated[str | None, declared])


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )
