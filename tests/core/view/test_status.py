"""What `fleet status` and a supervisor are told."""

from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.outcomes import Outcome, Settlement
from fleet.core.pool.events import Ended, PauseAsked, ScaleAsked
from fleet.core.pool.state import Level, Role
from fleet.core.protocol import Empty, Held, PollFailed, Received, Settled
from fleet.core.view import progress
from fleet.core.view.status import Identity, InHand, reason, snapshot, state
from tests.core.pool.story import DONE, KILLED, Story, helper_ready, running, working

WHO = Identity("work@jobs", 4711, "work:job", "jobs", "2030-01-01T00:00:00+00:00", began=-100.0)
CONTRACT = [
    *(
        "name",
        "pid",
        "app",
        "queue",
        "state",
        "started_at",
        "uptime",
        "desired",
        "size",
        "min",
        "max",
        "idle",
    ),
    *(
        "polling",
        "busy",
        "generation",
        "counts",
        "depth",
        "job_seconds",
        "last_resize",
        "queues",
        "dispatchers",
    ),
]
COUNTS = [
    *(
        "received",
        "succeeded",
        "failed",
        "timed_out",
        "signalled",
        "deleted",
        "released",
        "dead_lettered",
        "left",
    ),
    *("lease_lost", "dispatcher_deaths"),
]
DISPATCHER = [
    "slot",
    "pid",
    "state",
    "queue",
    "job_pid",
    "message_id",
    "attempt",
    "job_age",
    "lease_left",
    "deaths",
    "waits",
]


def shown(story: Story, **in_hand: InHand) -> dict[str, Any]:
    hands = {int(name[1:]): hand for name, hand in in_hand.items()}
    return snapshot(WHO, story.pool, story.pids, hands, story.now)


def test_the_contracts_keys_are_there() -> None:
    told = shown(running())
    assert set(CONTRACT) <= set(told)
    assert list(told["counts"]) == COUNTS
    assert all(list(each) == DISPATCHER for each in told["dispatchers"])


def test_a_quiet_pool() -> None:
    story = running(2)
    story.now = 7.0
    told = shown(story)
    assert (told["name"], told["pid"], told["app"], told["queue"]) == (
        "work@jobs",
        4711,
        "work:job",
        "jobs",
    )
    assert (told["state"], told["reason"], told["uptime"]) == ("running", None, 107.0)
    assert (told["desired"], told["size"], told["min"], told["max"]) == (2, 2, 2, 2)
    assert (told["polling"], told["idle"], told["busy"]) == (1, 1, 0)
    assert (told["depth"], told["job_seconds"], told["last_resize"], told["drain_left"]) == (
        None,
        None,
        None,
        None,
    )
    assert [each["state"] for each in told["dispatchers"]] == ["polling", "idle"]


def test_a_depth_sample_has_an_age() -> None:
    story = running()
    story.sample(7, 2, 1)
    story.now = 4.5
    assert shown(story)["depth"] == {"visible": 7, "in_flight": 2, "delayed": 1, "sampled_ago": 4.5}


def test_a_resize_is_explained() -> None:
    story = running(2)
    story.happens(ScaleAsked(3))
    assert shown(story)["last_resize"] == {"from": 2, "to": 3, "reason": "an operator asked for it"}
    assert (shown(story)["min"], shown(story)["max"]) == (3, 3)
    bounded = running(2, max_workers=9)
    assert (shown(bounded)["min"], shown(bounded)["max"]) == (2, 9)


def test_a_message_in_hand() -> None:
    story = working(1, busy=1)
    story.now = 12.0
    hand = InHand("m1", 2, job_pid=99, job_started_at=10.0, lease_until=30.0, settling=False)
    (told,) = shown(story, s0=hand)["dispatchers"]
    assert told == {
        "slot": 0,
        "pid": 100,
        "state": "working",
        "queue": "jobs",
        "job_pid": 99,
        "message_id": "m1",
        "attempt": 2,
        "job_age": 2.0,
        "lease_left": 18.0,
        "deaths": 0,
        "waits": None,
    }


def test_what_a_job_that_has_returned_waits_for() -> None:
    hand = InHand("m1", 2, 99, 10.0, 30.0, settling=False, waits="thread upload")
    (told,) = shown(working(1, busy=1), s0=hand)["dispatchers"]
    assert told["waits"] == "thread upload"


def test_a_message_before_its_job() -> None:
    (told,) = shown(working(1, busy=1), s0=InHand("m1", 1, 0, 0.0, 20.0, settling=False))[
        "dispatchers"
    ]
    assert (told["job_pid"], told["job_age"], told["message_id"]) == (None, None, "m1")


