"""Events and spans of jobs arrive, however a job ends."""

from dataclasses import replace

import pytest

from tests.pool.settling.test_outcomes import LOUD
from tests.recipes.conftest import StartRecipe
from tests.recipes.sink import Sink
from tests.support.servers import LiveQueue


def test_sentry(start_recipe: StartRecipe, queue: LiveQueue, sink: Sink) -> None:
    """A failed job's exception, and the ends of jobs that cannot tell it themselves.

    Without hooks some are lost.
    """
    pytest.importorskip("sentry_sdk")
    (_, dead, late) = queue.send("broken", "crash", "hang")
    more = {"SENTRY_DSN": f"http://key@{sink.address}/1"}
    expected = replace(LOUD, noise=True)
    pool = start_recipe(
        "sentry", "--delete-failed", "--job-timeout", "5", workers=3, expected=expected, **more
    )
    pool.wait_event("message.deleted", count=3)  # by then all have been sent
    assert sink.count("ValueError", "a broken thing", "acme", '"mechanism"') == 1
    assert sink.count("job signalled", dead, "fatal") == 1
    assert sink.count("job timed_out", late, "fatal") == 1


def test_opentelemetry(start_recipe: StartRecipe, queue: LiveQueue, sink: Sink) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    queue.send("first-body", "broken", "third-body")
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink.address}"}
    pool = start_recipe(
        "opentelemetry", "--delete-failed", expected=replace(LOUD, noise=True), **more
    )
    pool.wait_event("message.deleted", count=3)
    for body in ("first-body", "broken", "third-body"):
        assert sink.count("work", body) == 1
    assert sink.count("broken", "ValueError") == 1
