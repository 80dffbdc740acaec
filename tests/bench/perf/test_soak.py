"""A short soak test of a tiny model, and its report."""

import numpy as np
import pytest

from bench.perf import soak as module
from bench.perf.memory import Reading
from bench.perf.soak import FrameCounter, report, soak
from engine.bundle.io import DEMO_SOUND
from engine.events import EventCounter
from engine.motion.pose import FrameFlag, PoseFrame
from engine.session.telemetry import Summary
from engine.stream.stream import GestureStream
from tests.support.tiny_bundle import tiny_bundle


def frame(index: int) -> PoseFrame:
    zeros = np.zeros(4, np.float32)
    rotations = np.zeros((55, 4), np.float32)
    return PoseFrame(index, 0, rotations, zeros[:3], zeros, zeros, FrameFlag.NONE)


def test_missing_and_repeated_frames_are_counted() -> None:
    count = FrameCounter()
    for index in (0, 1, 2, 2, 3, 5, 6):
        count.send(frame(index))
    assert (count.frames, count.gaps) == (7, 2)


def test_allocations_of_the_first_minute_are_not_growth() -> None:
    readings = [Reading(2.0 * k, 100.0 + min(2.0 * k, 60.0)) for k in range(90)]
    result = report(Summary("tiny"), FrameCounter(), 300, readings, {"stalls": 2})
    assert result["rss_settled_mb"] == result["rss_end_mb"] == 160.0
    assert (result["rss_spread_mb"], result["growth_mb_per_minute"]) == (0.0, 0.0)
    assert (result["frames"], result["expected_frames"]) == (0, 300)
    short = report(Summary("tiny"), FrameCounter(), 1, readings[:3], {})
    assert short["rss_spread_mb"] == 4.0


@pytest.mark.slow
def test_no_frame_is_lost_under_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY_S", 0.1)
    events = EventCounter()
    result = soak(GestureStream(tiny_bundle(), events=events), events, DEMO_SOUND, 3.0, 4.0, 1)
    assert result["frames"] == result["expected_frames"] == 360
    # After a long stall of the host the session skips frames and counts an overrun.
    assert result["gaps"] == result["events"]["overrun"]
    assert result["unrest"]["words"] > 0
    assert result["rss_settled_mb"] > 50