def test_settling() -> None:
    story = working(1, busy=1)
    (told,) = shown(story, s0=InHand("m1", 1, 99, 0.0, 20.0, settling=True))["dispatchers"]
    assert told["state"] == "settling"
    story.says(0, Held())
    story = working(2, busy=1)
    story.stop()
    story.says(0, Held())
    assert shown(story)["dispatchers"][0]["state"] == "settling"


def test_who_comes_and_who_goes() -> None:
    story = Story(Config(3))
    story.helpers_ready()
    story.comes_up(0)
    assert [each["state"] for each in shown(story)["dispatchers"]] == [
        "polling",
        "starting",
        "starting",
    ]
    story = running(3)
    story.happens(ScaleAsked(2))
    assert [each["state"] for each in shown(story)["dispatchers"]] == [
        "polling",
        "idle",
        "stopping",
    ]
    story.happens(Ended(1))
    assert shown(story)["dispatchers"][1]["state"] == "stopping"


def test_slots_that_are_not_wanted_any_more_are_not_shown() -> None:
    story = running(2)
    story.happens(ScaleAsked(1))
    story.dies(1, how=KILLED)
    assert [each["slot"] for each in shown(story)["dispatchers"]] == [0]


def test_a_slot_whose_dispatcher_has_left_for_good_does_not_start() -> None:
    story = working(2, busy=1)
    story.stop()
    story.says(1, Empty(1.0))
    story.dies(1)
    assert [each["slot"] for each in shown(story)["dispatchers"]] == [0]


def test_deaths_are_counted_by_slot() -> None:
    story = running(2)
    story.dies(1)
    told = shown(story)
    assert [each["deaths"] for each in told["dispatchers"]] == [0, 1]
    assert told["counts"]["dispatcher_deaths"] == 1


def test_lost_leases_are_counted() -> None:
    story = working(1, busy=1)
    story.says(0, Settled(Settlement.DELETE, Outcome.SUCCEEDED, 1.0, bad=False, lease_lost=True))
    assert shown(story)["counts"]["lease_lost"] == 1


def test_how_long_a_job_takes_is_of_now() -> None:
    """Running jobs count for as long as they have run, though nothing has happened since they
    began.
    """
    story = running(2)
    story.says(0, Received(0.0))
    story.now = 0.03
    story.says(1, Received(0.0))
    before, story.now = story.pool, 20.03
    assert shown(story)["job_seconds"] == {
        "mean": pytest.approx(20, abs=0.1),
        "recent": pytest.approx(20, abs=0.1),
    }
    assert story.pool is before, "sizing is not touched"
    story.stop()
    story.now = 40.03
    assert shown(story)["job_seconds"]["mean"] == pytest.approx(40, abs=0.1)


# State, and why.


def test_starting_says_what_is_waited_for() -> None:
    story = Story(Config(1))
    story.tick()
    assert (state(story.pool), reason(story.pool)) == (
        "starting",
        "waiting for the app and the queue",
    )
    story.happens(helper_ready(Role.TEMPLATE))
    assert reason(story.pool) == "waiting for the queue"


def test_degraded_until_the_queue_answers() -> None:
    story = running(1)
    story.says(0, PollFailed("queue 'jobs': SQS answers 503"))
    assert (state(story.pool), reason(story.pool)) == ("degraded", "queue 'jobs': SQS answers 503")
    story.tick(at=60.0)
    story.says(0, Empty(10.0))
    assert (state(story.pool), reason(story.pool)) == ("running", None)
    assert story.queue.trouble == ""


def test_a_hit_heals_as_well() -> None:
    story = running(1)
    story.says(0, PollFailed("no answer"))
    story.tick(at=60.0)
    story.says(0, Received(1.0))
    assert (state(story.pool), story.queue.trouble) == ("running", "")


def test_paused() -> None:
    story = running(1)
    story.happens(PauseAsked(True))
    assert (state(story.pool), reason(story.pool)) == ("paused", "an operator paused it")


def test_draining_says_why_and_how_long() -> None:
    story = working(1, busy=1, drain_timeout=30)
    story.now = 10.0
    story.stop()
    story.now = 14.0
    told = shown(story)
    assert (told["state"], told["reason"], told["drain_left"]) == ("draining", "DRAIN", 26.0)
    story.now = 50.0
    assert shown(story)["drain_left"] == 0


# For a supervisor, and at a terminal.


def test_the_line_for_a_supervisor() -> None:
    story = working(3, busy=1)
    assert progress.status_line(story.pool) == "running: 1/3 busy"
    story.sample(120)
    assert progress.status_line(story.pool) == "running: 1/3 busy, about 120 visible"
    story.happens(PauseAsked(True))
    assert progress.status_line(story.pool).endswith("; an operator paused it")


