"""`fleet send`: what fits into a request, and input that is not text."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.pool import Home, run_fleet
from tests.support.proxy import FaultProxy
from tests.support.servers import LiveQueue, Server

USAGE = 2


def test_a_request_is_as_large_as_sqs_takes_it(
    home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
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


NO_MESSAGE = [
    ([b"good", b"b\xff"], b"", "message 2 is not text: it holds the byte 0xff"),
    ([b""], b"", "message 1 is empty; SQS takes no empty text"),
    ([b"good", b""], b"", "message 2 is empty"),
    ([b"a\x1bb"], b"", "message 1 holds the character U+001B, which SQS does not take"),
    (["\ufffe".encode()], b"", "message 1 holds the character U+FFFE"),
    ([b"--file", b"-"], b"a\xff", "standard input is not text: byte 1 is not UTF-8"),
    ([b"--file", b"-"], b"", "standard input is empty"),
    ([b"--file", b"-"], b"x" * 1_048_577, "longer than 1 MiB"),
    ([b"--file", b"/no/such"], b"", "/no/such cannot be read: No such file"),
    ([b"--file", b"/"], b"", "/ cannot be read: Is a directory"),
    ([b"good", b"--file", b"/no/such"], b"", "/no/such cannot be read"),
    ([], b"\xff\n", "standard input is not text"),
    ([], b"a\0b\n", "line 1 of standard input holds the character U+0000"),
    ([b"good", b"--group", b""], b"", "--group is empty"),
    ([b"good", b"--group", b"\xff"], b"", "--group is not text"),
]
# Where a locale could say what bytes mean.
NO_TEXT = [case for case in NO_MESSAGE if not b"".join([*case[0], case[1]]).isascii()]


@pytest.mark.parametrize(
    ("locale", "given", "read", "said"),
    [("C.UTF-8", *case) for case in NO_MESSAGE] + [("C", *case) for case in NO_TEXT],
)
def test_what_is_no_message_is_wrong_usage_and_nothing_is_sent(
    home: Home,
    queue: LiveQueue,
    proxy: FaultProxy,
    locale: str,
    given: Sequence[bytes],
    read: bytes,
    said: str,
) -> None:
    """Bytes that are not text, in whatever way they come."""
    command = [
        sys.executable,
        "-m",
        "fleet",
        "send",
        "-q",
        queue.name,
        "--endpoint-url",
        proxy.endpoint,
    ]
    ended = subprocess.run(
        [*map(os.fsencode, command), *given],
        input=read,
        capture_output=True,
        timeout=60,
        env=home.environment(LC_ALL=locale),
        cwd=home.directory,
        check=False,
    )
    text = ended.stderr.decode()
    assert (ended.returncode, ended.stdout) == (USAGE, b""), text
    assert said in text
    assert len(text.splitlines()) == 1
    assert proxy.journal() == []


def test_a_whole_file_is_one_message(home: Home, queue: LiveQueue, proxy: FaultProxy) -> None:
    """To its last byte, line ends of all kinds included, beside others."""
    bodies = ["one\r\ntwo\n", "ü\n"]
    for number, body in enumerate(bodies):
        (home.directory / f"body{number}").write_bytes(body.encode())
    files = [
        each for number in range(2) for each in ("--file", str(home.directory / f"body{number}"))
    ]
    sent = run_fleet(
        home, "send", "-q", queue.name, "--endpoint-url", proxy.endpoint, "an argument", *files
    )
    assert sent.output == f"3 sent to {queue.name}\n", sent.errors
    (exchange,) = proxy.journal("SendMessageBatch")
    assert [each["MessageBody"] for each in exchange.request["Entries"]] == ["an argument", *bodies]


def test_a_refused_message_does_not_hide_those_that_were_taken(
    home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    answer = {
        "Successful": [{}, {}],
        "Failed": [{"Code": "InvalidMessageContents", "Message": "no\n\x1b[2Jgood"}],
    }
    proxy.say("SendMessageBatch", json.dumps(answer).encode())
    ended = run_fleet(
        home, "send", "--queue", queue.name, "--endpoint-url", proxy.endpoint, "a", "b", "c"
    )
    assert ended.status == 5
    assert (
        "refused a message: InvalidMessageContents no [2Jgood; 2 sent before that"
        in ended.error_line
    )


@pytest.mark.parametrize(
    ("fifo", "given", "group", "said"),
    [
        (True, (), "fleet", ", all in group fleet (--group)"),
        (True, ("--group", "blue"), "blue", ""),
        (False, (), None, ""),
        (False, ("--group", "blue"), "blue", ""),
    ],
)
def test_the_group_is_the_one_that_is_given(
    home: Home,
    ministack_server: Server,
    fifo: bool,
    given: tuple[str, ...],
    group: str | None,
    said: str,
) -> None:
    queue = LiveQueue.fresh(ministack_server, fifo=fifo)
    proxy = FaultProxy(ministack_server.port)
    try:
        where = ("--queue", queue.name, "--endpoint-url", proxy.endpoint)
        sent = run_fleet(home, "send", *where, *given, "one", "two")
        entries: list[dict[str, Any]] = [
            each
            for exchange in proxy.journal("SendMessageBatch")
            for each in exchange.request["Entries"]
        ]
    finally:
        proxy.close()
    assert sent.output == f"2 sent to {queue.name}{said}\n", sent.errors
    assert [each.get("MessageGroupId") for each in entries] == [group, group]
    assert len({each.get("MessageDeduplicationId") for each in entries}) == (2 if fifo else 1)


def test_a_url_of_ones_own_server_is_where_it_is_sent(
    home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    """Though nothing else names an endpoint."""
    url = f"{proxy.endpoint}/000000000000/{queue.name}"
    sent = run_fleet(home, "send", "--queue", url, "one")
    assert sent.output == f"1 sent to {queue.name}\n", sent.errors
    (exchange,) = proxy.journal()
    assert exchange.request["QueueUrl"] == url


def test_a_region_that_the_url_contradicts_is_wrong_usage(home: Home) -> None:
    url = "https://sqs.eu-west-1.amazonaws.com/000000000000/jobs"
    ended = run_fleet(home, "send", "--queue", url, "--region", "us-east-1", "one")
    assert ended.status == USAGE
    assert "its URL says region eu-west-1, and --region us-east-1" in ended.error_line
