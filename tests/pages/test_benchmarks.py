"""docs/benchmarks.md is what its figures make of its template."""

import json

from bench.page import text
from tests.support.pool import REPOSITORY

DOCS = REPOSITORY / "docs"


def test_the_page_is_made_from_its_run() -> None:
    run = json.loads((DOCS / "benchmarks.json").read_text())
    assert (DOCS / "benchmarks.md").read_text() == text.page(run)
