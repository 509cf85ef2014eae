"""What a template loads before the app's import: the network is asked for nothing."""

import os

import pytest

from fleet.sqs import foresight
from fleet.sqs.address import Address
from tests.support.metadata import metadata_service


def test_behind_a_proxy_nobody_is_asked_for_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of botocore's that has none asks when it is made, and leaves a connection."""
    with metadata_service() as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        foresight.preload(Address("jobs", "eu-west-1", "http://sqs.example"), "auto", os.environ)
        assert service.asked == []
