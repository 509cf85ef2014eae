"""Pools here mostly speak through the proxy: it must outlive them, so that the audit's drain can
settle.
"""

import pytest

from tests.support.pool import StartPool
from tests.support.proxy import FaultProxy


@pytest.fixture
def start(
    proxy: FaultProxy,  # noqa: ARG001 - set up first, closed last
    start: StartPool,
) -> StartPool:
    """Start a pool."""
    return start
