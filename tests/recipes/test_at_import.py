"""What an import has made and jobs use: clients, generators, handlers; and coverage of jobs."""

import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from tests.pool.settling.test_outcomes import LOUD
from tests.recipes.conftest import StartRecipe
from tests.support.servers import CREDENTIALS, LiveQueue, Server

BODIES = ["a", "b", "c", "d", "e", "f"]


def test_boto3(start_recipe: StartRecipe, queue: LiveQueue, moto_server: Server) -> None:
    """A client of the import's that has not been used is each job's own."""
    s3 = boto3.client(
        "s3",
        endpoint_url=moto_server.endpoint,
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - for show
    )
    s3.create_bucket(Bucket="results")
    queue.send(*BODIES)
    pool = start_recipe("boto3", workers=4, AWS_ENDPOINT_URL_S3=moto_server.endpoint)
    pool.wait_event("job.succeeded", count=len(BODIES))
    assert [found["Key"] for found in s3.list_objects_v2(Bucket="results")["Contents"]] == BODIES
    s3.close()


def test_numpy(start_recipe: StartRecipe, queue: LiveQueue) -> None:
    pytest.importorskip("numpy")
    queue.send(*BODIES)
    pool = start_recipe("numpy")
    pool.wait_event("job.succeeded", count=len(BODIES))
    drawn = [line.split()[-3:] for line in pool.output().splitlines()]
    different = [len(set(column)) for column in zip(*drawn, strict=True)]
    assert different == [len(BODIES), 1, len(BODIES)]


def test_logging(start_recipe: StartRecipe, queue: LiveQueue, tmp_path: Path) -> None:
    """Both lines of every job, also of one that fails; each once."""
    queue.send(*BODIES, "broken")
    log = tmp_path / "app.log"
    pool = start_recipe("logging", "--delete-failed", workers=4, expected=LOUD, LOG=str(log))
    pool.wait_event("message.deleted", count=len(BODIES) + 1)
    wanted = [f"INFO:root:{verb} {body}" for body in BODIES for verb in ("began", "ended")]
    assert sorted(log.read_text().splitlines()) == sorted([*wanted, "INFO:root:began broken"])


def test_coverage(start_recipe: StartRecipe, queue: LiveQueue, tmp_path: Path) -> None:
    """Lines of jobs are counted, and those of the import."""
    pytest.importorskip("coverage")
    lines = [
        "def job(body):",
        "    if body == 'a':",
        "        print('one')",
        "    else:",
        "        print('other')",
    ]
    (tmp_path / "work.py").write_text("\n".join([*lines, "def other():", "    print('never')", ""]))
    more = {"COVERAGE_FILE": str(tmp_path / ".coverage")}
    queue.send("a", "b")
    pool = start_recipe("coverage", **more)
    pool.wait_event("job.succeeded", count=2)
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "-q"], cwd=tmp_path, check=True)
    shown = subprocess.run(
        [*coverage, "report", "-m", "--include", "*/work.py"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert [line.split()[-2:] for line in shown.splitlines() if "work.py" in line] == [
        ["83%", "7"]
    ], shown
