"""The keys that a pool signs with: fetched once for all its processes, and renewed in time.

The metadata service hands them out, and the proxy refuses those that are over.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.metadata import MetadataService, metadata_service
from tests.support.pool import Expected, Home, Launch, Pool, StartPool
from tests.support.processes import is_alive
from tests.support.proxy import FaultProxy
from tests.support.servers import LiveQueue, free_port

A_FETCH = 3  # requests: a token, the role's name, the role's keys
KILLED = Expected(kills=frozenset({"helper.died"}))


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with metadata_service() as service:
        yield service


def resolvers(pool: Pool) -> list[int]:
    return [process.pid for process in pool.titled("fleet: resolver")]


def wait_resolver(pool: Pool) -> int:
    eventually(lambda: resolvers(pool), what=lambda: f"a resolver:\n{pool.log()}")
    return resolvers(pool)[0]


def used(proxy: FaultProxy, action: str) -> list[str]:
    """The keys of the calls that were answered well."""
    return [each.access_key for each in proxy.journal(action) if each.status == 200]


def test_one_fetch_serves_the_whole_pool_and_so_does_one_renewal(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, service: MetadataService
) -> None:
    pool = start(workers=64, endpoint=proxy.endpoint, **service.environment)
    pool.wait_ready(64)
    queue.send(*(f"one {n}" for n in range(64)))
    pool.wait_event("message.deleted", count=64)
    assert len(service.asked) <= A_FETCH
    proxy.refuse_key("KEY1")
    service.number = 2
    pool.wait_event("credentials.renewed", access_key="KEY2")
    queue.send(*(f"two {n}" for n in range(64)))
    pool.wait_event("message.deleted", count=128)
    assert len(service.asked) <= 2 * A_FETCH
    assert set(used(proxy, "DeleteMessage")) == {"KEY1", "KEY2"}


def test_a_pool_behind_a_proxy_is_handed_its_keys_too(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, service: MetadataService
) -> None:
    """botocore's client, which could ask for keys itself, does not, and signs with new ones."""
    there = {"http_proxy": proxy.endpoint, "no_proxy": "127.0.0.1"}
    pool = start(workers=2, endpoint="http://sqs.example", **service.environment, **there)
    pool.wait_ready(2)
    assert len(service.asked) <= A_FETCH
    proxy.refuse_key("KEY1")
    service.number = 2
    pool.wait_event("credentials.renewed", access_key="KEY2")
    queue.send("task")
    pool.wait_event("message.deleted")
    assert used(proxy, "DeleteMessage") == ["KEY2"]
    assert len(service.asked) <= 2 * A_FETCH


def give_keys(directory: Path, seconds: int) -> str:
    """A credential process: other keys at each call, good for so long; its place."""
    script = directory / "give-keys"
    script.write_text(
        "#!/bin/sh\n"
        f'echo x >>"{directory}/calls"; n=$(wc -l <"{directory}/calls"); n=$((n))\n'
        f"until=$(date -u -d '+{seconds} seconds' +%Y-%m-%dT%H:%M:%SZ)\n"
        """printf '{"Version":1,"AccessKeyId":"P%s","SecretAccessKey":"s",'"""
        """'"SessionToken":"t%s","Expiration":"%s"}' "$n" "$n" "$until"\n"""
    )
    script.chmod(0o700)
    (directory / "aws").write_text(f"[default]\ncredential_process = {script}\n")
    return str(directory / "aws")


NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


def test_keys_are_renewed_before_they_expire(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, home: Home
) -> None:
    """Nobody has refused any."""
    config = give_keys(home.directory, seconds=4)
    pool = start(workers=1, endpoint=proxy.endpoint, AWS_CONFIG_FILE=config, **NO_KEYS)
    eventually(lambda: len(set(used(proxy, "ReceiveMessage"))) > 2, what="polls with other keys")
    queue.send("task")
    pool.wait_event("message.deleted")
    assert {each.status for each in proxy.journal() if each.answered} == {200}


def test_a_job_that_outlives_its_keys_is_deleted_with_new_ones(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, service: MetadataService, home: Home
) -> None:
    """The delete is refused, and asked for again with what the scout has fetched."""
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(
        "--depth-interval", "1000", workers=1, endpoint=proxy.endpoint, **service.environment
    )
    home.trace.wait("started")
    proxy.refuse_key("KEY1")
    service.number = 2
    gate.open()
    pool.wait_event("message.deleted")
    deletes = [(each.access_key, each.status) for each in proxy.journal("DeleteMessage")]
    assert deletes[0] == ("KEY1", 403)
    assert deletes[-1] == ("KEY2", 200)


def test_a_resolver_that_is_killed_at_the_start_is_started_again(
    start: StartPool, queue: LiveQueue, service: MetadataService
) -> None:
    service.let_go.clear()
    queue.send("task")
    expected = Expected(kills=frozenset({"queue.late"}))
    pool = start(endpoint=queue.server.endpoint, expected=expected, **service.environment)
    pid = wait_resolver(pool)
    eventually(lambda: service.asked, what="a call for the keys")
    os.kill(pid, signal.SIGKILL)
    (late,) = pool.wait_event("queue.late")
    assert "no AWS credentials: the process that looks them up has failed (SIGKILL)" in late["why"]
    service.let_go.set()
    pool.wait_event("message.deleted")


def test_a_pool_that_is_stopped_while_it_waits_for_keys_leaves_no_resolver(
    start: StartPool, queue: LiveQueue, service: MetadataService
) -> None:
    """Not even one that cannot answer any more."""
    service.let_go.clear()
    pool = start(endpoint=queue.server.endpoint, **service.environment)
    pid = wait_resolver(pool)
    eventually(lambda: service.asked, what="a call for the keys")
    os.kill(pid, signal.SIGSTOP)
    pool.terminate()
    assert pool.wait() == 0
    assert not is_alive(pid)


