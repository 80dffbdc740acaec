import pytest

from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.generate.schedule import (
    OFFLINE,
    FileRules,
    Overlap,
    Schedule,
    Tail,
    published_audio_schedule,
    published_text_schedule,
)


def test_the_published_schedule_fills_its_window() -> None:
    assert Schedule(64, 4, 60, 0) == OFFLINE
    assert OFFLINE.first_new == OFFLINE.seed
    for name in ("seed", "hop", "lookahead"):
        one_more = {"seed": 4, "hop": 60, "lookahead": 0}
        one_more[name] += 1
        with pytest.raises(ConfigError, match="must fit into the window of 64 frames"):
            Schedule(64, **one_more)


@pytest.mark.parametrize("hop", range(1, 17))
@pytest.mark.parametrize("lookahead", [0, 1, 4, 16])
def test_live_hops_use_the_largest_seed_that_fits(hop: int, lookahead: int) -> None:
    schedule = Schedule().with_hop(hop, lookahead)
    assert (schedule.window, schedule.hop, schedule.lookahead) == (64, hop, lookahead)
    assert schedule.seed == min(60, 64 - hop - lookahead)
    assert schedule.first_new + hop + lookahead == 64
    assert schedule.first_new >= schedule.seed
    assert schedule.algorithmic_frames == schedule.newest == hop + lookahead


def test_with_hop_keeps_values_that_are_not_given() -> None:
    schedule = Schedule(64, 20, 3, 2)
    assert schedule.with_hop(None, None) == schedule
    assert schedule.with_hop(5, None) == Schedule(64, 20, 5, 2)
    assert schedule.with_hop(None, 0) == Schedule(64, 20, 3, 0)


@pytest.mark.parametrize(("hop", "lookahead"), [(64, 0), (60, 4), (1, 63), (1000, 0)])
def test_a_hop_that_leaves_no_seed_is_refused(hop: int, lookahead: int) -> None:
    with pytest.raises(ConfigError, match="choose a smaller hop or lookahead"):
        Schedule().with_hop(hop, lookahead)


@pytest.mark.parametrize("wrong", [{"hop": 0}, {"hop": -2}, {"seed": 0}, {"lookahead": -1}])
def test_counts_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="hop >= 1, seed >= 1 and lookahead >= 0"):
        Schedule(**wrong)


def test_the_smallest_schedule_is_valid() -> None:
    assert Schedule(2, 1, 1).first_new == 1


@pytest.mark.parametrize("frames", [9, 10, 11, 12, 64, 68, 69, 100])
def test_the_audio_reference_rounds_the_frames_of_a_file_down(frames: int) -> None:
    """A frame has 533.33 samples; the sample that contains its end must be complete."""
    clock = FrameClock()
    rules = published_audio_schedule().files
    assert rules is not None
    end = clock.first_sample(frames)
    for samples in (end - 1, end, end + 1, end + 500):
        assert rules.frames(samples, clock) == samples * 30 // 16000
    assert rules.frames(end, clock) == frames - (frames % 3 > 0)
    assert clock.frames_complete(end) == frames


def test_the_text_reference_counts_complete_groups_of_eight_frames() -> None:
    clock = FrameClock()
    rules = published_text_schedule().files
    assert rules is not None
    assert rules.frames(clock.first_sample(184), clock) == 184
    assert rules.frames(clock.first_sample(184) - 1, clock) == 176


@pytest.mark.parametrize(
    ("schedule", "fewest"),
    [
        (Schedule(), 1),
        (published_audio_schedule(), 9),
        (published_audio_schedule(8, 4), 8),
        (published_text_schedule(), 64),
        (published_text_schedule(20, 4), 24),
    ],
)
def test_the_minimum_length_of_a_file(schedule: Schedule, fewest: int) -> None:
    assert schedule.fewest == fewest


def test_published_windows_overlap_by_their_seeds() -> None:
    for schedule in (published_audio_schedule(), published_text_schedule()):
        assert schedule.newest is None
        assert (schedule.window, schedule.seed, schedule.hop) == (64, 4, 60)
    rules = FileRules(Overlap.LATER, Tail.PARTIAL)
    with pytest.raises(ConfigError, match=r"overlap by their seeds: seed 4 \+ hop 50"):
        Schedule(64, 4, 50, files=rules)
    with pytest.raises(ConfigError, match="multiple must be at least 1"):
        FileRules(Overlap.LATER, Tail.PARTIAL, multiple=0)
