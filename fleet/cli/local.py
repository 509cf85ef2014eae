"""`fleet local`, and the embedded server for a pool that uses it."""

import signal
import sys
from typing import Any

import typer

from fleet.cli.chosen import load_aloud
from fleet.cli.common import cli
from fleet.cli.failure import CommandFailed
from fleet.cli.options import with_options
from fleet.core.exit_codes import DONE, QUEUE_UNUSABLE, USAGE
from fleet.options.settings import Settings
from fleet.sqs.local_server import LocalError, LocalServer, LocalServerFailed, use
from fleet.system import host

START_TIMEOUT = 30.0  # seconds for the embedded server to answer


@cli.command(name="local")
@with_options("local_port", "log_level", "log_format")
def local_server(**given: Any) -> int:
    """Run the embedded SQS server until Ctrl-C.

    It stays a while longer if a pool still uses it.
    """
    chosen = load_aloud(given).settings
    ends = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    served = use_embedded_server(chosen)
    verb = "started" if served.started else "was there already"
    typer.echo(f"the embedded SQS server {verb}: {served.endpoint_url} (Ctrl-C ends it)")
    sys.stdout.flush()
    signal.sigwait(ends)
    return DONE


def use_embedded_server(chosen: Settings) -> LocalServer:
    """The embedded server, started if need be; it stays while the lock's descriptor is open in any
    process. Raises CommandFailed.
    """
    try:
        return use(
            chosen.local_port, host.state_directory(), host.runtime_directory(), START_TIMEOUT
        )
    except LocalServerFailed as error:
        raise CommandFailed(QUEUE_UNUSABLE, str(error)) from None
    except LocalError as error:
        raise CommandFailed(USAGE, str(error)) from None
    except OSError as error:
        text = f"the embedded server has no place for its state and its lock: {error}"
        raise CommandFailed(
            USAGE, f"{text}; XDG_STATE_HOME and XDG_RUNTIME_DIR name them"
        ) from None
