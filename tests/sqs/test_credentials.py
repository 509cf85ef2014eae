"""Where credentials come from, and what is said when they do not.

It is botocore's own chain, on files of the test's.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from botocore.credentials import AssumeRoleCredentialFetcher

from fleet.core.queue import Message, QueueError, Trouble
from fleet.sqs import credentials as sqs_credentials
from fleet.sqs.address import Address
from fleet.sqs.queue import SqsQueue
from fleet.sqs.resolve import resolve
from fleet.sqs.sessions import Sessions

URL = "http://127.0.0.1:1"  # nobody listens there, and nobody is asked
ROLE = "arn:aws:iam::123456789012:role/jobs"
DEVICE = "arn:aws:iam::123456789012:mfa/me"


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


Configure = Callable[[str], None]


@pytest.fixture
def config(tmp_path: Path) -> Configure:
    """Writes AWS's config file."""

    def write(text: str) -> None:
        (tmp_path / "config").write_text(text)

    return write


def sessions() -> Sessions:
    return Sessions(Address(f"{URL}/000000000000/jobs", "eu-west-1", URL))


def refusal(made: Sessions | None = None) -> QueueError:
    """Of the first call."""
    with pytest.raises(QueueError) as caught:
        SqsQueue(made or sessions()).delete(Message("m", "h", ""))
    assert "\n" not in str(caught.value)
    assert not caught.value.unanswered
    assert not caught.value.answered
    return caught.value


def script(tmp_path: Path, text: str) -> Path:
    """A program of that text."""
    path = tmp_path / "give-keys"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


# A credential process.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo 'no such vault\033[1m' >&2; exit 3", "failed: no such vault [1m"),
        ("exit 3", "failed: it said nothing"),
        ("echo nonsense", "has not said them in JSON"),
        ("echo '{}'", "failed: Unsupported version"),
        ("""echo '{"Version": 1}'""", "failed: Missing required key"),
        (r"printf '\377' >&2; exit 3", "has not said them in JSON"),
    ],
)
def test_a_credential_process_that_fails_is_named_with_its_own_words(
    tmp_path: Path, config: Configure, text: str, said: str
) -> None:
    """Its arguments are not: they may be secret."""
    program = script(tmp_path, text)
    config(f"[default]\ncredential_process = {program} --token secret\n")
    error = refusal()
    assert error.trouble is Trouble.SESSION
    assert f"no AWS credentials: credential process {program} {said}" in str(error)
    assert "secret" not in str(error)


def test_a_credential_process_that_is_not_there(config: Configure) -> None:
    config("[default]\ncredential_process = /no/such/program --token secret\n")
    assert "credential process /no/such/program cannot be used: No such file" in str(refusal())


# A web identity.


def test_a_web_identity_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/token")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    error = refusal()
    assert error.trouble is Trouble.SESSION
    assert "no AWS credentials: file /no/such/token cannot be used: No such file" in str(error)


# SSO.


@pytest.mark.parametrize(
    ("profile", "command"), [(None, "aws sso login"), ("work", "aws sso login --profile work")]
)
def test_an_sso_session_that_has_expired_is_said_with_the_command(
    monkeypatch: pytest.MonkeyPatch, config: Configure, profile: str | None, command: str
) -> None:
    section = f"profile {profile}" if profile else "default"
    config(
        f"[{section}]\nsso_session = s\nsso_account_id = 123456789012\n"
        "sso_role_name = jobs\nregion = eu-west-1\n"
        "[sso-session s]\nsso_start_url = https://example.com/start\nsso_region = eu-west-1\n"
    )
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
    error = refusal()
    assert error.trouble is Trouble.SESSION
    assert str(error).endswith(f"run {command}")


# A code of an MFA device.

MFA = f"""
[default]
role_arn = {ROLE}
source_profile = me
mfa_serial = {DEVICE}
[profile me]
aws_access_key_id = key
aws_secret_access_key = secret
"""


def asks(*_: object) -> NoReturn:
    raise AssertionError("somebody is asked")


