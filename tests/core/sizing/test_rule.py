"""The size that a sample asks for: properties, and stories told sample by sample."""

from dataclasses import dataclass, field, replace
from math import ceil

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.sizing import rule, workload
from fleet.core.sizing.rule import GROWTH, SOON, SOONEST, Need, Scene, Sizing
from fleet.core.sizing.workload import Workload

CONFIG = Config(
    min_workers=1, max_workers=64, target_wait=60.0, shrink_after=300.0, depth_interval=15.0
)


def learned(seconds: float, load: float = 0.0) -> Workload:
    """A host that knows how long a job takes, and how busy it has been."""
    return Workload(load=load, worked=1000 * seconds, finished=1000)


def full(desired: int, room: int | None = None) -> Scene:
    """Every dispatcher is busy."""
    return Scene(desired, desired, desired, spare=False, room=room)


def quiet(desired: int) -> Scene:
    """No dispatcher is busy."""
    return Scene(desired, desired, 0, spare=True)


@dataclass
class Story:
    """One host; a sample every interval."""

    work: Workload = field(default_factory=lambda: learned(2.0))
    config: Config = CONFIG
    size: int = 8
    now: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        self.sizing = Sizing()

    def sample(self, visible: int, in_flight: int = 0, scene: Scene | None = None) -> int:
        """The next sample, every dispatcher busy, or as the scene says; the size that follows."""
        scene = replace(scene or full(self.size), desired=self.size)
        self.sizing, self.size = rule.decide(
            self.sizing,
            [rule.only_part(self.work, Depth(visible, in_flight), scene, self.config)],
            scene,
            self.config,
            self.now,
            self.jitter,
        )
        self.now += self.config.sample_interval
        return self.size

    def quiet(self, samples: int) -> list[int]:
        """So many samples of an empty queue, nobody busy."""
        return [self.sample(0, scene=quiet(self.size)) for _ in range(samples)]


# What is needed.


def needed(
    visible: int,
    in_flight: int,
    seconds: float,
    scene: Scene,
    load: float = 0.0,
    jitter: float = 0.0,
) -> Need:
    return alone(learned(seconds, load), Depth(visible, in_flight), scene, jitter)


def alone(work: Workload, depth: Depth, scene: Scene, jitter: float = 0.0) -> Need:
    """What the only queue needs."""
    return rule.estimate_need([rule.only_part(work, depth, scene, CONFIG)], 0.0, jitter)


@pytest.mark.parametrize(
    ("visible", "seconds", "busy", "then"),
    [
        (0, 2.0, 8, 0),
        (1, 2.0, 8, 1),
        (640, 2.1, 8, 45),  # 640 × 2.1 s / 30 s
        (120, 2.0, 8, 8),
        (121, 2.0, 8, 9),
        (1, 3600.0, 1, 2),  # one message of an hour's job is one dispatcher's work
        (3, 3600.0, 8, 11),
        (10, 60.0, 20, 20),  # twenty jobs of a minute free ten dispatchers in half of it
        (10, 600.0, 20, 30),
    ],
)
def test_the_backlog_shall_have_begun_within_half_the_target(
    visible: int, seconds: float, busy: int, then: int
) -> None:
    assert needed(visible, busy, seconds, full(busy)).size == then


@pytest.mark.parametrize(
    ("load", "then"), [(0.0, 0), (0.2, 1), (7.9, 8), (8.0, 8), (8.001, 8), (8.2, 9)]
)
def test_the_load_is_needed_whatever_waits(load: float, then: int) -> None:
    assert needed(0, 8, 2.0, full(8), load).size == then
    assert needed(1, 8, 2.0, full(8), load).size == max(1, then)


def test_nothing_is_asked_for_on_behalf_of_jobs_that_nobody_has_seen() -> None:
    assert alone(Workload(), Depth(1000, 0), quiet(1)).size == 0


def test_the_reason_has_the_terms() -> None:
    assert needed(640, 8, 2.1, full(8)).terms == "640 visible × 2.1 s / 30 s = 45"
    assert needed(640, 32, 2.1, full(8)).terms == "640 visible × 25.0% ours × 2.1 s / 30 s = 12"
    assert needed(3, 8, 3600.0, full(8)).terms == "3 visible + 8 busy = 11"
    assert needed(0, 8, 2.0, full(8), load=7.4).terms == "7.4 busy on average"


# Our share.


def test_hosts_of_one_queue_ask_together_for_what_one_would_ask_for() -> None:
    alone = needed(1600, 40, 3.0, full(40)).size
    assert alone == 160
    assert sum(needed(1600, 40, 3.0, full(8)).size for _ in range(5)) == alone


def test_a_new_host_has_a_share_from_its_first_second() -> None:
    # Beside forty others.
    assert needed(1600, 40, 3.0, Scene(8, 8, 0, spare=False)).size == ceil(1600 * 8 / 48 * 3 / 30)


def test_what_others_work_on_is_not_our_need() -> None:
    assert needed(0, 1000, 3.0, full(8), load=8.0).size == 8


