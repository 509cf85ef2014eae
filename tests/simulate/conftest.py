"""A world of its own for each command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pool import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """The test's own directories and environment."""
    home = Home(tmp_path)
    yield home
    home.close()
