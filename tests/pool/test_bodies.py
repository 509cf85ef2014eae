"""--body: what a job is called with, and what becomes of a body that it cannot be called with."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.pool import APPS, Expected, Home, Pool, StartPool, run_fleet
from tests.support.servers import LiveQueue
from tests.support.sns import OTHER_TOPIC, TOPIC, Host, Signer, envelope, sns_host

SIGNER = Signer.new()
TAKE = "letters:take"
TAKE_NOTIFICATION = "letters:take_notification"
FAILING = ("--retry-delay", "600")
SECRET = "hunter2"  # noqa: S105  # to be found where it must not be


@pytest.fixture
def sns(tmp_path: Path) -> Iterator[Host]:
    """SNS's host."""
    with sns_host(tmp_path, SIGNER.certificate) as host:
        yield host


def took(home: Home) -> dict[str, Any]:
    return {line.body: line.detail for line in home.trace.lines("took")}


def refusals(pool: Pool, ids: list[str]) -> list[str]:
    """Why each message's body could not be used; each was said once, and nothing else."""
    pool.wait_event("message.released", count=len(ids))
    found = {event["message_id"]: event["why"] for event in pool.events("body.refused")}
    assert (
        len(found) == len(pool.events("body.refused")) == len(pool.events("job.failed")) == len(ids)
    )
    assert not pool.noise
    assert SECRET not in pool.log(1000)
    return [found[message_id] for message_id in ids]


def test_text_is_the_bodys_own(start: StartPool, home: Home, queue: LiveQueue) -> None:
    queue.send('{"a": 1}', "plain")
    start(app=TAKE).wait_event("message.deleted", count=2)
    assert took(home) == {'{"a": 1}': [['{"a": 1}'], {}], "plain": [["plain"], {}]}


def test_json_is_what_is_written_in_it(start: StartPool, home: Home, queue: LiveQueue) -> None:
    bodies: dict[str, object] = {
        '{"a": [1, "é"]}': {"a": [1, "é"]},
        '["x"]': ["x"],
        "7": 7,
        "null": None,
        '"t"': "t",
    }
    queue.send(*bodies)
    start("--body", "json", app=TAKE, workers=4).wait_event("message.deleted", count=5)
    assert took(home) == {body: [[value], {}] for body, value in bodies.items()}


def test_a_message_is_all_of_it(start: StartPool, home: Home, queue: LiveQueue) -> None:
    (message_id,) = queue.send("plain")
    start("--body", "message", app=TAKE).wait_event("message.deleted")
    assert took(home) == {"plain": [[{"Message": [message_id, "plain", 1]}], {}]}


