"""`scripts/bench page`: measure all that docs/benchmarks.md shows, and write the page from it.

scripts/bench page                  measures, writes docs/benchmarks.json, then the page
scripts/bench page --only-write     writes the page from the figures that are there
scripts/bench page --again apps     measures that anew; the page says so
scripts/bench page --quick          shows that all works; its figures mean nothing
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import run
from bench.harness import ROOT, end_on_term
from bench.page import plots, text
from bench.peers import run as peers
from bench.peers.records import FULL, QUICK
from bench.report import Report, lines
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
    parser.add_argument("--again", nargs="+", choices=run.MEASURES, help="beside what is there")
    parser.add_argument("--quick", action="store_true", help="measures little, in some minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", default=FIGURES, help="the figures")
    options = parser.parse_args()
    end_on_term()
    good = True
    if options.again:
        good = measure_again(options.json, options.again)
    elif not options.only_write:
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


def measure_again(file: Path, names: Sequence[str]) -> bool:
    """Replace these figures in the file, and note there what was done. Returns as `is_good`."""
    known = json.loads(file.read_text())
    report = Report(None)
    run.run(report, names, jobs=MANY_JOBS)
    show(report.figures, report.host)
    anew = report.plain()
    measures = {figure["measure"] for figure in anew["figures"]}
    known["figures"] = [each for each in known["figures"] if each["measure"] not in measures]
    known["figures"] += anew["figures"]
    known["broken"] += anew["broken"]
    known.setdefault("again", []).append(f"{', '.join(names)} at commit {anew['commit']}")
    file.write_text(lines(known))
    return report.is_good


if __name__ == "__main__":
    sys.exit(main())
