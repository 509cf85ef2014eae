"""Where the value of an option comes from."""

from fleet.options.sources import load


def test_a_kubernetes_service_is_no_port() -> None:
    """A service called fleet-local puts its address where the option's port would stand."""
    assert load({}, {"FLEET_LOCAL_PORT": "tcp://10.0.0.1:80"}, None).settings.local_port == 9324
    assert load({}, {"FLEET_LOCAL_PORT": "9325"}, None).settings.local_port == 9325
