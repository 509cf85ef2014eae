"""The benchmark's command line: run all measurements or those named, print one table, fail when a
bar is missed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench import cpu, measures, memory, pool, queues
from bench.figures import Figure
from bench.harness import Endpoint, end_on_term
from bench.report import Report
from bench.tables import show

Measure = Callable[[Endpoint], list[Figure]]
MEASURES = cpu.MEASURES | measures.MEASURES | pool.MEASURES | memory.MEASURES | queues.MEASURES


def main() -> int:
    """Returns 0 if every bar is met, 1 if one is missed or something cannot be measured."""
    options = _options()
    end_on_term()
    report = Report(options.json)
    run(report, options.name, baseline=options.baseline, jobs=options.jobs)
    show(report.figures, f"fleet beside its floors, against a stand-in for SQS\n{report.host}")
    return int(not report.is_good)


def run(
    report: Report,
    names: Sequence[str] = (),
    *,
    baseline: str = cpu.BASELINE,
    jobs: int = memory.MANY_JOBS,
) -> None:
    """All measures, or those named."""
    chosen: dict[str, Measure] = MEASURES | {
        "cpu": partial(cpu.cpu, baseline=baseline),
        "endurance": partial(memory.endurance, jobs=jobs),
    }
    with Endpoint() as endpoint:
        for name in names or chosen:
            report.step(name, partial(_measure, report, chosen[name], endpoint))


def _measure(report: Report, measure: Measure, endpoint: Endpoint) -> None:
    report.figures += measure(endpoint)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure fleet beside bare loops of the same calls."
    )
    parser.add_argument("name", nargs="*", help=f"of {', '.join(MEASURES)}; all without one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--baseline",
        metavar="COMMIT",
        default=cpu.BASELINE,
        help="the commit of fleet that `cpu` measures beside this tree [%(default)s]",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=int,
        default=memory.MANY_JOBS,
        help="what one pool of `endurance` does [%(default)s]",
    )
    options = parser.parse_args()
    for name in options.name:
        if name not in MEASURES:
            parser.error(f"there is no {name}; there are {', '.join(MEASURES)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
