"""`scripts/bench page`: measure all that docs/benchmarks.md shows, and write the page from it.

scripts/bench page                  measures, writes docs/benchmarks.json, then the page
scripts/bench page --only-write     writes the page from the figures that are there
scripts/bench page --quick          shows that all works; its figures mean nothing
"""

import argparse
import json
import sys
from pathlib import Path

from bench import run
from bench.harness import ROOT, end_on_term
from bench.page import plots, text
from bench.peers import run as peers
from bench.peers.records import FULL, QUICK
from bench.report import Report
from bench.tables import show

DOCS = ROOT / "docs"
FIGURES = DOCS / "benchmarks.json"
MANY_JOBS = 100_000
QUICK_MEASURES = ("latency",)


def main() -> int:
    """Returns 0 if every bar is met, 1 if one is missed or something cannot be measured."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only-write", action="store_true", help="measures nothing")
    parser.add_argument("--quick", action="store_true", help="measures little, in some minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", default=FIGURES, help="the figures")
    options = parser.parse_args()
    end_on_term()
    good = True
    if not options.only_write:
        report = Report(options.json, quick=options.quick)
        run.run(report, QUICK_MEASURES if options.quick else (), jobs=MANY_JOBS)
        peers.run(report, effort=QUICK if options.quick else FULL)
        show(report.figures, report.host)
        good = report.is_good
    figures = json.loads(options.json.read_text())
    (DOCS / "benchmarks.md").write_text(text.page(figures))
    plots.cost(figures, DOCS / "benchmarks-cost.png")
    plots.growth(figures, DOCS / "benchmarks-growth.png")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
