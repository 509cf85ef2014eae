"""argv → Settings → command. The only place that ends the program, with the contract's exit status."""

import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from itertools import islice
from typing import Annotated, Any, NoReturn

import setproctitle
import typer

from fleet import app as apps
from fleet import settings as options
from fleet.core.books import Config
from fleet.core.messages import Plan
from fleet.core.queue import QueueError, Trouble
from fleet.settings import Loaded, Settings, SettingsError
from fleet.system import host, local, log, processes
from fleet.version import VERSION

DONE, FAULT, USAGE, QUEUE_UNUSABLE = 0, 1, 2, 5
LOCAL_REGION, LOCAL_KEY = "us-east-1", "fleet"
LOCAL_TIMEOUT = 30.0  # seconds for the embedded server to answer
BATCH = 10  # messages a request


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
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> NoReturn:
    """The console script."""
    os.environ.setdefault("SPT_NOENV", "1")  # setproctitle: leave /proc/PID/environ alone
    try:
        code = cli(standalone_mode=False)
    except Failure as failure:
        sys.stderr.write(f"{failure.trace}fleet: {log.printable(str(failure))}\n")
        code = failure.code
    except typer.TyperException as error:
        sys.stderr.write(f"fleet: {error.format_message()} (fleet --help)\n")
        code = USAGE
    except (typer.Abort, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = DONE
    sys.exit(code or 0)


# Options: all of them come from settings.py.


def _option(each: Any) -> Any:
    """One field of Settings as an option of typer's; None means that it was not given."""
    name = each.name.replace("_", "-")
    is_flag = each.type is bool
    flags = [f"--{name}/--no-{name}" if is_flag and each.default else f"--{name}"]
    short = each.metadata["short"]
    default = each.metadata["shown"] or ("on" if is_flag and each.default else "off" if is_flag else each.default)
    shown = f"{default:g}" if isinstance(default, float) else str(default) if default is not None else False
    kind: Any = bool if is_flag else str
    option = typer.Option(*flags, *([short] if short else []), help=each.metadata["help"], show_default=shown)
    parameter = inspect.Parameter(
        each.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )
    return parameter


def _with_options(*names: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command these options (all without names) and --config, as keyword arguments."""

    def give(command: Callable[..., int]) -> Callable[..., int]:
        own = inspect.signature(command)
        given = [_option(each) for each in fields(Settings) if not names or each.name in names]
        config = typer.Option("--config", help="Options as a TOML file.", show_default="fleet.toml if there")
        given.append(
            inspect.Parameter(
                "config",
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[str | None, config],
            )
        )
        kept = [each for each in own.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        command.__signature__ = own.replace(parameters=[*kept, *given])  # type: ignore[attr-defined]
        return command

    return give


def _load(given: dict[str, Any], app: str = "") -> Loaded:
    config = given.pop("config", None)
    try:
        return options.load(given, options.environment(), config, app)
    except SettingsError as error:
        raise Failure(USAGE, str(error)) from None


# Commands.


@cli.callback(invoke_without_command=True)
def _fleet(
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
) -> int:
    if version:
        typer.echo(f"fleet {VERSION}")
        raise typer.Exit(DONE)
    return DONE


@cli.command()
@_with_options()
def start(app: Annotated[str, typer.Argument(help="The job: module:attribute.", metavar="APP")], **given: Any) -> int:
    """Run a pool until it is told to stop. Exit status: README, "Exit status"."""
    loaded = _load(given, app)
    chosen = loaded.settings
    if trouble := apps.malformed(app):
        raise Failure(USAGE, trouble)
    queue = _queue(chosen)
    if not processes.LINUX:
        raise Failure(USAGE, "fleet start needs Linux: it supervises with pidfds, subreapers and parent-death signals")
    log.configure(chosen.log_level, chosen.log_format)
    _lock(chosen.name)
    served = _served(chosen)
    setproctitle.setproctitle(f"fleet: master {chosen.name}")
    from fleet.master import run_pool

    end, trace = run_pool(_plan(chosen, app, queue, served), _config(chosen), (served.lock_fd,) if served else ())
    if end.code in (DONE, 6, 7):
        return end.code
    raise Failure(end.code, end.why, trace)


def _queue(chosen: Settings) -> str:
    if chosen.queue is None:
        raise Failure(USAGE, "no queue given; use --queue NAME, FLEET_QUEUE or queue in fleet.toml")
    return chosen.queue


def _lock(name: str) -> None:
    """The pool's name is ours until this process ends."""
    try:
        host.lock(name)
    except host.Taken as taken:
        raise Failure(
            USAGE, f"a pool named {name!r} already runs here (pid {taken}); give this one another --name"
        ) from None
    except OSError as error:
        raise Failure(USAGE, f"the lock of pool {name!r} cannot be taken: {error}") from None


def _served(chosen: Settings) -> local.LocalServer | None:
    """The embedded server, if --local asks for it; it stays while the descriptor is open in any process."""
    if not chosen.local:
        return None
    try:
        return local.use(chosen.local_port, host.state_directory(), host.runtime_directory(), LOCAL_TIMEOUT)
    except local.LocalServerFailed as error:
        raise Failure(QUEUE_UNUSABLE, str(error)) from None
    except (local.LocalError, OSError) as error:
        raise Failure(USAGE, str(error)) from None


def _plan(chosen: Settings, app: str, queue: str, served: local.LocalServer | None) -> Plan:
    """What the pool's processes need to know of the settings."""
    return Plan(
        app=app,
        name=chosen.name,
        queue=queue,
        master=os.getpid(),
        region=LOCAL_REGION if served else chosen.region,
        endpoint_url=served.endpoint_url if served else chosen.endpoint_url,
        access_key=LOCAL_KEY if served else None,
        secret_key=LOCAL_KEY if served else None,
        make_queue=served is not None,
        preload=chosen.preload,
        visibility=chosen.visibility_timeout,
        wait_time=chosen.wait_time,
        exit_timeout=chosen.exit_timeout,
        drain_timeout=chosen.drain_timeout,
        start_timeout=chosen.start_timeout,
        sample_every=min(chosen.depth_interval, chosen.empty_for / 2) if chosen.until_empty else chosen.depth_interval,
        log_level=chosen.log_level,
        log_format=chosen.log_format,
    )


def _config(chosen: Settings) -> Config:
    return Config(
        workers=chosen.workers,
        wait_time=chosen.wait_time,
        drain_timeout=chosen.drain_timeout,
        exit_timeout=chosen.exit_timeout,
        boot_timeout=chosen.boot_timeout,
        empty_for=chosen.empty_for if chosen.until_empty else None,
    )


@cli.command()
@_with_options("queue", "local", "local_port", "endpoint_url", "region")
def send(
    bodies: Annotated[
        list[str] | None,
        typer.Argument(help="One message each; without: lines of standard input.", metavar="[BODY]..."),
    ] = None,
    **given: Any,
) -> int:
    """Send messages to a queue and say how many."""
    from fleet.system import sqs

    chosen = _load(given).settings
    queue = _queue(chosen)
    address = sqs.Address(queue, chosen.region, chosen.endpoint_url)
    sent = 0
    try:
        if chosen.local:
            address = sqs.Address(queue, LOCAL_REGION, _answering(chosen.local_port), LOCAL_KEY, LOCAL_KEY)
            sqs.make_with_dead_letter_queue(address)
        target = sqs.SqsQueue(sqs.Sessions(address))
        for batch in _batches(bodies or (line.rstrip("\n") for line in sys.stdin)):
            sent += target.send(batch)
    except QueueError as error:
        code = USAGE if error.trouble is Trouble.USAGE else QUEUE_UNUSABLE
        raise Failure(code, f"{error}" + (f"; {sent} sent before that" if sent else "")) from None
    typer.echo(f"{sent} sent to {address.name}")
    return DONE


def _answering(port: int) -> str:
    """The embedded server's URL. Unlike `start`, `send` does not start one: it would leave at once again."""
    try:
        url = local.answering(port)
    except local.LocalError as error:
        raise Failure(USAGE, str(error)) from None
    if url is None:
        raise Failure(QUEUE_UNUSABLE, f"no SQS server answers on 127.0.0.1:{port}; run fleet local in another terminal")
    return url


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(line for line in lines if line)
    while batch := list(islice(rest, BATCH)):
        yield batch


@cli.command(name="local")
@_with_options("local_port", "log_level", "log_format")
def local_server(**given: Any) -> int:
    """Run the embedded SQS server until Ctrl-C; it stays a while longer if a pool still uses it."""
    chosen = _load(given).settings
    waited_for = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    try:
        served = local.use(chosen.local_port, host.state_directory(), host.runtime_directory(), LOCAL_TIMEOUT)
    except local.LocalServerFailed as error:
        raise Failure(QUEUE_UNUSABLE, str(error)) from None
    except (local.LocalError, OSError) as error:
        raise Failure(USAGE, str(error)) from None
    verb = "started" if served.started else "was there already"
    typer.echo(f"the embedded SQS server {verb}: {served.endpoint_url} (Ctrl-C ends it)")
    sys.stdout.flush()
    signal.sigwait(waited_for)
    return DONE


@cli.command()
@_with_options()
def config(
    app: Annotated[str, typer.Argument(help="The job, for the pool's name.", metavar="[APP]")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One object.")] = False,
    **given: Any,
) -> int:
    """Print every option's value and where it came from."""
    loaded = _load(given, app)
    rows = [(each.name, getattr(loaded.settings, each.name), loaded.origins[each.name]) for each in fields(Settings)]
    if as_json:
        typer.echo(json.dumps({name: {"value": value, "origin": origin} for name, value, origin in rows}, indent=2))
        return DONE
    width = max(len(name) for name, _, _ in rows)
    for name, value, origin in rows:
        typer.echo(f"{name:<{width}}  {'' if value is None else value!s:<24}  {origin}")
    return DONE
