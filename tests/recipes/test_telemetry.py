"""Events and spans of jobs arrive, however a job ends."""

from dataclasses import replace

import pytest

from tests.pool.settling.test_outcomes import LOUD
from tests.recipes.conftest import Cook
from tests.recipes.sink import Sink
from tests.support.servers import LiveQueue


def test_sentry(cook: Cook, queue: LiveQueue, sink: Sink) -> None:
    """A failed job's exception, and the death of one that cannot tell it itself."""
    pytest.importorskip("sentry_sdk")
    (_, dead) = queue.send("broken", "crash")
    dsn = f"http://key@{sink.address}/1"
    pool = cook("sentry", "--delete-failed", expected=replace(LOUD, noise=True), SENTRY_DSN=dsn)
    pool.wait_event("message.deleted", count=2)  # by then both have been sent
    assert sink.count("ValueError", "a broken thing", "acme", '"mechanism"') == 1
    assert sink.count("job signalled", dead, "fatal") == 1


def test_opentelemetry(cook: Cook, queue: LiveQueue, sink: Sink) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    queue.send("first-body", "broken", "third-body")
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink.address}"}
    pool = cook("opentelemetry", "--delete-failed", expected=replace(LOUD, noise=True), **more)
    pool.wait_event("message.deleted", count=3)
    for body in ("first-body", "broken", "third-body"):
        assert sink.count("work", body) == 1
    assert sink.count("broken", "ValueError") == 1
