"""No job uses a connection of the import's, nor one of another job's."""

import sqlite3
from pathlib import Path

import pytest

from tests.recipes.conftest import StartRecipe
from tests.recipes.postgres import Postgres
from tests.support.servers import LiveQueue

BODIES = [f"b{number}" for number in range(1, 17)]


@pytest.fixture
def done(request: pytest.FixtureRequest) -> Postgres:
    """The server, with an empty table. It is not started for packages that are not there."""
    for package in ("psycopg", "sqlalchemy", "django"):
        pytest.importorskip(package)
    database: Postgres = request.getfixturevalue("database")
    database.ask("truncate done")
    return database


def connections_of_jobs(database: Postgres) -> set[str]:
    """The server's processes that jobs have used. All jobs have done their work."""
    rows = database.ask("select body, price, backend from done")
    assert sorted(row[0] for row in rows) == sorted(BODIES)
    assert all(int(price) == int(body[1:]) * 10 for body, price, _ in rows)
    return {row[2] for row in rows}


@pytest.mark.needs("postgres")
def test_sqlalchemy(start_recipe: StartRecipe, queue: LiveQueue, done: Postgres) -> None:
    queue.send(*BODIES)
    url = f"postgresql+psycopg://recipes@127.0.0.1:{done.port}/postgres"
    pool = start_recipe("sqlalchemy", workers=4, DATABASE_URL=url)
    pool.wait_event("job.succeeded", count=len(BODIES))
    ((imports,),) = done.ask(
        "select pid from pg_stat_activity where query like 'select name%' or query = 'ROLLBACK'"
    )
    assert imports not in connections_of_jobs(done)
    assert len(connections_of_jobs(done)) == len(BODIES)


@pytest.mark.needs("postgres")
def test_without_it_the_jobs_share_the_connection_of_the_import(
    start_recipe: StartRecipe, queue: LiveQueue, done: Postgres
) -> None:
    """One after the other, so that it goes well."""
    queue.send(*BODIES)
    url = f"postgresql+psycopg://recipes@127.0.0.1:{done.port}/postgres"
    pool = start_recipe("sqlalchemy", without="--job-init", workers=1, DATABASE_URL=url)
    pool.wait_event("job.succeeded", count=len(BODIES))
    assert len(connections_of_jobs(done)) == 1


@pytest.mark.needs("postgres")
def test_django(
    start_recipe: StartRecipe, queue: LiveQueue, done: Postgres, tmp_path: Path
) -> None:
    place = {"HOST": "127.0.0.1", "PORT": done.port, "USER": "recipes", "NAME": "postgres"}
    settings = {"default": {"ENGINE": "django.db.backends.postgresql", **place}}
    (tmp_path / "recipe_settings.py").write_text(f"DATABASES = {settings!r}\nUSE_TZ = True\n")
    queue.send(*BODIES)
    pool = start_recipe("django", workers=4, DJANGO_SETTINGS_MODULE="recipe_settings")
    pool.wait_event("job.succeeded", count=len(BODIES))
    assert len(connections_of_jobs(done)) == len(BODIES)


def test_sqlite(start_recipe: StartRecipe, queue: LiveQueue, tmp_path: Path) -> None:
    """Several jobs write at once."""
    file = str(tmp_path / "jobs.db")
    connection = sqlite3.connect(file)
    try:
        connection.execute("create table done (body text)")
        connection.commit()
        queue.send(*BODIES)
        pool = start_recipe("sqlite", workers=4, DATABASE=file)
        pool.wait_event("job.succeeded", count=len(BODIES))
        assert sorted(body for (body,) in connection.execute("select body from done")) == sorted(
            BODIES
        )
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()
