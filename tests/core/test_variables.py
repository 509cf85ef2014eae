"""What of the environment is taken for an option, and what is warned of."""

import pytest

from fleet.core.variables import describe_unknown, is_kubernetes

OPTIONS = ("workers", "queue", "local_port", "wait_time")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("FLEET_WORKER", "did you mean FLEET_WORKERS?"),
        ("FLEET_QUEUES", "did you mean FLEET_QUEUE?"),
        ("FLEET_WAITTIME", "did you mean FLEET_WAIT_TIME?"),
        ("FLEET_XYZ", "fleet config lists them"),
    ],
)
def test_what_was_likely_meant(name: str, hint: str) -> None:
    assert describe_unknown({name: "1", "HOME": "/"}, OPTIONS) == [
        f"{name} in the environment is no option; {hint}"
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLEET_WORKERS", "8"),
        ("FLEET_CONFIG", "x.toml"),
        ("FLEET_MAX_AGE", "60"),
        ("FLEET_POOL_MARK", "4711"),
        ("FLEET_JOB_ID", "1"),
        ("FLEET_JOB_ANYTHING", "1"),
        ("FLEET_SERVICE_HOST", "10.0.0.1"),
        ("FLEET_SERVICE_PORT", "80"),
        ("FLEET_SERVICE_PORT_HTTP", "80"),
        ("FLEET_PORT", "tcp://10.0.0.1:80"),
        ("FLEET_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("FLEET_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("FLEET_QUEUE_SERVICE_HOST", "10.0.0.1"),
        ("FLEET_LOCAL_PORT", "tcp://10.0.0.1:80"),
        ("FLEETING", "1"),
    ],
)
def test_what_is_not_warned_of(name: str, value: str) -> None:
    assert describe_unknown({name: value}, OPTIONS) == []


def test_an_address_is_no_port() -> None:
    assert is_kubernetes("FLEET_LOCAL_PORT", "tcp://10.0.0.1:9324")
    assert not is_kubernetes("FLEET_LOCAL_PORT", "9325")
    assert not is_kubernetes("FLEET_QUEUE", "tcp://not-one")
