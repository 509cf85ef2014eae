"""The measurements of peers, on fleet, which needs no installation."""

import pytest

from bench.peers import faults, run
from bench.peers.records import QUICK, Record
from bench.peers.subjects import CELERY, FLEET, RQ
from bench.report import Report


def test_rounds_of_the_same_are_one_record() -> None:
    report = Report(None)
    for value in (1.0, 2.0):
        run.add(report.records, Record("cpu", "fleet", "ms", [value]))
    run.add(report.records, Record("cpu", "fleet", "ms", [3.0], 4))
    assert [record.values for record in report.records] == [[1.0, 2.0], [3.0]]


@pytest.mark.parametrize(("rate", "met"), [(74.0, False), (75.0, True)])
def test_the_bar_of_the_rate_is_three_quarters_of_celerys(rate: float, met: bool) -> None:
    records = [
        Record("rate", FLEET.name, "/s", [rate]),
        Record("rate", CELERY.name, "/s", [100.0]),
        Record("rate", RQ.name, "/s", [100.0]),
    ]
    assert [figure.met for figure in run.bars(records)] == [met]


@pytest.mark.process
@pytest.mark.slow
def test_a_killed_job_costs_no_message_and_leaves_no_process() -> None:
    outcome = faults.play("worker killed", FLEET, QUICK)
    assert outcome is not None
    assert (outcome.not_done, outcome.lost, outcome.twice, outcome.orphans) == (0, 0, 0, 0)
    assert outcome.hidden > 0
    assert outcome.over is not None
