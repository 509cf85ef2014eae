"""What `fleet start` does: a pool is checked, gets its name, and runs in this process.

The process is the master from then on: nothing is imported here that it does not need.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fleet.cli.chosen import LOCAL_KEY, LOCAL_REGION, load
from fleet.cli.failure import CommandFailed
from fleet.core.exit_codes import DONE, ENDED_BADLY, KILLED, UNCONFIRMED, USAGE
from fleet.core.protocol import Plan
from fleet.core.queue_config import QueueConfig
from fleet.ipc import channel, pool_socket
from fleet.ipc.pool_socket import Claim
from fleet.options.checks import SettingsError
from fleet.options.file import FILE
from fleet.options.pool_config import config_of
from fleet.options.queues import NO_APP
from fleet.options.settings import Settings
from fleet.options.sources import LoadedSettings, list_unknown_variables
from fleet.system import log, processes, titles

if TYPE_CHECKING:
    from fleet.sqs.local_server import LocalServer

TOO_LONG = (
    "the options are too long to be told to the pool's processes: give fewer --sns-topic or queues"
)
ORDERLY = (DONE, ENDED_BADLY, KILLED, UNCONFIRMED)  # the log has said by then what there is to say


def run(app: str, given: dict[str, Any]) -> int:
    """Run a pool until it is told to stop. Returns the exit status. Raises CommandFailed.

    `given`: the options of the command line.
    """
    loaded = load(given, app)
    chosen = loaded.settings
    several = len(loaded.tables) > 1
    log.configure(chosen.log_level, chosen.log_format, names_queue=several)
    if loaded.ignored:
        log.emit("settings.warned", why=loaded.ignored)
    queues = _check_start(app, loaded)
    for event, fields in _warnings(loaded):
        log.emit(event, **fields)
    claim, listener = _claim_name(chosen)
    served = _start_local_server(chosen)
    titles.show(f"fleet: master {chosen.name}")
    from fleet.master.health_file import HealthFile
    from fleet.master.loop import Master

    passed_fds, others = ((served.lock_fd,), (served.lock,)) if served else ((), ())
    plan, health_file = _plan(chosen, queues, served), HealthFile(chosen.health_file)
    end, trace = Master(plan, listener, claim, health_file, passed_fds, others).run()
    if end.code in ORDERLY:
        return end.code
    raise CommandFailed(end.code, end.why, trace)


def _check_start(app: str, loaded: LoadedSettings) -> list[QueueConfig]:
    """The queues of a pool that can be started like this on this machine. Raises CommandFailed."""
    try:
        queues = loaded.make_queues(app)
    except SettingsError as error:
        page = f"fleet: {error} (fleet start --help)\n" if str(error) == NO_APP else ""
        raise CommandFailed(USAGE, str(error), page=page) from None
    if any(each.config.body == "sns" and each.config.sns_verify for each in queues):
        _check_cryptography()
    if not processes.LINUX:
        raise CommandFailed(
            USAGE,
            "fleet start needs Linux: "
            "it supervises with pidfds, subreapers and parent-death signals",
        )
    return queues


def _check_cryptography() -> None:
    from importlib.util import find_spec

    if find_spec("cryptography") is None:
        raise CommandFailed(
            USAGE,
            "--body sns verifies signatures: pip install 'fleet-sqs[sns]', "
            "or trust the queue with --no-sns-verify",
        )


def _warnings(loaded: LoadedSettings) -> Iterator[tuple[str, dict[str, str]]]:
    """What may not be meant, as events of the log."""
    if loaded.endpoint:
        yield "settings.endpoint", {"file": FILE, "endpoint": loaded.endpoint}
    for why in list_unknown_variables(os.environ):
        yield "settings.warned", {"why": why}


def _claim_name(chosen: Settings) -> tuple[Claim, socket.socket]:
    """Make the pool's name ours until this process ends, and listen on its control socket.

    Raises CommandFailed.
    """
    name = chosen.name
    try:
        claim = pool_socket.claim(name, chosen.control)
    except pool_socket.NameTaken as taken:
        raise CommandFailed(
            USAGE,
            f"a pool named {name!r} already runs here (pid {taken}); give this one another --name",
        ) from None
    except OSError as error:
        raise CommandFailed(
            USAGE,
            f"the lock of pool {name!r} cannot be taken: {error}; XDG_RUNTIME_DIR names its place",
        ) from None
    try:
        return pool_socket.listen(claim)
    except pool_socket.NotOurs as error:
        raise CommandFailed(USAGE, f"{error}; give this pool another --control") from None
    except OSError as error:
        raise CommandFailed(
            USAGE, f"the control socket {claim.control} cannot be had: {error.strerror or error}"
        ) from None


def _start_local_server(chosen: Settings) -> "LocalServer | None":
    """The embedded server, if the pool uses it. Raises CommandFailed."""
    if not chosen.local:
        return None
    from fleet.cli.local import use_embedded_server  # it imports what few pools need

    return use_embedded_server(chosen)


def _plan(chosen: Settings, given: Sequence[QueueConfig], served: "LocalServer | None") -> Plan:
    """What every process of the pool is told. Raises CommandFailed."""
    config, pid = config_of(chosen), os.getpid()
    # What is the pool's own is one record, in each process.
    queues = [replace(each, config=config) if each.config == config else each for each in given]
    if served is None:
        plan = Plan(config, queues, pid, chosen.region, chosen.endpoint_url)
    else:
        own, url = (LOCAL_KEY, LOCAL_KEY, chosen.local_port), served.endpoint_url
        plan = Plan(config, queues, pid, LOCAL_REGION, url, *own)
    if not channel.fits(plan):
        raise CommandFailed(USAGE, TOO_LONG)
    return plan
