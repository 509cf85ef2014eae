"""Our own signatures are botocore's, whatever is signed."""

import datetime as dt
import re
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.queue_place import Keys
from fleet.sqs.sigv4 import SignedHead, Signer

KEY = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
FIRST, LAST = dt.datetime.fromisoformat("2000-01-01"), dt.datetime.fromisoformat("2099-12-31")
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
PATHS = st.lists(st.from_regex(r"[A-Za-z0-9_.-]+", fullmatch=True), max_size=3).map(
    lambda parts: "/" + "/".join(part for part in parts if part.strip("."))
)
HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?(:[1-9][0-9]{0,4})?", fullmatch=True)


def botocores(
    key: Keys,
    region: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    at: dt.datetime,
) -> Any:
    """The headers as botocore sends them."""
    request = AWSRequest("POST", url, dict(headers), body)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("get_current_datetime",):
            if hasattr(botocore.auth, name):
                patch.setattr(botocore.auth, name, lambda *_, **__: at)
        botocore.auth.SigV4Auth(
            Credentials(key.access_key, key.secret_key, key.token or None), "sqs", region
        ).add_auth(request)
    return request.headers


@given(
    secret=WORDS,
    token=st.one_of(st.just(""), WORDS),
    region=st.sampled_from(["eu-central-1", "us-gov-west-1", "x"]),
    host=HOSTS,
    path=PATHS,
    target=WORDS,
    body=st.binary(max_size=200),
    at=st.datetimes(FIRST, LAST),
)
def test_they_are_botocores(
    secret: str,
    token: str,
    region: str,
    host: str,
    path: str,
    target: str,
    body: bytes,
    at: dt.datetime,
) -> None:
    key = Keys("AKID", secret, token)
    told = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target, "Host": host}
    theirs = botocores(key, region, f"http://{host}{path}", told, body, at)
    headers = dict(told)
    if token:
        headers["X-Amz-Security-Token"] = token
    head = SignedHead(path, {name.lower(): value for name, value in headers.items()})
    ours = Signer(region, "sqs").sign(key, theirs["X-Amz-Date"], head, body)
    assert ours == theirs["Authorization"]


def test_a_signer_follows_the_day_and_the_keys() -> None:
    """What is remembered of one key or day is not used for another one."""
    signer = Signer("eu-central-1", "sqs")

    def signature(key: Keys, at: str) -> str:
        told = signer.sign(key, at, SignedHead("/", {"host": "h"}), b"{}")
        return re.sub(r".*Signature=", "", told)

    other = Keys("AKIDEXAMPLE", "another secret")
    first = signature(KEY, "20261130T000000Z")
    assert signature(KEY, "20261201T000000Z") != first
    assert signature(other, "20261130T000000Z") != first
    assert signature(KEY, "20261130T000000Z") == first


def test_secrets_are_not_shown() -> None:
    assert KEY.secret_key not in repr(Keys("AKID", KEY.secret_key, "token of a session"))
    assert "session" not in repr(Keys("AKID", KEY.secret_key, "token of a session"))
