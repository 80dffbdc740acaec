"""StreamInput: windows and their flags; the streaming laws are tested in test_stream.py."""

import sys

import numpy as np
import pytest

from engine.errors import AudioError, ConfigError
from engine.events import EventCounter
from engine.generate.schedule import Schedule, published_audio_schedule, published_text_schedule
from engine.stream.input import StreamInput, speaker_index
from engine.text.words import TimedWord, Vocabulary
from tests.support.audio import babble
from tests.support.tiny_bundle import WORDS, tiny_config

SCHEDULE = Schedule(24, 16, 2, lookahead=1)


def make_input() -> StreamInput:
    return StreamInput(tiny_config(), SCHEDULE, Vocabulary(WORDS))


def test_a_hop_waits_for_its_look_ahead() -> None:
    stream_input = make_input()
    need = stream_input.first_hop_samples
    assert need == 1600  # three frames
    stream_input.feed_audio(np.zeros(need - 1, np.float32))
    assert not stream_input.ready
    stream_input.feed_audio(np.zeros(1, np.float32))
    assert stream_input.ready
    window = stream_input.next_window()
    assert [len(each) for each in window] == [3, 24, 2]
    assert not stream_input.ready
    stream_input.feed_audio(np.zeros(1067, np.float32))
    assert len(stream_input.next_window().audio) == 2


def test_word_ids_are_aligned_with_the_window() -> None:
    stream_input = make_input()
    stream_input.feed_words([TimedWord("hello", 0.0, 0.08)])
    stream_input.feed_audio(np.zeros(16000, np.float32))
    words = stream_input.next_window().words  # frames -21 to 2
    assert words.tolist() == [0] * 21 + [6, 6, 0]


def test_after_the_end_silence_is_padded_until_the_last_frame() -> None:
    stream_input = make_input()
    stream_input.feed_audio(babble(0.35))  # ten frames
    stream_input.finish()
    hops = 0
    while True:
        while stream_input.ready:
            stream_input.next_window()
            hops += 1
        if not stream_input.pad_with_silence():
            break
    assert stream_input.frames_received == 10
    assert (stream_input.next_frame, hops) == (10, 5)


def test_frames_beyond_the_audio_are_unvoiced() -> None:
    stream_input = make_input()
    stream_input.feed_audio(babble(0.4))
    voiced = stream_input.take_voiced(20)
    assert any(voiced[:12])
    assert not any(voiced[12:])


def test_cancel_replaces_queued_features_by_silence() -> None:
    stream_input = make_input()
    stream_input.feed_words([TimedWord("hello", 0.0, 1.0)])
    stream_input.feed_audio(babble(0.5))
    stream_input.cancel()
    window = stream_input.next_window()
    np.testing.assert_array_equal(window.audio, np.tile(stream_input.front_end.silence, (3, 1)))
    assert not window.words.any()
    assert window.voiced == (False, False)
    assert not any(stream_input.take_voiced(10))


@pytest.mark.parametrize(
    ("schedule", "minimum"),
    [
        (SCHEDULE, 533),
        (published_audio_schedule(24, 4), 4800),  # nine frames
        (published_audio_schedule(24, 5), 5867),  # eleven, of which the last needs its last sample
        (published_text_schedule(24, 4), 12800),
        (published_text_schedule(20, 4), 12800),  # cut to a multiple of eight
    ],
)
def test_audio_too_short_for_any_pose_is_refused(schedule: Schedule, minimum: int) -> None:
    stream_input = StreamInput(tiny_config(), schedule, Vocabulary(WORDS))
    stream_input.require_sound()  # none yet: nothing was wanted of it
    stream_input.feed_audio(np.zeros(minimum - 1, np.float32))
    with pytest.raises(AudioError, match=rf"{minimum - 1} samples .* give no poses.* at least"):
        stream_input.require_sound()
    stream_input.feed_audio(np.zeros(1, np.float32))
    stream_input.require_sound()


def test_speakers_are_found_by_name_and_number() -> None:
    assert speaker_index(["anna", "ben"], "ben") == 1
    assert speaker_index(["anna", "ben"], 0) == 0
    with pytest.raises(ConfigError, match=r"unknown speaker 'eve'; this bundle has 0 \(anna\), 1"):
        speaker_index(["anna", "ben"], "eve")


def test_a_missing_voice_detector_is_noted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    events = EventCounter()
    for _ in range(2):
        StreamInput(tiny_config(), SCHEDULE, Vocabulary(WORDS), events)
    assert len(events.notes) == 1
    assert "pip install webrtcvad-wheels" in events.notes[0]
