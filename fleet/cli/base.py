"""What all commands share: the typer application, options made from settings.py, how a command
fails.
"""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any

import typer

from fleet.core.exit_codes import USAGE
from fleet.core.plain_text import one_line
from fleet.options import settings
from fleet.options.settings import Loaded, Settings, SettingsError
from fleet.system import stderr

NO = 1
LOCAL_REGION, LOCAL_KEY = "us-east-1", "fleet"  # what the embedded server is spoken to with
LOCAL_TIMEOUT = 30.0  # seconds for it to answer


class Failure(Exception):
    """The command ends with `code` after one line on standard error."""

    def __init__(self, code: int, text: str, trace: str = "") -> None:
        super().__init__(text)
        self.code, self.trace = code, trace


cli = typer.Typer(
    name="fleet",
    help="A pre-forking batch server for Amazon SQS: one message, one process.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _option(each: Any) -> Any:
    """One field of Settings as an option of typer's; None means that it was not given."""
    name = each.name.replace("_", "-")
    is_flag = each.type is bool
    flags = [f"--{name}/--no-{name}" if is_flag and each.default else f"--{name}"]
    short = each.metadata["short"]
    default = each.metadata["shown"] or (
        "on" if is_flag and each.default else "off" if is_flag else each.default
    )
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    text = each.metadata["help"] + (f" [{shown}]" if default is not None else "")
    kind: Any = bool if is_flag else list[str] if each.metadata["many"] else str
    metavar = None if is_flag else each.metadata["check"].metavar
    option = typer.Option(
        *flags, *([short] if short else []), help=text, show_default=False, metavar=metavar
    )
    return inspect.Parameter(
        each.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def with_options(*names: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command these options (all without names) and --config, as keyword arguments."""

    def give(command: Callable[..., int]) -> Callable[..., int]:
        own = inspect.signature(command)
        given = [_option(each) for each in fields(Settings) if not names or each.name in names]
        config = typer.Option(
            "--config",
            help="Options as a TOML file. [fleet.toml if there]",
            show_default=False,
            metavar="FILE",
        )
        given.append(
            inspect.Parameter(
                "config",
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[str | None, config],
            )
        )
        kept = [
            each
            for each in own.parameters.values()
            if each.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        command.__signature__ = own.replace(parameters=[*kept, *given])  # type: ignore[attr-defined]
        return command

    return give


def load(given: dict[str, Any], app: str = "") -> Loaded:
    """The settings out of a command's options, the environment and the file. Raises Failure."""
    config = given.pop("config", None)
    try:
        return settings.load(given, settings.environment(), config, app)
    except SettingsError as error:
        raise Failure(USAGE, str(error)) from None


def load_aloud(given: dict[str, Any], app: str = "") -> Loaded:
    """As `load`, for a command without a log: what is to be known of the file goes to standard
    error.
    """
    loaded = load(given, app)
    if loaded.ignored:
        complain(loaded.ignored)
    if loaded.endpoint:
        complain(f"{settings.FILE} in this directory says where requests go: {loaded.endpoint}")
    return loaded


def complain(text: str) -> None:
    """One line on standard error."""
    stderr.complain(f"fleet: {one_line(text)}\n")


def say(text: str) -> None:
    """One line on standard output."""
    typer.echo(one_line(text))


def queue_of(chosen: Settings) -> str:
    """The queue, which every command that has the option needs. Raises Failure."""
    if chosen.queue is None:
        raise Failure(USAGE, "no queue given; use --queue NAME, FLEET_QUEUE or queue in fleet.toml")
    return chosen.queue
