import numpy as np
import pytest

from bench.metrics.gestures import gesture_rates, loud_frames, spoken_frames
from bench.metrics.strokes import stroke_times
from engine.clock import FrameClock
from engine.text.words import TimedWord

CLOCK = FrameClock(16000, 10)


def test_short_gaps_are_speech_and_pauses_are_not():
    words = [TimedWord("c", 3.0, 3.5), TimedWord("a", 0.5, 1.0), TimedWord("b", 1.2, 1.4)]
    speaking = spoken_frames(words, 40, CLOCK)
    assert np.flatnonzero(speaking).tolist() == [*range(5, 14), *range(30, 35)]
    assert spoken_frames(words, 8, CLOCK).sum() == 3
    assert not spoken_frames([], 8, CLOCK).any()


def test_a_word_shorter_than_a_frame_is_speech():
    assert spoken_frames([TimedWord("a", 0.51, 0.52)], 9, CLOCK).sum() == 1


def test_loud_frames_are_speech():
    sound = np.full(64000, 1e-4, np.float32)
    sound[16000:32000] = 0.1 * np.sin(np.arange(16000))
    loud = loud_frames(sound, 40, CLOCK)
    assert loud[10:20].all()
    # Pauses shorter than PAUSE_S are closed, which widens speech by a frame at most.
    assert not loud[:9].any()
    assert not loud[21:].any()
    assert not loud_frames(np.zeros(64000, np.float32), 40, CLOCK).any()
    assert len(loud_frames(sound[:100], 40, CLOCK)) == 40


def strokes(peaks: list[int], frames: int = 600) -> np.ndarray:
    speed = np.full(frames, 0.1)
    for peak in peaks:
        speed[peak - 2 : peak + 3] = [0.4, 0.8, 1.2, 0.8, 0.4]
    return speed


def test_rates_in_speech_and_silence():
    speaking = np.zeros(600, bool)
    speaking[:450] = True
    speed = strokes([50, 100, 200, 500])
    rates = gesture_rates(stroke_times(speed, 30.0), speed, speaking, 30.0)
    assert (rates.speech_s, rates.silence_s) == (15.0, 5.0)
    assert rates.strokes_per_minute_in_speech == pytest.approx(3 * 60 / 15)
    assert rates.strokes_per_minute_in_silence == pytest.approx(1 * 60 / 5)
    # 447 frames of 0.1 without three strokes of 3.6 in five frames each.
    assert rates.wrist_speed_in_speech == pytest.approx((0.1 * 435 + 3 * 3.6) / 450)


def test_speech_without_pauses_has_no_rate_in_silence():
    rates = gesture_rates(np.array([50 / 30]), strokes([50]), np.ones(600, bool), 30.0)
    assert rates.strokes_per_minute_in_silence is None
    assert rates.wrist_speed_in_silence is None
    assert rates.silence_s == 0.0
