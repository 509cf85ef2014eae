"""`scripts/bench page`: measure all that docs/benchmarks.md shows, and write the page from it.

scripts/bench page                  measures, writes docs/benchmarks.json, then the page
scripts/bench page --only-write     writes the page from the figures that are there
scripts/bench page --again apps     measures that anew, of fleet and its floors; the page says so
scripts/bench page --again-peers slow faults       the same, of fleet and its peers
scripts/bench page --quick          shows that all works; its figures mean nothing
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
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
# What is measured anew takes the place of what is the same in these.
KEYS = {
    "figures": ("measure", "beside"),
    "records": ("measure", "subject", "workers"),
    "outcomes": ("scenario", "subject"),
}


def main() -> int:
    """Returns 0 if every bar is met, 1 if one is missed or something cannot be measured."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only-write", action="store_true", help="measures nothing")
    anew = partial(parser.add_argument, nargs="+", default=[], metavar="NAME")
    anew("--again", choices=run.MEASURES, help="beside what is there")
    anew("--again-peers", choices=peers.NAMES, help="beside what is there")
    parser.add_argument("--quick", action="store_true", help="measures little, in some minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", default=FIGURES, help="the figures")
    options = parser.parse_args()
    end_on_term()
    good = True
    if options.again or options.again_peers:
        good = measure_again(options.json, options.again, options.again_peers)
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


def measure_again(file: Path, floors: Sequence[str], of_peers: Sequence[str]) -> bool:
    """Replace these figures in the file, and note there what was done. Returns as `is_good`."""
    known = json.loads(file.read_text())
    report = Report(None)
    if floors:
        run.run(report, floors, jobs=MANY_JOBS)
    if of_peers:
        peers.run(report, of_peers)
    show(report.figures, report.host)
    anew = report.plain()
    for kind, keys in KEYS.items():
        found = {tuple(each[key] for key in keys) for each in anew[kind]}
        kept = [each for each in known[kind] if tuple(each[key] for key in keys) not in found]
        known[kind] = kept + anew[kind]
    known["broken"] += anew["broken"]
    known["versions"] = anew["versions"] or known["versions"]
    what = [*floors, *(f"{name} of the peers" for name in of_peers)]
    known.setdefault("again", []).append(f"{', '.join(what)}, at commit {anew['commit']}")
    file.write_text(lines(known))
    return report.is_good


if __name__ == "__main__":
    sys.exit(main())
