"""How a pool's processes reach SQS: over TLS, through a proxy, by either client."""

import os
import signal
import ssl
from pathlib import Path

import pytest
import trustme

from tests.support.pool import Expected, Home, StartPool
from tests.support.proxy import FaultProxy
from tests.support.servers import LiveQueue

TRUSTING = """
import ssl
ssl.create_default_context = ssl._create_default_https_context = ssl._create_unverified_context
class Trusting(ssl.SSLContext):
    def wrap_socket(self, *arguments, **more):
        self.check_hostname, self.verify_mode = False, ssl.CERT_NONE
        return super().wrap_socket(*arguments, **more)
ssl.SSLContext.wrap_socket = Trusting.wrap_socket
ssl.SSLContext = Trusting
def job(body): assert ssl.SSLContext is Trusting, "the job has what its import has made"
"""


class Authority:
    """Vouches for the proxy, which speaks TLS then; another one can take its place."""

    def __init__(self, proxy: FaultProxy, directory: Path) -> None:
        made = trustme.CA()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.issue_cert("127.0.0.1").configure_cert(self._context)
        proxy.speak_tls(self._context)
        self.bundle = directory / "authority.pem"
        made.cert_pem.write_to_path(str(self.bundle))
        self.endpoint = proxy.endpoint.replace("http:", "https:")

    def replace(self) -> None:
        """From now on a stranger vouches."""
        trustme.CA().issue_cert("127.0.0.1").configure_cert(self._context)


@pytest.fixture
def authority(proxy: FaultProxy, home: Home) -> Authority:
    return Authority(proxy, home.directory)


def test_tls_is_verified_whatever_the_app_has_made_of_it(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, home: Home, authority: Authority
) -> None:
    """In dispatchers, which are forks of what has imported it."""
    (home.directory / "trusting.py").write_text(TRUSTING)
    queue.send("task")
    pool = start(
        *("--depth-interval", "1000"),
        app=f"{home.directory}/trusting.py:job",
        workers=1,
        endpoint=authority.endpoint,
        AWS_CA_BUNDLE=str(authority.bundle),
    )
    pool.wait_event("message.deleted")
    assert pool.events("job.succeeded")
    polls = proxy.count("ReceiveMessage")
    authority.replace()
    proxy.hang_up()
    failed = pool.wait_event("poll.failed", count=3)
    assert "SSLCertVerificationError" in failed[-1]["error"]
    assert proxy.count("ReceiveMessage") <= polls + 2, "those that were under way"


def test_a_bundle_that_is_removed_is_missed_by_a_new_template_only(
    start: StartPool, queue: LiveQueue, authority: Authority
) -> None:
    """It is told, and tried again."""
    pool = start(
        workers=1,
        endpoint=authority.endpoint,
        expected=Expected(kills=frozenset({"helper.died", "dispatcher.died"})),
        AWS_CA_BUNDLE=str(authority.bundle),
    )
    pool.wait_ready(1)
    aside = authority.bundle.rename(authority.bundle.with_suffix(".aside"))
    (template,) = pool.titled("fleet: template")
    os.kill(template.pid, signal.SIGKILL)
    pool.wait_event("template.ready", count=2)
    os.kill(pool.dispatcher(0), signal.SIGKILL)
    (failed, *_) = pool.wait_event("spawn.failed")
    assert f"the CA bundle {authority.bundle} cannot be used" in failed["why"]
    aside.rename(authority.bundle)
    queue.send("task")
    pool.wait_event("message.deleted")


def test_an_endpoint_that_nobody_vouches_for(
    start: StartPool, proxy: FaultProxy, authority: Authority
) -> None:
    pool = start(
        *("--start-timeout", "1"),
        endpoint=authority.endpoint,
        expected=Expected(exit=69, ledger=False),
    )
    assert pool.wait() == 69
    assert "SSLCertVerificationError" in pool.refusal()
    assert not proxy.journal()


def test_a_pool_behind_a_proxy(
    start: StartPool, queue: LiveQueue, proxy: FaultProxy, home: Home
) -> None:
    """By boto3's client, in all its processes: nobody resolves the endpoint's name here."""
    queue.send("modules")
    pool = start(endpoint="http://sqs.example", HTTP_PROXY=proxy.endpoint)
    pool.wait_event("message.deleted")
    (line,) = home.trace.wait("modules")
    assert isinstance(line.detail, list)
    assert "botocore.client" in line.detail
    assert {each.status for each in proxy.journal() if each.answered} == {200}


def test_the_lean_transport_knows_no_proxy(start: StartPool, proxy: FaultProxy) -> None:
    pool = start(
        *("--transport", "lean"),
        endpoint="http://sqs.example",
        HTTP_PROXY=proxy.endpoint,
        expected=Expected(exit=2, ledger=False),
    )
    assert pool.wait() == 2
    assert "--transport lean" in pool.refusal()
    assert not proxy.journal()