def test_what_is_no_json_is_that_messages_failure(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """One line, no traceback, nothing of the body; the pool goes on."""
    ids = queue.send(f"{SECRET}: no JSON", '{"cut": "' + SECRET, "[" * 100_000, "1" * 5000)
    pool = start("--body", "json", *FAILING, app=TAKE)
    first, second, third, fourth = refusals(pool, ids)
    assert "not JSON" in first
    assert "char 0" in first
    assert "not JSON" in second
    assert "RecursionError" in third
    assert "ValueError" in fourth
    queue.send("1")
    pool.wait_event("message.deleted")
    assert took(home) == {"1": [[1], {}]}


def test_such_a_body_is_quoted_at_debug_only(start: StartPool, queue: LiveQueue) -> None:
    queue.send(f"{SECRET} \x9b31m\n ✓" + "x" * 5000)
    pool = start("--body", "json", "--log-level", "debug", *FAILING, app=TAKE)
    pool.wait_event("message.released")
    (quoted,) = pool.events("body.quoted")
    assert quoted["level"] == "debug"
    assert quoted["body"].startswith(rf"'{SECRET} \x9b31m\n \u2713xxx")
    assert len(quoted["body"]) < 1100


def test_the_exit_handler_is_called_with_the_same(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    home.gate("g")
    queue.send('{"gate": "g"}')
    options = ("--body", "json", "--exit-handler", "letters:clean_up", "--drain-timeout", "0")
    pool = start(*options, app="letters:hold", expected=Expected(kills=frozenset({"job.stopped"})))
    pool.wait_event("job.started")
    pool.terminate()
    assert pool.wait() == 0
    (cleaned,) = home.trace.lines("cleaned")
    assert cleaned.detail == [{"gate": "g"}]


# SNS


def test_an_envelope_is_removed(start: StartPool, home: Home, queue: LiveQueue, sns: Host) -> None:
    """And what it said is at hand; the certificate is fetched once, and not by the master."""
    queue.send(
        *(
            SIGNER.signed(envelope(f"text {n}", f"about {n}"), version)
            for n, version in ((1, "1"), (2, "2"))
        )
    )
    options = ("--body", "sns", "--sns-topic", OTHER_TOPIC, "--sns-topic", TOPIC)
    pool = start(*options, app=TAKE_NOTIFICATION, workers=1, **sns.environment)
    pool.wait_event("message.deleted", count=2)
    rest = [TOPIC, envelope("")["MessageId"], envelope("")["Timestamp"]]
    assert took(home) == {f"text {n}": [f"text {n}", f"about {n}", *rest] for n in (1, 2)}
    assert len(sns.paths) == 1
    assert not pool.events("queue.warned")


def test_what_sns_did_not_sign_is_refused(
    start: StartPool, home: Home, queue: LiveQueue, sns: Host
) -> None:
    signed = SIGNER.signed(envelope(SECRET))
    elsewhere = f"https://evil.invalid/{SECRET}.pem"
    ids = queue.send(
        SECRET,
        SIGNER.signed(envelope(SECRET, topic=OTHER_TOPIC)),
        signed.replace(SECRET, SECRET + "!"),
        SIGNER.signed(envelope(SECRET), url=elsewhere),
        Signer.new().signed(envelope(SECRET)),
        SIGNER.signed(envelope(SECRET, Type="SubscriptionConfirmation")),
    )
    pool = start(
        "--body",
        "sns",
        "--sns-topic",
        TOPIC,
        *FAILING,
        app=TAKE_NOTIFICATION,
        workers=1,
        **sns.environment,
    )
    raw, topic, changed, url, forged, kind = refusals(pool, ids)
    assert "raw delivery" in raw
    assert "--sns-topic" in topic
    assert "not good" in changed
    assert "not fetched" in url
    assert "not good" in forged
    assert "SubscriptionConfirmation" in kind
    assert not took(home)
    assert set(sns.tunnels) == {"sns.us-east-1.amazonaws.com:443"}


def test_a_certificate_that_cannot_be_had_fails_the_message(
    start: StartPool, queue: LiveQueue, sns: Host
) -> None:
    ids = queue.send(SIGNER.signed(envelope(SECRET)))
    sns.status = "503 Unavailable"
    pool = start("--body", "sns", *FAILING, app=TAKE_NOTIFICATION, **sns.environment)
    assert refusals(pool, ids) == ["its signing certificate cannot be fetched: HTTP 503"]
    (warned,) = pool.events("queue.warned")
    assert "--sns-topic" in warned["why"]


def test_without_verification_whoever_may_send_is_believed(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """A raw delivery has no envelope: it is its own message."""
    queue.send(json.dumps(envelope("unsigned", "s")), "raw", '{"raw": "json"}')
    pool = start("--body", "sns", "--no-sns-verify", app=TAKE_NOTIFICATION)
    pool.wait_event("message.deleted", count=3)
    found = took(home)
    assert found["unsigned"][:3] == ["unsigned", "s", TOPIC]
    assert found["raw"] == ["raw", None, None, None, None]
    assert found['{"raw": "json"}'][2] is None


def test_a_list_of_topics_holds_without_verification_too(
    start: StartPool, queue: LiveQueue
) -> None:
    ids = queue.send(json.dumps(envelope(SECRET)), SECRET)
    pool = start(
        "--body",
        "sns",
        "--no-sns-verify",
        "--sns-topic",
        OTHER_TOPIC,
        *FAILING,
        app=TAKE_NOTIFICATION,
    )
    assert all("--sns-topic" in why for why in refusals(pool, ids))


def test_a_transformer_gets_the_message_after_the_check(
    start: StartPool, home: Home, queue: LiveQueue, sns: Host
) -> None:
    """... with the envelope still around it, and what it said at hand."""
    good = SIGNER.signed(envelope("text"))
    (message_id,) = queue.send(good)
    ids = queue.send(good.replace("text", SECRET))
    options = ("--body", "sns", "--transformer", "letters:transform", *FAILING)
    pool = start(*options, app=TAKE, **sns.environment)
    pool.wait_event("message.deleted", message_id=message_id)
    assert "not good" in refusals(pool, ids)[0]
    assert took(home) == {good: [[{"Message": [message_id, good, 1]}, TOPIC], {}]}


def test_a_router_too(start: StartPool, home: Home, queue: LiveQueue, sns: Host) -> None:
    body = SIGNER.signed(envelope("text"))
    queue.send(body)
    pool = start("--body", "sns", "--router", "letters:route", app=TAKE, **sns.environment)
    pool.wait_event("message.deleted")
    assert took(home) == {body: [[], {"topic": TOPIC, "length": len(body)}]}


def test_without_preload_too(start: StartPool, home: Home, queue: LiveQueue, sns: Host) -> None:
    queue.send(SIGNER.signed(envelope("text")))
    pool = start("--body", "sns", "--no-preload", app=TAKE_NOTIFICATION, **sns.environment)
    pool.wait_event("message.deleted")
    assert took(home)["text"][2] == TOPIC


# Usage


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--body", "xml"), "text or json or sns or message"),
        (("--body", "json", "--transformer", "a:b"), "--transformer"),
        (("--body", "json", "--router", "a:b"), "--router"),
        (("--sns-topic", TOPIC), "--body sns"),
        (("--no-sns-verify",), "--body sns"),
        (("--sns-max-age", "60"), "--sns-max-age needs --body sns"),
        (("--sns-max-age", "60", "--body", "sns", "--no-sns-verify"), "exclude each other"),
        (("--body", "sns", "--sns-topic", "mail"), "arn:aws:sns"),
        (("--body", "sns", "--sns-topic", f"{TOPIC},"), "arn:aws:sns"),
    ],
)
def test_options_that_make_no_sense(home: Home, options: tuple[str, ...], says: str) -> None:
    ended = run_fleet(home, "start", "-q", "jobs", *options, "jobs:job")
    assert ended.status == 2
    assert options[0] in ended.error_line or options[-2] in ended.error_line
    assert says in ended.error_line


def test_without_the_extra_it_says_what_to_install(home: Home) -> None:
    """cryptography is hidden from this one process."""
    hide = "import sys; sys.modules['cryptography'] = None; from fleet.cli.main import main; main()"
    found = [
        subprocess.run(
            [
                sys.executable,
                "-c",
                hide,
                "start",
                "-q",
                "jobs",
                "--body",
                "sns",
                *more,
                "no_such_app:job",
            ],
            cwd=APPS,
            env=home.environment(AWS_ENDPOINT_URL="http://127.0.0.1:9"),
            capture_output=True,
            text=True,
            check=False,
        )
        for more in ((), ("--no-sns-verify",))
    ]
    assert found[0].returncode == 2
    (line,) = found[0].stderr.splitlines()
    assert "fleet-sqs[sns]" in line
    assert found[1].returncode == 4, "and does not need it where nothing is verified"


def test_topics_may_come_from_file_and_environment(home: Home, tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(
        f'body = "sns"\nsns_topic = ["{TOPIC}", "{OTHER_TOPIC}"]\n'
    )
    told = run_fleet(home, "config", cwd=tmp_path).output
    assert f"('{TOPIC}', '{OTHER_TOPIC}')" in told
    env = home.environment(FLEET_SNS_TOPIC=f"{OTHER_TOPIC},{TOPIC}")
    told = run_fleet(home, "config", cwd=tmp_path, env=env).output
    assert f"('{OTHER_TOPIC}', '{TOPIC}')" in told
