"""The streaming laws for the whole stream, and further guarantees of `GestureStream`."""

import dataclasses
import sys
from typing import Any

import numpy as np
import pytest
import torch

from bench.quality.lookahead import Recording
from engine.audio import SAMPLE_RATE
from engine.config.model import FrontEnd
from engine.errors import ConfigError, ShapeError
from engine.generate.sampling import SamplingConfig
from engine.generate.schedule import Schedule
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.motion.pose import FrameFlag, PoseChunk, concatenate
from engine.stream.stream import GestureStream
from engine.text.words import TimedWord
from tests.support import laws
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle


def to_array(chunks: list[PoseChunk]) -> np.ndarray:
    """All values of the frames, one row per frame."""
    if not chunks:
        return np.zeros((0, 55 * 4 + 3 + 4 + 51), np.float32)
    poses = concatenate(chunks)
    arrays = (poses.rotations, poses.translation, poses.contacts, poses.face)
    return np.concatenate([a.reshape(len(poses), -1) for a in arrays], 1)


class StreamAdapter:
    """Adapts `GestureStream` to the streaming laws: samples in, array out."""

    def __init__(self, **options: Any) -> None:
        self.stream = GestureStream(tiny_bundle(), **options)
        self.words: list[TimedWord] = []

    def feed(self, samples: np.ndarray) -> np.ndarray:
        self.stream.feed_audio(samples)
        return to_array(self.stream.drain())

    def reset(self) -> None:
        self.stream.reset()
        self.stream.feed_words(self.words)

    def snapshot(self) -> Any:
        return self.stream.snapshot()

    def restore(self, state: Any) -> None:
        self.stream.restore(state)