def test_what_we_have_left_hidden_is_not_others_work() -> None:
    work = learned(3.0)
    for _ in range(32):
        work = workload.note_end(work, 8, hidden_for=50.0)
    seen = alone(replace(work, worked=3.0 * work.finished), Depth(160, 40), full(8))
    assert seen.size == 16
    assert needed(160, 40, 3.0, full(8)).size == 4  # had others been at work on them


def test_messages_that_wait_in_a_dispatchers_batch_are_not_others_work() -> None:
    batches = replace(full(4), held=40)
    assert needed(160, 40, 3.0, batches).size == 16
    assert needed(160, 80, 3.0, batches).size == 8  # another host has as many


@pytest.mark.parametrize(("jitter", "then"), [(0.0, 1), (0.89, 1), (0.91, 2), (0.999, 2)])
def test_a_part_of_a_message_is_a_message_with_that_probability(jitter: float, then: int) -> None:
    assert needed(100, 1000, 3600.0, full(1), jitter=jitter).size == then


# Growing.


def test_a_burst_grows_by_doubling_to_what_the_formula_says() -> None:
    story = Story(size=1)
    sizes = [story.sample(640, story.size) for _ in range(6)]
    assert sizes == [5, 10, 20, 40, 43, 43]  # 640 × 2 s / 30 s


def test_every_change_says_why() -> None:
    story = Story(learned(2.1))
    story.sample(640, 8)
    assert story.sizing.why == "640 visible × 2.1 s / 30 s = 45, 16 is the step"
    story.sample(0, scene=full(16))
    assert story.sizing.why == "0.0 busy on average"


def test_nothing_grows_while_a_dispatcher_is_spare() -> None:
    assert Story().sample(640, scene=Scene(8, 8, 7, spare=True)) == 8


def test_nothing_grows_when_the_newest_poll_came_home_empty() -> None:
    story = Story()
    story.sizing = rule.note_poll(story.sizing, None)
    assert story.sample(640) == 8
    # Nothing has been heard since: a poll of long ago says nothing of now.
    assert story.sample(640) == 16


@pytest.mark.parametrize("took", [0.1, 9.0])
def test_a_poll_that_came_home_with_a_message_ends_the_doubt(took: float) -> None:
    story = Story()
    for poll in (None, took):
        story.sizing = rule.note_poll(story.sizing, poll)
    assert story.sample(640) == 16


def test_one_message_of_an_hours_job_grows_nothing_by_sixty() -> None:
    story = Story(learned(3600.0), size=1)
    # The lag may show it twice; one at a time all the same.
    assert [story.sample(1, 1) for _ in range(2)] == [
        2,
        3,
    ]


def test_the_maximum_and_the_memory_limit_growth_and_say_so() -> None:
    story = Story(config=replace(CONFIG, max_workers=10))
    assert story.sample(640, 8) == 10
    assert story.sizing.why == "640 visible × 2 s / 30 s = 43, at most 10 (--max-workers)"
    story = Story(learned(2.1))
    assert story.sample(640, 8, full(8, room=6)) == 14
    assert story.sizing.why == "640 visible × 2.1 s / 30 s = 45, memory allows 14"


def test_too_little_memory_takes_nobody_away() -> None:
    story = Story()
    assert story.sample(640, 8, Scene(8, 8, 3, spare=False, room=0)) == 8
    assert story.sizing.why.endswith("memory allows 3")


def test_the_first_job_is_always_allowed() -> None:
    assert Scene(8, 8, 0, spare=True, room=-3).roomy == 1


# Shrinking.


def test_the_pool_shrinks_to_the_largest_need_of_the_last_five_minutes() -> None:
    story = Story(size=32)
    assert story.quiet(20) == [32] * 20  # 300 s
    assert story.quiet(6) == [16, 8, 4, 1, 1, 1]
    assert story.sizing.why == "at most 0 needed for 300 s, at least 1 (--min-workers)"


def test_a_need_in_between_begins_the_five_minutes_anew() -> None:
    story = Story(size=32)
    story.quiet(19)
    story.sample(360, 32)  # 24
    assert story.quiet(19) == [24] * 19
    assert story.quiet(1) == [12]


def test_a_burst_that_is_over_is_left_step_by_step() -> None:
    story = Story(size=4)
    while story.size < 43:
        story.sample(640, story.size)
    assert story.quiet(19) == [43] * 19
    assert story.quiet(6) == [22, 11, 6, 2, 1, 1]


def test_the_next_step_waits_for_the_one_before() -> None:
    story = Story(size=32)
    story.quiet(21)
    assert story.size == 16
    assert story.sample(0, scene=Scene(16, 24, 24, spare=False)) == 16  # eight still work
    assert story.sample(0, scene=quiet(16)) == 8


def test_without_samples_the_size_is_held_and_the_window_begins_again() -> None:
    story = Story(size=32)
    story.quiet(10)
    story.now += 3600.0
    assert story.quiet(20) == [32] * 20
    assert story.quiet(1) == [16]


# When the next sample is wanted.


def wants(sizing: Sizing, scene: Scene, age: float, visible: int = 0) -> bool:
    return rule.wants_sample(
        replace(sizing, sampled_at=100.0),
        [rule.only_part(learned(2.0), Depth(visible, 8), scene, CONFIG)],
        scene,
        CONFIG,
        100.0 + age,
    )


