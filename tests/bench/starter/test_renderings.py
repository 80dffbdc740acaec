"""Scenes by a tiny bundle, live and cut into parts; and by the composer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.starter import renderings as module
from bench.starter.renderings import (
    Scene,
    beginnings,
    composed,
    cut,
    live,
    recorded,
    whole,
    with_transcript,
)
from bench.starter.speech_set import Part, until
from engine.motion.pose import concatenate
from engine.stream.stream import GestureStream
from engine.text.words import TimedWord
from tests.support.tiny_bundle import tiny_bundle
from tests.support.training_fixtures import tone_take, waving
from training.composer.blend import Clip
from training.data.clips import save_clip


def parts() -> list[Part]:
    return [Part(f"voice {seed}", tone_take("test", seed, 1.5).speech) for seed in (1, 2)]


def test_parts_are_cut_from_one_stream() -> None:
    bundle, own = tiny_bundle(), parts()
    made = live(GestureStream(bundle), own)
    assert [len(scene.motion) for scene in made] == [45, 45]
    stream = GestureStream(bundle)
    words = [*own[0].words, *(module._later(w, 1.5) for w in own[1].words)]
    stream.feed_words(words)
    stream.feed_audio(np.concatenate([part.speech.samples for part in own]))
    alone = concatenate([*stream.drain(), *stream.flush()])
    np.testing.assert_array_equal(whole(made).poses.rotations, alone.rotations)
    assert whole(made).poses.first == 0


def test_words_can_be_left_out() -> None:
    bundle = tiny_bundle()
    spoken, silent = (
        whole(live(GestureStream(bundle), parts(), with_words=words)).poses.rotations
        for words in (True, False)
    )
    assert spoken.shape == silent.shape
    assert np.abs(spoken - silent).max() > 1e-6


def test_late_words_are_fed_after_their_end() -> None:
    class RecordingStream(GestureStream):
        def feed_words(self, words: Sequence[TimedWord]) -> None:
            received.extend((word, self._input._samples / 16000) for word in words)
            super().feed_words(words)

    received: list[tuple[TimedWord, float]] = []
    own = parts()
    live(RecordingStream(tiny_bundle()), own, late_s=0.3)
    said = [*own[0].words, *(module._later(w, 1.5) for w in own[1].words)]
    assert [word for word, _ in received] == [word for word in said if word.end_s + 0.3 <= 3.0]
    assert len(received) > 2
    for word, fed_s in received:  # before the 20 ms block of audio in which the word is known
        assert -1e-6 <= word.end_s + 0.3 - fed_s <= 0.02 + 1e-6


def test_cuts_and_beginnings() -> None:
    motion = waving(1, 60)
    piece = cut(motion, 10, 20)
    np.testing.assert_array_equal(piece.poses.face, motion.poses.face[10:20])
    part = parts()[0]
    (short,) = beginnings([Scene(part, motion)], [until(part, 1.0)])
    assert len(short.motion) == 30
    assert short.seconds == 1.0


def test_scenes_with_transcript_are_selected() -> None:
    part = parts()[0]
    unknown = Part("x", part.speech, has_transcript=False)
    both = [Scene(p, waving(1, 45)) for p in (part, unknown)]
    assert with_transcript(both) == both[:1]


def test_recorded_motion_is_found_by_the_name_of_the_part(tmp_path: Path) -> None:
    save_clip(tmp_path / "voice 2.npz", waving(1, 45), {})
    (scene,) = recorded(tmp_path, parts())
    assert scene.part.name == "voice 2"
    assert len(scene.motion) == 45
    assert scene.part.speech.duration == pytest.approx(1.5)


def test_the_composer_moves_to_the_same_speech(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [
        Clip(name, *(getattr(waving(seed, 60).poses, k) for k in ("rotations", "translation",
             "contacts")), use=use, split="train", family=family)
        for seed, (name, use, family) in enumerate(
            [("idle", "idle", ""), ("beat", "gesture", "BeatMid"), ("me", "gesture", "Me")]
        )
    ]  # fmt: skip
    monkeypatch.setattr(module, "load_clips", lambda folder: clips)
    without_text = Part("x", parts()[0].speech, has_transcript=False)
    (scene,) = composed(tmp_path, [parts()[0], without_text])
    assert len(scene.motion) == 45
    assert scene.motion.poses.face.shape == (45, 51)
