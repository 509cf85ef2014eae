"""`fleet start`."""

import importlib.util
import os
import socket
from typing import Annotated, Any

import typer

from fleet.cli.base import LOCAL_KEY, LOCAL_REGION, Failure, cli, load, queue_of, with_options
from fleet.cli.serve import embedded
from fleet.core.code_names import malformed
from fleet.core.exit_codes import DONE, ENDED_BADLY, KILLED, UNCONFIRMED, USAGE
from fleet.core.protocol import Plan
from fleet.ipc import pool_socket
from fleet.ipc.pool_socket import Claim
from fleet.options.pool_config import config_of
from fleet.options.settings import FILE, Settings, body_trouble, environment, warnings
from fleet.sqs.local_server import LocalServer
from fleet.system import log, processes, titles


@cli.command()
@with_options()
def start(
    app: Annotated[
        str,
        typer.Argument(help="The job: module:attribute, or path/file.py:attribute.", metavar="APP"),
    ],
    **given: Any,
) -> int:
    """Run a pool until it is told to stop. Exit status: README, "Exit status"."""
    loaded = load(given, app)
    chosen = loaded.settings
    log.configure(chosen.log_level, chosen.log_format)
    if loaded.ignored:
        log.emit("settings.warned", why=loaded.ignored)
    if trouble := malformed(app):
        raise Failure(USAGE, trouble)
    queue = queue_of(chosen)
    if trouble := body_trouble(chosen):
        raise Failure(USAGE, trouble)
    if (
        chosen.body == "sns"
        and chosen.sns_verify
        and importlib.util.find_spec("cryptography") is None
    ):
        raise Failure(
            USAGE,
            "--body sns verifies signatures: pip install 'fleet-sqs[sns]', or trust the queue with --no-sns-verify",
        )
    if not processes.LINUX:
        raise Failure(
            USAGE,
            "fleet start needs Linux: it supervises with pidfds, subreapers and parent-death signals",
        )
    if loaded.endpoint:
        log.emit("settings.endpoint", file=FILE, endpoint=loaded.endpoint)
    for why in warnings(environment()):
        log.emit("settings.warned", why=why)
    ours, listener = _found_by(chosen)
    served = embedded(chosen) if chosen.local else None
    titles.show(f"fleet: master {chosen.name}")
    from fleet.master.health_file import HealthFile
    from fleet.master.loop import Master

    passed, others = ((served.lock_fd,), (served.lock,)) if served else ((), ())
    health = HealthFile(chosen.health_file)
    end, trace = Master(
        _plan(chosen, app, queue, served), listener, ours, health, passed, others
    ).run()
    if end.code in (DONE, ENDED_BADLY, KILLED, UNCONFIRMED):
        return end.code
    raise Failure(end.code, end.why, trace)


def _found_by(chosen: Settings) -> tuple[Claim, socket.socket]:
    """The pool's name is ours until this process ends, and its clients find us."""
    name = chosen.name
    try:
        ours = pool_socket.claim(name, chosen.control)
    except pool_socket.Taken as taken:
        raise Failure(
            USAGE,
            f"a pool named {name!r} already runs here (pid {taken}); give this one another --name",
        ) from None
    except OSError as error:
        raise Failure(
            USAGE,
            f"the lock of pool {name!r} cannot be taken: {error}; XDG_RUNTIME_DIR names its place",
        ) from None
    try:
        return pool_socket.listen(ours)
    except pool_socket.NotOurs as error:
        raise Failure(USAGE, f"{error}; give this pool another --control") from None
    except OSError as error:
        raise Failure(
            USAGE, f"the control socket {ours.control} cannot be had: {error.strerror or error}"
        ) from None


def _plan(chosen: Settings, app: str, queue: str, served: LocalServer | None) -> Plan:
    """What every process of the pool is told."""
    config = config_of(chosen)
    if served is None:
        return Plan(config, app, queue, os.getpid(), chosen.region, chosen.endpoint_url)
    return Plan(
        config,
        app,
        queue,
        os.getpid(),
        LOCAL_REGION,
        served.endpoint_url,
        LOCAL_KEY,
        LOCAL_KEY,
        chosen.local_port,
    )