IDLE_BEFORE, TIGHT_BEFORE = Sizing(tight=False), Sizing(tight=True)
SOONEST_SECONDS, SOON_SECONDS = SOONEST * CONFIG.sample_interval, SOON * CONFIG.sample_interval


def test_a_pool_that_has_become_busy_to_the_last_wants_a_sample_at_once() -> None:
    assert wants(IDLE_BEFORE, full(8), SOONEST_SECONDS)
    assert not wants(IDLE_BEFORE, full(8), SOONEST_SECONDS - 0.01)
    assert not wants(IDLE_BEFORE, Scene(8, 8, 7, spare=True), 15.0)
    assert not wants(TIGHT_BEFORE, full(8), 15.0)


def test_while_messages_come_at_once_samples_come_sooner() -> None:
    assert wants(replace(TIGHT_BEFORE, quick=True), full(8), SOON_SECONDS)
    assert not wants(replace(TIGHT_BEFORE, quick=True), full(8), SOON_SECONDS - 0.01)
    assert not wants(replace(TIGHT_BEFORE, quick=False), full(8), 15.0)


def test_a_sample_that_asks_for_more_than_there_is_wants_another() -> None:
    assert wants(TIGHT_BEFORE, full(8), SOONEST_SECONDS, 640)
    assert not wants(TIGHT_BEFORE, full(8), SOONEST_SECONDS, 100)


def test_a_pool_that_cannot_grow_wants_no_sample() -> None:
    assert not wants(IDLE_BEFORE, full(64), 15.0)
    assert not wants(IDLE_BEFORE, full(8, room=0), 15.0)


# Properties.

SECONDS = st.floats(0.001, 10_000)
COUNTS = st.integers(0, 100_000)
SIZES = st.integers(1, 500)
JITTERS = st.floats(0, 1, exclude_max=True)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    desired = draw(SIZES)
    size = draw(st.integers(desired, desired + 20))
    return Scene(
        desired,
        size,
        draw(st.integers(0, size)),
        draw(st.booleans()),
        draw(st.none() | st.integers(-5, 500)),
    )


WORKS = st.builds(learned, SECONDS, st.floats(0, 500))


@st.composite
def sizings(draw: st.DrawFn) -> Sizing:
    size = draw(SIZES)
    return Sizing(
        ((0.0, size),),
        draw(st.sampled_from((-100.0, 0.0))),
        tight=draw(st.booleans()),
        quick=draw(st.sampled_from((True, False, None))),
    )


@given(sizings(), WORKS, scenes(), COUNTS, COUNTS, st.integers(0, 1000), JITTERS)
def test_monotone_in_the_backlog(
    sizing: Sizing,
    work: Workload,
    scene: Scene,
    visible: int,
    in_flight: int,
    more: int,
    jitter: float,
) -> None:
    less, greater = (
        rule.decide(
            sizing,
            [rule.only_part(work, Depth(count, in_flight), scene, CONFIG)],
            scene,
            CONFIG,
            15.0,
            jitter,
        )[1]
        for count in (visible, visible + more)
    )
    assert less <= greater


@given(
    sizings(),
    WORKS,
    scenes(),
    COUNTS,
    COUNTS,
    JITTERS,
    st.integers(1, 50),
    st.integers(0, 450),
    st.floats(1, 1000),
)
def test_within_bounds_and_in_bounded_steps(
    sizing: Sizing,
    work: Workload,
    scene: Scene,
    visible: int,
    in_flight: int,
    jitter: float,
    least: int,
    width: int,
    at: float,
) -> None:
    config = replace(CONFIG, min_workers=least, max_workers=least + width)
    assume(least <= scene.desired <= least + width)
    part = rule.only_part(work, Depth(visible, in_flight), scene, config)
    after, size = rule.decide(sizing, [part], scene, config, at, jitter)
    assert least <= size <= least + width
    assert (
        scene.desired - max(GROWTH, scene.desired // 2)
        <= size
        <= scene.desired + max(GROWTH, scene.desired)
    )
    if size > scene.desired:
        assert not scene.spare
        assert sizing.quick is not False
        assert size <= scene.roomy
    assert after.why


@given(st.integers(0, 200), st.floats(0.1, 100), st.integers(1, 64))
def test_settles_on_a_constant_input(visible: int, seconds: float, start: int) -> None:
    story = Story(learned(seconds), size=start)
    sizes = [story.sample(visible, story.size) for _ in range(60)]
    # Single steps are for messages that nobody took.
    assert len(set(sizes[30:])) == 1 or seconds * visible > 64 * 30


@given(st.lists(st.integers(-7, 7), min_size=40, max_size=40), st.integers(2, 20))
def test_never_flaps_on_noise_below_a_messages_worth(noise: list[int], size: int) -> None:
    """A dispatcher is worth fifteen messages here: counts that are off by fewer change nothing once
    it has settled.
    """
    story = Story(learned(2.0, load=size - 0.5), size=size)
    middle = 15 * size - 8
    assert {story.sample(middle + off, size) for off in noise} == {size}
