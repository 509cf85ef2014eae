"""The command line of `scripts/bench peers`: measure fleet, Celery, dramatiq and rq beside each
other and beside the bare loops, print the bars, write JSON, and fail when a bar is missed.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.figures import Figure
from bench.harness import end_on_term
from bench.peers import environments, faults, measures
from bench.peers.records import FULL, QUICK, Effort, Record
from bench.peers.subjects import CELERY, FLEET, RQ, SUBJECTS, SYSTEMS
from bench.report import Report
from bench.subjects import Subject
from bench.tables import show

NAMES = (*measures.MEASURES, "faults")
ONCE = ("growth", "idle")  # one round of these is long
LOOPS = ("noop", "slow", "latency", "large", "growth")  # what the bare loops are measured by


def main() -> int:
    """Returns 0 if every bar is met, 1 if one is missed or something cannot be measured."""
    parser = argparse.ArgumentParser(prog="scripts/bench peers", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(NAMES)}; all without one")
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="shows that all works, no figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    for name in options.name:
        if name not in NAMES:
            parser.error(f"there is no {name}; there are {', '.join(NAMES)}")
    end_on_term()
    report = Report(options.json)
    run(report, options.name, options.only, QUICK if options.quick else FULL)
    show(report.figures, f"fleet beside its peers, against a stand-in for SQS\n{report.host}")
    return int(not report.is_good)


def run(
    report: Report,
    names: Sequence[str] = (),
    only: Sequence[str] = (),
    effort: Effort = FULL,
) -> None:
    """All measures, or those named, of all subjects, or of those named. Subjects take turns, so
    that what else the host does meets them all.
    """
    chosen = [subject for name, subject in SUBJECTS.items() if not only or name in only]
    report.versions = environments.versions()
    for name in names or NAMES:
        if name == "faults":
            _play(report, [each for each in chosen if each in SYSTEMS], effort)
            continue
        subjects = [each for each in chosen if name in LOOPS or each in SYSTEMS]
        for turn in range(1 if name in ONCE else effort.rounds):
            for subject in subjects:
                step = partial(_measure, report, name, subject, effort)
                report.step(f"{name} of {subject.name}, round {turn + 1}", step)
    report.figures += bars(report.records)
    report.save()


def _measure(report: Report, name: str, subject: Subject, effort: Effort) -> None:
    for record in measures.MEASURES[name](subject, effort):
        add(report.records, record)


def add(records: list[Record], record: Record) -> None:
    """A round more of the same is a value more."""
    for known in records:
        if known.key == record.key:
            known.values.extend(record.values)
            return
    records.append(record)


def _play(report: Report, subjects: Sequence[Subject], effort: Effort) -> None:
    for scenario in faults.SCENARIOS:
        for subject in subjects:
            step = partial(_scenario, report, scenario, subject, effort)
            report.step(f"{scenario} of {subject.name}", step)


def _scenario(report: Report, scenario: str, subject: Subject, effort: Effort) -> None:
    outcome = faults.play(scenario, subject, effort)
    if outcome:
        report.outcomes.append(outcome)


def bars(records: Sequence[Record]) -> list[Figure]:
    """What issue 15 asks of fleet beside its peers, as far as it was measured."""
    known = {(record.measure, record.subject): record for record in records if record.workers == 8}
    figures = []
    for measure, title, peer, bar, at_least in (
        ("rate", "no-op jobs a second, 8 workers", CELERY, 0.75, True),
        ("rate of 50 ms", "jobs of 50 ms a second, 8 workers", CELERY, 0.97, True),
        ("latency", "send to start, idle, median", CELERY, 1.0, False),
        ("cpu", "CPU per no-op job, 8 workers", RQ, 0.25, False),
    ):
        ours, theirs = (known.get((measure, name)) for name in (FLEET.name, peer.name))
        if ours and theirs and len(ours.values) == len(theirs.values):
            figures.append(
                Figure(
                    title,
                    ours.unit,
                    ours.numbers,
                    theirs.numbers,
                    peer.name,
                    bar=bar,
                    bar_of_ratio=True,
                    at_least=at_least,
                )
            )
    return figures