def test_a_renewal_that_fails_changes_nothing_and_is_tried_again(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, service: MetadataService
) -> None:
    """What the source says is told; whoever has keys goes on with them."""
    pool = start(workers=1, endpoint=proxy.endpoint, **service.environment)
    pool.wait_ready(1)
    service.broken = True
    proxy.refuse_key("KEY1")
    (told,) = pool.wait_event("credentials.failed")
    assert "no AWS credentials found" in told["error"]
    service.number, service.broken = 2, False
    queue.send("task")
    pool.wait_event("message.deleted")
    assert used(proxy, "DeleteMessage") == ["KEY2"]


def test_a_scout_that_is_killed_while_it_renews_takes_its_resolver_with_it(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, service: MetadataService
) -> None:
    pool = start(workers=1, endpoint=proxy.endpoint, expected=KILLED, **service.environment)
    pool.wait_ready(1)
    service.let_go.clear()
    asked = len(service.asked)
    proxy.refuse_key("KEY1")
    service.number = 2
    eventually(lambda: len(service.asked) > asked, what="a renewal")
    old = wait_resolver(pool)
    (scout,) = pool.titled("fleet: scout")
    os.kill(scout.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(old), what="the old resolver's end")
    service.let_go.set()
    queue.send("task")
    pool.wait_event("message.deleted")
    assert used(proxy, "DeleteMessage") == ["KEY2"]


def test_a_drain_whose_scout_dies_has_keys_for_a_long_job(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, service: MetadataService, home: Home
) -> None:
    gate = home.gate("g")
    queue.send("hold g")
    options = ("--drain-timeout", "100")
    pool = start(
        *options, workers=1, endpoint=proxy.endpoint, expected=KILLED, **service.environment
    )
    home.trace.wait("started")
    (scout,) = pool.titled("fleet: scout")
    pool.drain()
    os.kill(scout.pid, signal.SIGKILL)
    pool.wait_event("queue.usable", count=2)
    proxy.refuse_key("KEY1")
    service.number = 2
    gate.open()
    assert pool.wait() == 0
    assert used(proxy, "DeleteMessage") == ["KEY2"]


def test_a_dispatcher_without_a_master_fetches_keys_itself(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, service: MetadataService, home: Home
) -> None:
    """A long job that outlives its master and its keys must not be done again."""
    gate = home.gate("g")
    queue.send("hold g")
    pool = start(
        "--drain-timeout", "100", workers=1, endpoint=proxy.endpoint, **service.environment
    )
    home.trace.wait("started")
    pool.kill_master()
    proxy.refuse_key("KEY1")
    service.number = 2
    gate.open()
    eventually(lambda: used(proxy, "DeleteMessage"), what="the delete")
    assert used(proxy, "DeleteMessage") == ["KEY2"]
    queue.wait_depth()


WATCH = """
import os, sys
path = {path!r}
def watch(event, arguments):
    if event == "import" and arguments[0] == "botocore":
        with open("/proc/self/cmdline", "rb") as title, open(path, "ab") as told:
            told.write(title.read().replace(b"\\0", b" ").strip() + b"\\n")
sys.addaudithook(watch)
"""


def who_imports_botocore(home: Home) -> list[str]:
    """The titles of the processes, from now on."""
    return (home.directory / "importers").read_text().splitlines()


@pytest.fixture
def watched(home: Home) -> dict[str, str]:
    """The environment of a pool whose imports are watched."""
    (home.directory / "importers").touch()
    (home.directory / "sitecustomize.py").write_text(
        WATCH.format(path=str(home.directory / "importers"))
    )
    return {"PYTHONPATH": f"{home.directory}:{home.environment()['PYTHONPATH']}"}


def test_botocore_is_the_resolvers_alone(
    start: StartPool, queue: LiveQueue, home: Home, watched: dict[str, str]
) -> None:
    queue.send("modules")
    pool = start(**watched)
    pool.wait_event("message.deleted")
    (line,) = home.trace.wait("modules")
    assert isinstance(line.detail, list)
    loaded = {name.partition(".")[0] for name in line.detail}
    assert not loaded & {"botocore", "boto3", "urllib3", "ssl", "http", "email", "uuid"}
    assert who_imports_botocore(home) == ["fleet: resolver"]
    assert resolvers(pool) == []


def test_the_embedded_server_needs_no_resolver(
    launch: Launch, home: Home, watched: dict[str, str]
) -> None:
    """The server itself is another program."""
    options = ("--local", "--local-port", str(free_port()), "--queue", "jobs")
    pool = launch(
        "start", *options, "--workers", "1", "--log-format", "json", "jobs:job", **watched
    )
    pool.wait_ready(1)
    assert [who for who in who_imports_botocore(home) if "local_server_program" not in who] == []


def test_a_pool_that_is_to_use_boto3_loads_it_before_the_fork(
    start: StartPool, queue: LiveQueue, home: Home, watched: dict[str, str]
) -> None:
    queue.send("modules")
    pool = start("--transport", "boto3", workers=3, **watched)
    pool.wait_event("message.deleted")
    (line,) = home.trace.wait("modules")
    assert isinstance(line.detail, list)
    assert "botocore.client" in line.detail
    who = [title.partition(" jobs")[0] for title in who_imports_botocore(home)]
    assert sorted(set(who)) == ["fleet: resolver", "fleet: scout", "fleet: template"]
