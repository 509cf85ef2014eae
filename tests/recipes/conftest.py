"""What the recipes' tests share: the page's modules as files, and pools that run them."""

from collections.abc import Callable, Iterator

import pytest

from tests.pool.conftest import home, launch, pytest_runtest_makereport, start, transport
from tests.recipes.page import recipes
from tests.recipes.postgres import Postgres, postgres
from tests.recipes.sink import Sink
from tests.support.pool import QUIET, REPOSITORY, Expected, Home, Pool, StartPool

__all__ = ["home", "launch", "pytest_runtest_makereport", "start", "transport"]

PIPELINE = '''
"""What the app of a recipe works on."""
import os, signal
def handle(body):
    if body == "broken":
        raise ValueError("a broken thing")
    if body == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if body == "hang":
        signal.pause()
'''

StartRecipe = Callable[..., Pool]


@pytest.fixture
def start_recipe(home: Home, start: StartPool) -> StartRecipe:
    """A function that starts a pool with a recipe of the page.

    `without` names options that are left out.
    """
    (home.directory / "pipeline.py").write_text(PIPELINE)

    def start_recipe(
        name: str,
        *options: str,
        without: str = "",
        workers: int = 2,
        expected: Expected = QUIET,
        **env: str,
    ) -> Pool:
        recipe = recipes()[name]
        (home.directory / f"{recipe.module}.py").write_text(recipe.text)
        given = list(recipe.options)
        if without:
            at = given.index(without)
            del given[at : at + 2]
        env["PYTHONPATH"] = f"{REPOSITORY}:{home.directory}"
        return start(*given, *options, app=recipe.app, workers=workers, expected=expected, **env)

    return start_recipe


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A collector."""
    with Sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """A PostgreSQL server for the tests of one file."""
    with postgres() as server:
        yield server
