"""`fleet start`."""

import importlib.util
import os
import socket
from math import inf
from typing import Annotated, Any

import typer

from fleet.cli.base import LOCAL_KEY, LOCAL_REGION, Failure, cli, load, queue_of, with_options
from fleet.cli.serve import embedded
from fleet.core.code_names import malformed
from fleet.core.delivery.state import first
from fleet.core.exit_codes import DONE, ENDED_BADLY, KILLED, UNCONFIRMED, USAGE
from fleet.core.pool.config import Config
from fleet.core.protocol import Plan
from fleet.ipc import pool_socket
from fleet.ipc.pool_socket import Claim
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
        _plan(chosen, app, queue, served), _config(chosen), listener, ours, health, passed, others
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
        local_port=chosen.local_port if served else None,
        preload=chosen.preload,
        visibility=chosen.visibility_timeout,
        wait_time=chosen.wait_time,
        exit_timeout=chosen.exit_timeout,
        drain_timeout=chosen.drain_timeout,
        job_timeout=chosen.job_timeout,
        transformer=chosen.transformer,
        router=chosen.router,
        exit_handler=chosen.exit_handler,
        on_failure=chosen.on_failure,
        job_init=chosen.job_init,
        job_exit=chosen.job_exit,
        body=chosen.body,
        sns_topics=chosen.sns_topic,
        sns_verify=chosen.sns_verify,
        sns_max_age=chosen.sns_max_age,
        batch_size=chosen.batch_size,
        retry_delay=chosen.retry_delay,
        delete_failed=chosen.delete_failed,
        longest_stop=_config(chosen).longest_stop,
        dead_letter_directly=chosen.dead_letter == "direct",
        kill_on_lost_lease=chosen.on_lease_lost == "kill",
        start_timeout=chosen.start_timeout,
        sample_every=_sample_every(chosen),
        log_level=chosen.log_level,
        log_format=chosen.log_format,
    )


def _sample_every(chosen: Settings) -> float:
    """The depth interval; --until-empty needs samples more often than it waits."""
    return (
        min(chosen.depth_interval, chosen.empty_for / 2)
        if chosen.until_empty
        else chosen.depth_interval
    )


def _config(chosen: Settings) -> Config:
    return Config(
        workers=chosen.workers,
        wait_time=chosen.wait_time,
        drain_timeout=chosen.drain_timeout,
        exit_timeout=chosen.exit_timeout,
        job_timeout=inf if chosen.job_timeout is None else chosen.job_timeout,
        on_failure=chosen.on_failure is not None,
        boot_timeout=chosen.boot_timeout,
        first_lease=min(chosen.visibility_timeout, first(chosen.wait_time)),
        empty_for=chosen.empty_for if chosen.until_empty else None,
        max_seconds=inf if chosen.max_seconds is None else chosen.max_seconds,
        max_jobs=chosen.max_jobs,
        min_workers=chosen.min_workers,
        max_workers=chosen.max_workers,
        target_wait=chosen.target_wait,
        shrink_after=chosen.shrink_after,
        depth_interval=_sample_every(chosen),
        batch_size=chosen.batch_size,
    )
