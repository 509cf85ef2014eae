"""docs/from-process-emails.md: every call on the page is run, the old one and the new one on the
same messages.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.gates import Line
from tests.support.needs import CONTAINER
from tests.support.pool import APPS, REPOSITORY, Home
from tests.support.servers import Depth, LiveQueue
from tests.support.sns import OTHER_TOPIC, TOPIC, Host, Signer, envelope, sns_host

PAGE = REPOSITORY / "docs" / "from-process-emails.md"
BLOCK = re.compile(r"<!-- (old|new): (\S+) -->\n```(\w+)\n(.*?)```", re.DOTALL)
SIGNER = Signer.new()
DJANGO = {
    "django/__init__.py": "def setup(): pass\n",
    "django/db.py": "class connections:\n    close_all = staticmethod(lambda: None)\n",
    "emails/__init__.py": "",
    "emails/views.py": """
import time
from jobs import write

def _sns_inbound_logic(topic, kind, body):
    write("processed", body["Message"], [topic, kind, body.get("Subject")])
    if body["Message"] == "bad":
        raise ValueError
    while body["Message"] == "long":
        time.sleep(60)
""",
}


def snippets() -> dict[str, str]:
    """What the page shows, by kind and name."""
    return {f"{kind} {name}": text for kind, name, _, text in BLOCK.findall(PAGE.read_text())}


def test_every_snippet_is_run() -> None:
    assert set(snippets()) == {
        "old run",
        "new run",
        "new app",
        "old probe",
        "new probe",
        "new container",
    }
    assert PAGE.read_text().count("```") == 2 * len(snippets())


class Project:
    """A directory with Relay's project in it, as far as the page needs it, and a shell that runs
    calls there.
    """

    def __init__(self, home: Home, queue: LiveQueue, sns: Host) -> None:
        self.directory = home.directory / "project"
        self.health = home.directory / "health.json"
        self._running: list[subprocess.Popen[str]] = []
        files = DJANGO | {
            "relay_worker.py": snippets()["new app"],
            "manage.py": (APPS / "relay_manage.py").read_text(),
        }
        programs = {"fleet": f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m fleet "$@"\n'}
        for name, text in (
            files | {f"bin/{each}": program for each, program in programs.items()}
        ).items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        self.environment = home.environment(
            **sns.environment,
            AWS_ENDPOINT_URL_SQS=queue.server.endpoint,
            AWS_SQS_EMAIL_QUEUE_URL=queue.url,
            AWS_REGION="us-east-1",
            AWS_SNS_TOPIC=TOPIC,
        )
        programs_path = f"{self.directory / 'bin'}:{Path(sys.executable).parent}"
        self.environment |= {
            "PATH": f"{programs_path}:{os.environ['PATH']}",
            "PYTHONPATH": f"{REPOSITORY}:{APPS}:{self.directory}",
        }

    def starts(self, call: str, *wrapper: str, **changes: str) -> subprocess.Popen[str]:
        """Run a call of the page, with other numbers in it; it ends with the test."""
        for written, real in ({"/tmp/health.json": str(self.health)} | changes).items():
            call = call.replace(written, real)
        process = subprocess.Popen(
            [*wrapper, "sh", "-c", f"exec {call}" if not call.startswith("PROCESS") else call],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def project(home: Home, queue: LiveQueue) -> Iterator[Project]:
    with sns_host(home.directory, SIGNER.certificate) as host:
        project = Project(home, queue, host)
        yield project
        project.close()


def processed(home: Home) -> list[tuple[str, Any]]:
    """What came of each message: its text, and what the project's function was called with."""
    return sorted((line.body, line.detail) for line in home.trace.lines("processed"))


def words(home: Home, count: int) -> list[Line]:
    return home.trace.wait("processed", count)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["old", "new"])
def test_the_same_messages_meet_the_same_fate(
    home: Home, queue: LiveQueue, project: Project, kind: str
) -> None:
    """Good ones are deleted; one that fails and one that takes too long are hidden for what is left
    of their time.
    """
    for text in ("one", "two", "bad", "long"):
        queue.send(SIGNER.signed(envelope(text, "a subject")))
    limits = {"PER_MESSAGE=120": "PER_MESSAGE=2", "--job-timeout 120": "--job-timeout 2"}
    process = project.starts(snippets()[f"{kind} run"], **limits)
    words(home, 4)
    assert processed(home) == [
        (text, [TOPIC, "Notification", "a subject"]) for text in ("bad", "long", "one", "two")
    ]
    told = {"total_messages": 4, "failed_messages": 2}
    eventually(
        lambda: told.items() <= json.loads(project.health.read_text() or "{}").items(),
        what="a health file",
    )
    assert queue.depth() == Depth(0, 2, 0)
    probe = project.starts(snippets()[f"{kind} probe"])
    assert probe.wait(30) == 0, probe.communicate()
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(30) == (0 if kind == "new" else -signal.SIGTERM)


def test_what_sns_did_not_send_is_not_processed(
    home: Home, queue: LiveQueue, project: Project
) -> None:
    queue.send(
        "no JSON",
        SIGNER.signed(envelope("other", topic=OTHER_TOPIC)),
        Signer.new().signed(envelope("forged")),
    )
    queue.send(SIGNER.signed(envelope("good")))
    process = project.starts(
        snippets()["new run"], **{"--max-seconds 3600": "--max-jobs 4 --retry-delay 600"}
    )
    assert process.wait(60) == 0
    assert [text for text, _ in processed(home)] == ["good"]
    errors = process.communicate()[1]
    assert errors.count("body cannot be used") == 3
    assert "forged" not in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrapper", [(), pytest.param(CONTAINER, marks=pytest.mark.needs("pid namespace"))]
)
def test_a_bounded_run_in_a_container(
    home: Home, queue: LiveQueue, project: Project, wrapper: tuple[str, ...]
) -> None:
    """As process 1 too: the probe finds it alive, it ends by itself, and then the probe says no."""
    text = snippets()["new container"]
    (probe,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", text, re.MULTILINE)
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    ((variable, path),) = re.findall(r"^ENV (.*)=(.*)$", text, re.MULTILINE)
    project.environment |= {
        variable: str(project.health),
        "FLEET_QUEUE": queue.url,
        "FLEET_SNS_TOPIC": TOPIC,
    }
    assert path == "/tmp/health.json"
    queue.send(SIGNER.signed(envelope("one")))
    process = project.starts(" ".join(json.loads(command)), *wrapper, **{"3600": "8"})
    words(home, 1)
    eventually(lambda: project.health.exists(), what="a health file")
    healthy = project.starts(" ".join(json.loads(probe)))
    assert healthy.wait(30) == 0, healthy.communicate()
    assert process.wait(60) == 0, process.communicate()
    assert "--max-seconds" in process.communicate()[1]
    assert project.starts(" ".join(json.loads(probe))).wait(30) == 1
    assert queue.depth() == Depth(0, 0, 0)
