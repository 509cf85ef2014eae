"""Every snippet of the pages is run: the old call and the new one, on the same messages, say and do
the same.
"""

import re
import signal
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.library.conftest import PRELUDE, Program, Run
from tests.support.pool import REPOSITORY, Home
from tests.support.servers import Depth, LiveQueue

APP = """
from fleet import Dispatcher, Queue  # a page imports them once
from tests.library.stand_in import *
def download(*args, **kwargs):
    word("download", list(args), kwargs)
    if args == ("bad",):
        raise ValueError
    if args == ("killed",):
        os.kill(os.getpid(), signal.SIGKILL)
    if args == ("long",):
        pass_gate("never")
job = download
def generate(file_id, is_retry):
    word("generate", file_id, is_retry)
def validate(job_id, is_retry):
    word("validate", job_id, is_retry)
def clean_up(*args):
    word("cleaned", *args)
def mark_as_failed(*what):
    word("failed", len(what))
def complain(error):
    word("complaint", str(error))
def forget_partial_results(job_id, message_id):
    word("forgotten", job_id, bool(message_id))
def is_ready(job_id):
    return job_id != "early"
def is_nonsense(job_id):
    return job_id == "nonsense"
"""
PAGES = ("docs/library.md", "docs/from-sqsworkdispatcher.md", "README.md")
BLOCK = re.compile(r"<!-- (run|old|new): (\S+) -->\n```python\n(.*?)```", re.DOTALL)


def snippets() -> dict[str, str]:
    """Of all pages, as `page kind name`."""
    found = {}
    for page in PAGES:
        for kind, name, text in BLOCK.findall((REPOSITORY / page).read_text()):
            found[f"{page} {kind} {name}"] = text
    return found


@dataclass(frozen=True)
class Case:
    """Messages, as body and attributes; what is said of them; what is in the queue at the end."""

    sent: tuple[tuple[str, dict[str, str]], ...]
    said: tuple[Any, ...]
    left: Depth = field(default=Depth(0, 0, 0))
    ends: bool = True
    """By itself; else it is told to."""


def message(body: str, **attributes: str) -> tuple[str, dict[str, str]]:
    return body, attributes


LOOP = Case(
    (message("7"), message("bad")),
    (["download", ["7"], {}], ["download", ["bad"], {}], ["failed", 1]),
    Depth(0, 1, 0),
    ends=False,
)
TRANSFORMER = Case(
    (message("7", agency="x"),),
    (["download", [], {"job_id": 7, "agency": "x", "tracking": "t-1"}],),
)
GENERATION = Case((message("f", kind="generation"),), (["generate", "f", False],))
VALIDATION = Case((message("v"),), (["validate", "v", False],))
HANDLER = Case(
    (message("long"),),
    (["download", ["long"], {}], ["forgotten", "long", True]),
    Depth(1, 0, 0),
    ends=False,
)
SIGNALLED = Case(
    (message("killed"), message("bad")),
    (["download", ["killed"], {}], ["download", ["bad"], {}], ["failed", 1]),
    Depth(0, 2, 0),
    ends=False,
)
GUIDE = "docs/from-sqsworkdispatcher.md"
CASES: list[tuple[str, Case]] = [
    (f"{GUIDE} old loop", LOOP),
    (f"{GUIDE} new loop", LOOP),
    (f"{GUIDE} old transformer", TRANSFORMER),
    (f"{GUIDE} new transformer", TRANSFORMER),
    (f"{GUIDE} old router", GENERATION),
    (f"{GUIDE} new router", GENERATION),
    (f"{GUIDE} old router", VALIDATION),
    (f"{GUIDE} new router", VALIDATION),
    (f"{GUIDE} old handler", HANDLER),
    (f"{GUIDE} new handler", HANDLER),
    (f"{GUIDE} new signalled", SIGNALLED),
    (f"{GUIDE} new endings", Case((message("early"),), (), Depth(0, 1, 0))),
    (f"{GUIDE} new endings", Case((message("nonsense"),), ())),
    (f"{GUIDE} new endings", Case((message("fine"),), ())),
    ("docs/library.md run loop", Case((message("a"),), (["download", ["a"], {}],), ends=False)),
    (
        "docs/library.md run errors",
        Case(
            (message("bad"), message("b")),
            (["download", ["bad"], {}], ["failed", 3], ["download", ["b"], {}]),
            Depth(0, 1, 0),
            ends=False,
        ),
    ),
    ("README.md run library", Case((message("a"),), (["download", ["a"], {}],), ends=False)),
]
# Tests of their own, below.
ELSEWHERE = {
    "docs/library.md run priorities",
    "docs/library.md run own-queue",
}


def test_every_snippet_has_a_test() -> None:
    assert set(snippets()) == {name for name, _ in CASES} | ELSEWHERE
    for page in PAGES:
        marked = len(BLOCK.findall((REPOSITORY / page).read_text()))
        assert (REPOSITORY / page).read_text().count("```python") == marked, (
            f"a snippet of {page} is not marked"
        )


def started(run: Run, name: str, queue: LiveQueue, **names: str) -> Program:
    """The snippet as a program; its queues have a test's own names."""
    text = snippets()[name]
    for written, real in ({"jobs": queue.name} | names).items():
        text = text.replace(f'"{written}"', f'"{real}"')
    environment = {"AWS_ENDPOINT_URL_SQS": queue.server.endpoint, "QUEUE_NAME": queue.name}
    return run(text, prelude=PRELUDE + APP, **environment)


def send(queue: LiveQueue, body: str, attributes: dict[str, str]) -> None:
    typed = {
        name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
    }
    queue.send_one(body, typed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "case"), CASES, ids=[f"{name}-{number}" for number, (name, _) in enumerate(CASES)]
)
def test_a_snippet_does_what_its_page_says(
    run: Run, home: Home, queue: LiveQueue, name: str, case: Case
) -> None:
    home.gate("never")
    for body, attributes in case.sent:
        send(queue, body, attributes)
    program = started(run, name, queue)
    if not case.ends:
        last = "download" if case is HANDLER else case.said[-1][0]
        program.words.wait(last, count=sum(said[0] == last for said in case.said))
        if case is not HANDLER:
            queue.wait_depth(case.left.visible, case.left.in_flight)
        program.process.terminate()
    assert program.wait() == (0 if case.ends else -signal.SIGTERM), program.errors()
    assert program.words.all() == list(case.said)
    queue.wait_depth(case.left.visible, case.left.in_flight)


def test_several_queues_by_priority(run: Run, home: Home, queue: LiveQueue) -> None:
    """What is urgent comes first, also what was sent while something else was worked on."""
    gate = home.gate("never")
    normal = LiveQueue.fresh(queue.server)
    queue.send("u1")
    normal.send("long", "n2")
    program = started(
        run, "docs/library.md run priorities", queue, urgent=queue.name, normal=normal.name
    )
    program.words.wait("download", count=2)
    queue.send("u2", "u3")
    gate.open()
    program.words.wait("download", count=5)
    queue.wait_depth()
    normal.wait_depth()
    program.process.terminate()
    assert program.wait() == -signal.SIGTERM
    bodies = [said[1][0] for said in program.words.all()]
    assert bodies[:2] == ["u1", "long"]
    assert sorted(bodies[2:4]) == ["u2", "u3"]
    assert bodies[4] == "n2"


def test_a_queue_of_ones_own(run: Run, queue: LiveQueue) -> None:
    program = started(run, "docs/library.md run own-queue", queue)
    assert program.wait() == 0, program.errors()
    assert program.words.all() == [["download", ["hello"], {}]]
    assert program.output() == "deleted 1\n"