def test_a_drain_of_its_own_says_what_a_stop_would_do() -> None:
    story = working(1, busy=1, drain_timeout=30, max_seconds=60, job_timeout=600)
    story.tick(60.0)
    assert (
        progress.drain_line(story.pool, 60.0)
        == "draining: 1 job, 600 s left; Ctrl-C gives them 30 s"
    )
    assert (
        progress.drain_line(story.pool, 640.0)
        == "draining: 1 job, 20 s left; Ctrl-C again to stop them now"
    )
    story.stop()
    assert (
        progress.drain_line(story.pool, 60.0)
        == "draining: 1 job, 30 s left; Ctrl-C again to stop them now"
    )


def test_what_a_drain_waits_for() -> None:
    story = working(3, busy=1, drain_timeout=30)
    assert progress.drain_line(story.pool, story.now) == ""
    story.stop()
    assert (
        progress.drain_line(story.pool, 6.0)
        == "draining: 1 job, 1 poll, 24 s left; Ctrl-C again to stop them now"
    )
    assert (
        progress.drain_line(story.pool, 31.0)
        == "draining: 1 job, 1 poll; Ctrl-C again to stop them now"
    )
    story.now = 2.0
    story.stop()
    assert (
        progress.drain_line(story.pool, 2.0) == "draining: 1 job, 1 poll; Ctrl-C again to kill them"
    )
    story.says(0, DONE)
    assert progress.drain_line(story.pool, 2.0) == "draining: 1 poll, about 8 s left"
    story.says(1, Empty(2.0))
    assert progress.drain_line(story.pool, 2.0) == ""


@pytest.mark.parametrize(
    ("jobs", "polls", "text"),
    [(0, 0, ""), (2, 0, "draining: 2 jobs, 5 s left"), (0, 3, "draining: 3 polls, about 8 s left")],
)
def test_waiting(jobs: int, polls: int, text: str) -> None:
    assert progress.describe_wait(jobs, polls, 5.0, 8.0) == text


def test_the_first_line_of_a_drain_says_what_it_waits_for() -> None:
    def waits(story: Story) -> str:
        story.stop()
        return str(story.logged[-1].fields["waits"])

    assert (
        waits(working(3, busy=1, drain_timeout=30))
        == "waits for 1 job (30 s at most) and open polls (about 10 s)"
    )
    assert waits(running(1)) == "waits for open polls (about 10 s)"
    paused = running(1)
    paused.happens(PauseAsked(True))
    paused.says(0, Empty(10.0))
    assert waits(paused) == "nothing is in hand"


def test_a_harder_stop_does_not_say_that_it_waits_no_time() -> None:
    story = working(2, busy=2, exit_timeout=25, drain_timeout=30)
    said = []
    for story.now in (0.0, 2.0, 4.0):
        story.stop()
        said.append(
            next(each for each in reversed(story.logged) if each.event == "drain.started").fields[
                "waits"
            ]
        )
    assert said == [
        "waits for 2 jobs (30 s at most)",
        "waits for 2 jobs to stop (--exit-timeout 25 s)",
        "kills 2 jobs",
    ]


def test_what_is_left_of_a_poll_is_not_rounded_to_nothing() -> None:
    story = running(1)
    story.now = 9.8
    story.stop()
    assert story.logged[-1].fields["waits"] == "waits for open polls (about 1 s)"


@pytest.mark.parametrize("late", [0.0, 8.0])
def test_what_is_left_of_a_poll_is_no_promise(late: float) -> None:
    """Of a queue that does not answer polls come home later."""
    story = running(1)
    story.now = 10.0 + late
    story.stop()
    assert story.logged[-1].fields["waits"] == "waits for open polls (overdue)"


def test_a_pool_that_ends_when_the_queue_is_empty_says_that_it_waits_for_it() -> None:
    def told(story: Story) -> int:
        return sum(each.event == "queue.empty" for each in story.logged)

    story = running(1, until_empty=True, empty_for=60.0)
    for visible, times in ((1, 0), (0, 1), (0, 1), (1, 1), (0, 2)):
        story.sample(visible)
        assert told(story) == times
    assert story.log("queue.empty").fields == {"queue": "jobs", "seconds": 60.0}
    serving = running(1)
    serving.sample(0)
    assert told(serving) == 0


def test_a_killed_pool_offers_nothing_more() -> None:
    story = working(1, busy=1)
    story.stop(Level.KILL)
    assert progress.drain_line(story.pool, 0.0) == "draining: 1 job"
