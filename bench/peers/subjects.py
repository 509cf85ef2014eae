"""The peers, and fleet and the bare loops beside them, each with the settings of a careful user."""

import signal
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache, partial

from bench.harness import ROOT, Endpoint, Feed, Program
from bench.peers import environments
from bench.peers.redis import RedisFeed
from bench.subjects import BOTO3, SIGNED, Subject, fleet_program, full_name

WAIT = 10  # seconds of long poll, of all: fleet's and Celery's default
VISIBILITY = 30  # seconds, of all
TEXTS = 1000  # messages of a peer's own making, sent in rotation


def _environment(url: str, app: str) -> dict[str, str]:
    return {
        "PYTHONPATH": str(ROOT),
        "BENCH_APP": full_name(app),
        "BENCH_ENDPOINT": url,
        "BENCH_WAIT": str(WAIT),
        "BENCH_VISIBILITY": str(VISIBILITY),
        "dramatiq_worker_timeout": str(WAIT * 1000),
    }


def celery(url: str, workers: int, app: str) -> Program:
    """A worker with the prefork pool."""
    options = ["-c", str(workers), "-Q", "bench", "-l", "WARNING"]
    lean = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = ["-m", "celery", "-A", "bench.peers.celery_app", "worker", *options, *lean]
    return Program([environments.interpreter("celery"), *command], _environment(url, app), polls=1)


def dramatiq(url: str, workers: int, app: str) -> Program:
    """As many processes as workers, with one thread each."""
    command = ["-m", "dramatiq", "bench.peers.dramatiq_app", "-p", str(workers), "-t", "1"]
    python = environments.interpreter("dramatiq")
    return Program([python, *command], _environment(url, app), polls=workers)


def rq(url: str, workers: int, app: str) -> Program:
    """A pool of workers, each of which forks a process for a job."""
    worker = ["-w", "bench.peers.rq_app.PreloadedWorker"]
    options = ["-u", url, "-n", str(workers), "-l", "WARNING", *worker, "bench"]
    command = ["-m", "rq.cli", "worker-pool", *options]
    python = environments.interpreter("rq")
    return Program([python, *command], _environment(url, app), polls=workers)


@cache
def _texts(name: str) -> Sequence[str]:
    """What a peer's own client sends for jobs numbered from 0 on."""
    with Endpoint() as endpoint:
        command = [environments.interpreter(name), "-m", f"bench.peers.{name}_app", str(TEXTS)]
        login = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
        region = {"AWS_DEFAULT_REGION": "us-east-1"}
        environment = {**_environment(endpoint.url, "noop"), **login, **region}
        subprocess.run(command, env=environment, check=True)
        return [message["body"] for message in endpoint.messages()]


def _feed(name: str) -> AbstractContextManager[Feed]:
    return Endpoint(_texts(name))


FLEET = Subject(
    "fleet",
    partial(fleet_program, options=["--visibility-timeout", str(VISIBILITY)], wait=WAIT),
    signal.SIGTERM,
)
CELERY = Subject("Celery", celery, signal.SIGTERM, partial(_feed, "celery"))
DRAMATIQ = Subject("dramatiq", dramatiq, signal.SIGTERM, partial(_feed, "dramatiq"))
RQ = Subject("rq", rq, signal.SIGTERM, RedisFeed)

SYSTEMS = (FLEET, CELERY, DRAMATIQ, RQ)
SUBJECTS = {subject.name: subject for subject in (*SYSTEMS, SIGNED, BOTO3)}
