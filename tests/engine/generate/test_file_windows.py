"""FileWindows: layouts of windows of files, and the steps that it refuses."""

from dataclasses import replace

import pytest

from engine.errors import ConfigError
from engine.generate.file_windows import FileWindows
from engine.generate.schedule import (
    Schedule,
    published_audio_schedule,
    published_text_schedule,
)
from engine.generate.step import HopStep
from engine.kernels.from_bundle import staged_step
from tests.support.tiny_bundle import tiny_bundle

LATER, EARLIER = published_audio_schedule(24, 4), published_text_schedule(24, 4)


def windows(schedule: Schedule, step: HopStep | None = None) -> FileWindows:
    assert schedule.files is not None
    step = step or staged_step(tiny_bundle(temperature=0.0), schedule)
    return FileWindows(schedule, schedule.files, step)


def test_the_later_window_replaces_the_end_of_the_earlier_one() -> None:
    layout = windows(LATER).layout(24, first=False)
    assert (layout.seed, layout.new) == (slice(0, 4), slice(0, 20))
    assert windows(LATER).layout(13, first=False).new == slice(0, 13)


def test_the_earlier_window_keeps_its_end() -> None:
    assert windows(EARLIER).layout(24, first=True).new == slice(0, 24)
    assert windows(EARLIER).layout(24, first=False).new == slice(4, 24)


def test_sampling_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"temperature to 0, not 0\.7, for all parts"):
        windows(LATER, staged_step(tiny_bundle(temperature=0.7), LATER))


def test_a_step_of_live_hops_only_is_refused() -> None:
    class Fused:
        name = "openvino"
        staged = staged_step(tiny_bundle(temperature=0.0), LATER)
        sampler, decoder = staged.sampler, staged.decoder

    with pytest.raises(ConfigError, match="the step of openvino computes live hops only"):
        windows(LATER, Fused())  # type: ignore[arg-type]


def test_rules_of_another_schedule_change_the_layout() -> None:
    rules = replace(LATER, files=EARLIER.files)
    assert windows(rules).layout(24, first=False).new == slice(4, 24)