SCHEDULES = [
    Schedule(24, 16, 1),
    Schedule(24, 20, 4),
    Schedule(24, 8, 2, lookahead=3),
    Schedule(24, 4, 20),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_any_split_gives_the_same_frames(schedule: Schedule) -> None:
    laws.split_law(StreamAdapter(schedule=schedule), babble(1.6))


def test_live_equals_file() -> None:
    """Feeding block by block gives the frames of feeding the whole file and flushing."""
    samples = babble(2.03)
    file = GestureStream(tiny_bundle())
    file.feed_audio(samples)
    whole = to_array(file.flush())
    live = GestureStream(tiny_bundle())
    chunks = []
    for start in range(0, len(samples), 160):
        live.feed_audio(samples[start : start + 160])
        chunks += live.drain()
    chunks += live.flush()
    np.testing.assert_array_equal(to_array(chunks), whole)
    assert len(whole) == len(samples) * 30 // SAMPLE_RATE


@pytest.mark.parametrize("lookahead", [0, 2])
def test_no_frame_depends_on_audio_after_its_window(lookahead: int) -> None:
    schedule = Schedule(24, 16, 2, lookahead)
    adapter = StreamAdapter(schedule=schedule)

    def end_of(frame: int) -> int:
        hop_end = (frame // schedule.hop + 1) * schedule.hop
        return adapter.stream.clock.first_sample(hop_end + lookahead)

    laws.look_ahead_law(adapter, babble(1.6), end_of, [5, 12, 23])


def test_latents_have_no_gradient_from_later_features() -> None:
    """Speech features of a frame do not depend on audio features of later frames."""
    bundle = tiny_bundle()
    audio = torch.randn(1, 24, bundle.config.features.width, requires_grad=True)
    words = torch.zeros(1, 24, dtype=torch.int64)
    for parameter in bundle.gesture.parameters():
        parameter.requires_grad_(True)
    face, body = bundle.gesture.speech(audio, words)
    (gradient,) = torch.autograd.grad(face[0, 10].sum() + body[0, 10].sum(), audio)
    assert float(gradient[0, 11:].abs().max()) == 0.0
    assert float(gradient[0, :11].abs().max()) > 0.0


def test_restored_snapshots_repeat_the_frames() -> None:
    laws.snapshot_law(StreamAdapter(), babble(1.6), [0, 4000, 12345])


def test_reset_clears_the_state() -> None:
    laws.reset_law(StreamAdapter(), babble(1.2))


def test_equal_seeds_give_equal_motion() -> None:
    samples = babble(1.0)
    first, repeated, other = (StreamAdapter(seed=seed).feed(samples) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, repeated)
    assert not np.array_equal(first, other)


def test_words_change_the_motion_from_the_first_hop_with_them() -> None:
    samples = babble(1.6)
    without, with_word = StreamAdapter(), StreamAdapter()
    with_word.stream.feed_words([TimedWord("no", 0.8, 1.2)])
    a, b = without.feed(samples), with_word.feed(samples)
    assert np.array_equal(a[:24], b[:24])
    assert not np.array_equal(a[26:], b[26:])


def test_late_words_do_not_change_the_threshold_of_the_newest_frames() -> None:
    """Words arrive 0.3 s after their end and change thresholds within their reach of 3 frames."""
    bundle = tiny_bundle()
    recording = Recording(EagerKernel(bundle.gesture))
    stream = GestureStream(bundle, step=staged_step(bundle, kernel=recording))
    samples, words = babble(2.0), [TimedWord("hello", 0.2 * n, 0.2 * n + 0.1) for n in range(8)]
    for start in range(0, len(samples), 1600):
        known_s = (start + 1600) / SAMPLE_RATE - 0.3
        stream.feed_words([word for word in words if known_s - 0.1 < word.end_s <= known_s])
        stream.feed_audio(samples[start : start + 1600])
        stream.drain()
    assert bundle.gesture.cue is not None
    visible_words = torch.cat([window.words for window in recording.inputs])
    thresholds = bundle.gesture.cue.thresholds(visible_words)
    assert visible_words.any()
    assert (thresholds[:, -4:] == -1.0).all()
    near = torch.nn.functional.max_pool1d((visible_words != 0).float()[:, None], 7, 1, 3)[:, 0]
    assert torch.equal(thresholds == 0.0, near > 0)


def test_predictions_are_fed_back() -> None:
    """Equal audio after different history gives different frames."""
    loud, end = babble(1.0), babble(1.0, seed=5)
    quiet = np.zeros_like(loud)
    a = StreamAdapter().feed(np.concatenate([loud, end]))[-3:]
    b = StreamAdapter().feed(np.concatenate([quiet, end]))[-3:]
    assert not np.allclose(a, b)


def test_poses_are_rotations() -> None:
    rows = StreamAdapter().feed(babble(1.0))
    quaternions = rows[:, :220].reshape(-1, 4)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1.0, atol=1e-5)


def test_noise_without_voice_is_flagged_and_replaced_by_silence() -> None:
    stream = GestureStream(tiny_bundle())
    noise = np.random.default_rng(0).normal(0, 1e-3, SAMPLE_RATE).astype(np.float32)
    stream.feed_audio(noise)
    flags = concatenate(stream.drain()).flags
    assert all(flag & FrameFlag.IDLE for flag in flags)
    quiet = GestureStream(tiny_bundle())
    quiet.feed_audio(np.zeros(SAMPLE_RATE, np.float32))
    stream.reset()
    stream.feed_audio(noise)
    np.testing.assert_array_equal(to_array(stream.drain()), to_array(quiet.drain()))


def test_the_root_moves_in_bounded_steps() -> None:
    """The root moves, and by less than 0.5 m per frame."""
    stream = GestureStream(tiny_bundle(temperature=0.0))
    stream.feed_audio(babble(2.0))
    poses = concatenate(stream.drain())
    steps = np.diff(poses.translation[:, 0])
    assert np.abs(steps).max() < 0.5
    assert np.abs(steps).sum() > 0


def test_cancel_continues_without_a_jump() -> None:
    stream = GestureStream(tiny_bundle())
    stream.feed_audio(np.zeros(SAMPLE_RATE, np.float32))
    stream.drain()
    stream.feed_audio(babble(2.0))
    before = concatenate(stream.drain())
    stream.cancel()
    stream.feed_audio(np.zeros(SAMPLE_RATE, np.float32))
    after = concatenate(stream.drain())
    assert after.first == before.first + len(before)
    jump = np.linalg.norm(after.rotations[0] - before.rotations[-1])
    usual = np.linalg.norm(np.diff(before.rotations, axis=0), axis=(1, 2)).max()
    assert jump < 3 * usual


def test_an_unknown_speaker_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown speaker 7"):
        GestureStream(tiny_bundle(), speaker=7)


def test_frames_carry_their_sample_index() -> None:
    stream = GestureStream(tiny_bundle())
    stream.feed_audio(babble(1.0))
    for chunk in stream.drain():
        for frame in chunk.frames(stream.clock):
            assert frame.sample == frame.index * 16000 // 30


def test_the_latency_is_hop_plus_lookahead() -> None:
    stream = GestureStream(tiny_bundle(), schedule=Schedule(24, 16, 4, 2))
    assert stream.latency.hop_wait_ms == pytest.approx(100.0)
    assert stream.latency.lookahead_ms == pytest.approx(66.667, abs=1e-3)
    assert dataclasses.replace(stream.latency).algorithmic_ms == pytest.approx(166.667, abs=1e-3)


PUBLISHED = [FrontEnd.WAVE, FrontEnd.RHYTHM]


class PublishedAdapter(StreamAdapter):
    """A stream of a tiny bundle like the published checkpoints; files: with their file schedule."""

    def __init__(self, kind: FrontEnd, *, files: bool) -> None:
        bundle = tiny_published_bundle(kind)
        config = bundle.config
        self.stream = GestureStream(
            bundle, schedule=config.file_schedule if files else config.schedule
        )
        self.words = []
        self.files = files

    def feed(self, samples: np.ndarray) -> np.ndarray:
        self.stream.feed_audio(samples)
        return to_array(self.stream.drain())

    def render_file(self, samples: np.ndarray, sizes: list[int]) -> np.ndarray:
        self.stream.reset()
        outputs = laws.feed_in(self, samples, sizes)
        return np.concatenate([outputs, to_array(self.stream.flush())])


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_models_obey_the_laws_live(kind: FrontEnd) -> None:
    adapter = PublishedAdapter(kind, files=False)
    laws.split_law(adapter, babble(1.6))
    laws.snapshot_law(adapter, babble(1.6), [4000, 12345])
    laws.reset_law(adapter, babble(1.2))


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_models_wait_for_their_declared_samples(kind: FrontEnd) -> None:
    stream = PublishedAdapter(kind, files=False).stream
    need = stream.first_hop_samples
    stream.feed_audio(np.zeros(need - 1, np.float32))
    assert not stream.ready
    stream.feed_audio(np.zeros(1, np.float32))
    assert stream.ready
    front_ms = stream.latency.lookahead_ms
    assert front_ms == pytest.approx(1023 / 16 if kind is FrontEnd.RHYTHM else 0.0)


# seconds and frames of the reference implementations, with windows of 24 and seeds of 4
LENGTHS = {
    FrontEnd.WAVE: [(0.2, 0), (0.3, 9), (0.8, 20), (0.9, 20), (1.0, 30), (1.5, 40), (2.2, 60)],
    FrontEnd.RHYTHM: [(0.3, 0), (0.8, 24), (1.45, 24), (1.5, 24), (1.6, 44), (2.2, 64)],
}


@pytest.mark.parametrize(
    ("kind", "seconds", "frames"), [(k, *row) for k, rows in LENGTHS.items() for row in rows]
)
def test_a_file_has_the_length_of_the_reference(
    kind: FrontEnd, seconds: float, frames: int
) -> None:
    samples = babble(seconds)
    adapter = PublishedAdapter(kind, files=True)
    assert len(adapter.render_file(samples, [len(samples)])) == frames


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_file_is_the_same_for_any_split(kind: FrontEnd) -> None:
    samples = babble(2.3)
    adapter = PublishedAdapter(kind, files=True)
    results = [adapter.render_file(samples, sizes) for sizes in laws.splits(len(samples))]
    assert len(results[0]) > 40
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_published_file_schedules_require_temperature_zero() -> None:
    bundle = tiny_published_bundle(FrontEnd.WAVE)
    config = dataclasses.replace(bundle.config, sampling=SamplingConfig(0.5))
    with pytest.raises(ConfigError, match=r"set the sampling temperature to 0, not 0\.5"):
        GestureStream(dataclasses.replace(bundle, config=config), schedule=config.file_schedule)


@pytest.mark.parametrize("files", [True, False])
def test_a_stream_may_start_from_a_given_motion(files: bool) -> None:
    bundle = tiny_published_bundle(FrontEnd.WAVE)
    schedule = bundle.config.file_schedule if files else bundle.config.schedule
    rng = np.random.default_rng(0)
    start = rng.standard_normal((4, 337)).astype(np.float32)
    kernel = Recording(EagerKernel(bundle.gesture))
    step = staged_step(bundle, schedule, kernel=kernel)
    stream = GestureStream(bundle, schedule=schedule, step=step, start=start)
    stream.feed_audio(babble(1.5))
    stream.flush()
    motion = kernel.inputs[0].motion[0]
    at = 0 if files else schedule.first_new - 4
    np.testing.assert_array_equal(motion[at : at + 4], start)
    with pytest.raises(ShapeError, match=r"a start is motion \[1\.\.\d+, 337\]"):
        GestureStream(bundle, schedule=schedule, start=start[:, :330])


def test_a_missing_voice_detector_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    stream = GestureStream(tiny_bundle())
    assert "pip install webrtcvad-wheels" in stream.events.notes[0]
