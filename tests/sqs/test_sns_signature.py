"""Signatures are checked with SNS's certificate, fetched once a day from SNS's host alone."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleet.core import sns
from fleet.core.config import Config
from fleet.core.queue import Message
from fleet.core.sns import Unusable
from fleet.job.bodies import notification
from fleet.sqs import sns_signature
from tests.support.sns import CERTIFICATE_URL, HOST, OTHER_TOPIC, Host, Signer, envelope, sns_host

SIGNER = Signer.new()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """SNS's host behind a proxy that this process uses, and a runtime directory of its own."""
    with sns_host(tmp_path, SIGNER.certificate) as host:
        for name, value in host.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        yield host


def check(body: str) -> None:
    sns_signature.check(sns.read_signature(body))


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "about it"])
def test_a_good_one(host: Host, version: str, subject: str | None) -> None:
    check(SIGNER.signed(envelope("text ✓\nof two lines", subject), version))
    assert host.tunnels == [f"{HOST}:443"]
    assert host.paths == ["/SimpleNotificationService-0123456789abcdef.pem"]


@pytest.mark.parametrize(
    "changed",
    [
        {"Message": "Text"},
        {"Subject": "other"},
        {"TopicArn": OTHER_TOPIC},
        {"MessageId": "other"},
        {"Timestamp": "2026-02-01T12:00:00.000Z"},
        {"SignatureVersion": "2"},
        {"Signature": "AAAA"},
        {"Signature": "not base64!"},
        {"Signature": ""},
    ],
    ids=str,
)
@pytest.mark.usefixtures("host")
def test_what_was_changed_is_not_what_was_signed(changed: dict[str, str]) -> None:
    body = json.loads(SIGNER.signed(envelope("text", "about it")))
    with pytest.raises(Unusable, match="not good"):
        check(json.dumps(body | changed))


@pytest.mark.usefixtures("host")
def test_somebody_elses_signature() -> None:
    with pytest.raises(Unusable, match="not good"):
        check(Signer.new().signed(envelope("text")))


@pytest.mark.parametrize(
    ("signer", "why"),
    [
        (Signer.new(days=(1, 2)), "is good from .* UTC on only"),
        (Signer.new(days=(-2, -1)), "was good until .* UTC only"),
        (Signer.new(bits=1024), "has a key of 1024 bits, fewer than 2048"),
    ],
    ids=["not yet", "no more", "small"],
)
def test_a_certificate_that_must_not_be_believed(
    host: Host, tmp_path: Path, signer: Signer, why: str
) -> None:
    """It is not kept either."""
    host.answer = signer.certificate
    with pytest.raises(Unusable, match=f"its signing certificate {why}"):
        check(signer.signed(envelope("text")))
    assert not [*(tmp_path / "fleet" / "certificates").iterdir()]


def test_one_that_was_kept_and_is_not_good_any_more_is_fetched_again(
    host: Host, tmp_path: Path
) -> None:
    body = SIGNER.signed(envelope("text"))
    check(body)
    (kept,) = (tmp_path / "fleet" / "certificates").iterdir()
    kept.write_bytes(Signer.new(days=(-2, -1)).certificate)
    check(body)
    assert len(host.paths) == 2


@pytest.mark.usefixtures("host")
def test_what_is_too_old_is_refused_after_its_signature_is_found_good() -> None:
    config = Config(body="sns", sns_max_age=3600.0)
    now = datetime.now(UTC)
    for age, good in ((60, True), (7200, False)):
        found = envelope("text", Timestamp=(now - timedelta(seconds=age)).isoformat())
        message = Message("id", "handle", SIGNER.signed(found))
        if good:
            assert notification(config, message).message == "text"
        else:
            with pytest.raises(Unusable, match="--sns-max-age"):
                notification(config, message)
            with pytest.raises(Unusable, match="not good"):
                notification(config, Message("id", "handle", Signer.new().signed(found)))
            assert notification(Config(body="sns"), message).message == "text"


def test_a_certificate_is_fetched_once_a_day(host: Host, tmp_path: Path) -> None:
    body = SIGNER.signed(envelope("text"))
    check(body)
    host.close()
    check(body)
    (kept,) = (tmp_path / "fleet" / "certificates").iterdir()
    os.utime(kept, (time.time() - 86_401, time.time() - 86_401))
    with pytest.raises(Unusable, match="cannot be fetched"):
        check(body)
    assert len(host.paths) == 1


def test_one_that_was_kept_half_is_fetched_again(host: Host, tmp_path: Path) -> None:
    body = SIGNER.signed(envelope("text"))
    check(body)
    (kept,) = (tmp_path / "fleet" / "certificates").iterdir()
    kept.write_bytes(SIGNER.certificate[:100])
    check(body)
    check(body)
    assert len(host.paths) == 2


def test_without_a_place_to_keep_it_each_time(host: Host, tmp_path: Path) -> None:
    (tmp_path / "fleet").write_text("a file, where a directory should be")
    for _ in range(2):
        check(SIGNER.signed(envelope("text")))
    assert len(host.paths) == 2


def test_a_redirect_is_not_followed(host: Host) -> None:
    host.status, host.location = "302 Found", "https://evil.invalid/a.pem"
    with pytest.raises(Unusable, match="HTTP 302"):
        check(SIGNER.signed(envelope("text")))
    assert host.tunnels == [f"{HOST}:443"]


def test_a_host_that_cannot_prove_its_name(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    with pytest.raises(Unusable, match="cannot be fetched: SSLCertVerificationError"):
        check(SIGNER.signed(envelope("text")))
    assert not host.paths


@pytest.mark.parametrize(
    "answer", [b"", b"no certificate", SIGNER.certificate * 2], ids=["empty", "other", "two"]
)
def test_what_is_no_certificate_is_not_kept(host: Host, answer: bytes) -> None:
    host.answer = answer
    with pytest.raises(Unusable, match="not an RSA certificate"):
        check(SIGNER.signed(envelope("text")))
    host.answer = SIGNER.certificate
    check(SIGNER.signed(envelope("text")))


def test_a_region_of_its_own_has_a_certificate_of_its_own(host: Host) -> None:
    """What is kept for one URL is not taken for another: here the other host is an impostor."""
    check(SIGNER.signed(envelope("text")))
    with pytest.raises(Unusable, match="cannot be fetched"):
        check(
            SIGNER.signed(envelope("text"), url=CERTIFICATE_URL.replace("us-east-1", "eu-west-1"))
        )
    assert len(host.tunnels) == 2
