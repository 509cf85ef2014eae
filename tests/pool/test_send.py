"""`fleet send`: what fits into a request, and input that is not text."""

import json

from tests.support.pool import Home, run_fleet
from tests.support.proxy import FaultProxy
from tests.support.servers import LiveQueue

USAGE = 2


def test_a_request_is_as_large_as_sqs_takes_it(home: Home, queue: LiveQueue, proxy: FaultProxy) -> None:
    """1 MiB for all bodies together, counted in bytes; ten of them at the most."""
    lines = [*(400_000 * "a", 300_000 * "ü", 500_000 * "c", "d"), *("e" for _ in range(10))]
    for taken in (2, 10, 2):  # not by the server behind it, whose limits are its own
        proxy.say("SendMessageBatch", json.dumps({"Successful": [{}] * taken}).encode())
    options = ("--queue", queue.name, "--endpoint-url", proxy.endpoint)
    sent = run_fleet(home, "send", *options, text="\n".join(lines))
    assert (sent.status, sent.output) == (0, f"14 sent to {queue.name}\n")
    requests = [each.request["Entries"] for each in proxy.journal("SendMessageBatch")]
    assert [len(entries) for entries in requests] == [2, 10, 2]
    assert [each["MessageBody"] for entries in requests for each in entries] == lines


def test_input_that_is_not_text(home: Home, queue: LiveQueue) -> None:
    options = ("--queue", queue.name, "--endpoint-url", queue.server.endpoint)
    env = home.environment(PYTHONIOENCODING="ascii:strict")
    ended = run_fleet(home, "send", *options, text="ü\n", env=env)
    assert ended.status == USAGE
    assert "standard input is not text" in ended.error_line