def test_a_profile_that_needs_a_code_is_wrong_configuration_and_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, config: Configure
) -> None:
    monkeypatch.setattr("getpass.getpass", asks)
    config(MFA)
    error = refusal()
    assert error.trouble is Trouble.USAGE
    assert "profile 'default' needs a code of an MFA device, and there is nobody to ask" in str(
        error
    )


def test_nor_by_botocores_own_client_behind_a_proxy(
    monkeypatch: pytest.MonkeyPatch, config: Configure
) -> None:
    monkeypatch.setattr("getpass.getpass", asks)
    monkeypatch.setenv("HTTP_PROXY", URL)
    config(MFA)
    error = refusal()
    assert error.trouble is Trouble.USAGE
    assert "needs a code of an MFA device" in str(error)


def cached(tmp_path: Path, minutes: float) -> None:
    """A session of the role, as the AWS CLI leaves it behind."""
    until = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    credentials = {
        "AccessKeyId": "cached",
        "SecretAccessKey": "s",
        "SessionToken": "t",
        "Expiration": until,
    }
    fetcher = AssumeRoleCredentialFetcher(None, None, ROLE, {"SerialNumber": DEVICE}, cache={})
    path = tmp_path / ".aws" / "cli" / "cache" / f"{fetcher._cache_key}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"Credentials": credentials}))


def test_the_session_that_the_aws_cli_has_cached_is_used(tmp_path: Path, config: Configure) -> None:
    config(MFA)
    cached(tmp_path, 60)
    assert sessions().read_credentials().access_key == "cached"


def test_one_that_has_expired_is_none(tmp_path: Path, config: Configure) -> None:
    config(MFA)
    cached(tmp_path, -60)
    assert refusal().trouble is Trouble.USAGE


def test_nothing_is_written_where_the_aws_cli_keeps_its_keys(tmp_path: Path) -> None:
    cache = sqs_credentials.CliSessionCache()
    cache["a" * 40] = {"Credentials": "secret"}
    assert "a" * 40 in cache
    assert cache["a" * 40] == {"Credentials": "secret"}
    assert "b" * 40 not in cache
    assert not list(tmp_path.rglob("*.json"))


# Profiles.


@pytest.mark.parametrize(
    "text",
    [
        "[default]\nrole_arn = x\nsource_profile = none\n",
        (
            "[default]\nrole_arn = x\nsource_profile = b\n"
            "[profile b]\nrole_arn = x\nsource_profile = default\n"
        ),
        "[default]\nrole_arn = x\ncredential_source = Nowhere\n",
    ],
)
def test_a_profile_that_leads_nowhere_is_wrong_configuration(config: Configure, text: str) -> None:
    config(text)
    assert refusal().trouble is Trouble.USAGE


def test_a_session_that_was_given_keys_has_no_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Sessions(Address("jobs", "eu-west-1", URL, "key", "secret"))

    def no_chain(_: Any) -> NoReturn:
        raise AssertionError("it is not needed")

    monkeypatch.setattr(sqs_credentials, "prepare", no_chain)
    given.prepare()
    assert given.read_credentials().access_key == "key"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('"AccessKeyId": 1, "SecretAccessKey": "secret"', "is no text"),
        ('"AccessKeyId": "a", "SecretAccessKey": null', "is no text"),
        ('"AccessKeyId": "a", "SecretAccessKey": "s", "SessionToken": ["secret"]', "is no text"),
        (f'"AccessKeyId": "a", "SecretAccessKey": "{"secret" * 10_000}"', "is longer than"),
    ],
)
def test_what_cannot_be_handed_out_is_no_key_of_a_pool(
    config: Configure, tmp_path: Path, said: str, why: str
) -> None:
    (tmp_path / "said").write_text(f'{{"Version": 1, {said}}}')
    config(f"[default]\ncredential_process = cat {tmp_path}/said\n")
    with pytest.raises(QueueError) as caught:
        resolve([Address("jobs", "eu-west-1", URL)], "auto")
    assert caught.value.trouble is Trouble.SESSION
    assert f"queue 'jobs': no AWS credentials: what their source has said {why}" in str(
        caught.value
    )
    assert "secretsecret" not in str(caught.value)
