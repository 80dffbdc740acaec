from pathlib import Path

import numpy as np
import pytest

from engine.audio.features import FeatureExtractor, mel_weights
from engine.clock import FrameClock
from engine.config.features import FeatureConfig
from engine.errors import ConfigError, ShapeError
from engine.events import BAD_SAMPLE, EventCounter
from tests.support.audio import babble, sine
from tests.support.laws import look_ahead_law, reset_law, snapshot_law, split_law

CONFIG = FeatureConfig()
CLOCK = FrameClock()


def extractor(clock: FrameClock = CLOCK) -> FeatureExtractor:
    return FeatureExtractor(CONFIG, clock)


@pytest.mark.parametrize("clock", [CLOCK, FrameClock(24000, 25)])
def test_any_split_gives_the_same_bits(clock: FrameClock) -> None:
    sound = babble(1.5, clock.sample_rate)
    features = split_law(extractor(clock), sound)
    assert features.shape == (clock.frames_complete(len(sound)), CONFIG.width)
    assert features.dtype == np.float32


def test_no_frame_depends_on_later_samples() -> None:
    look_ahead_law(extractor(), babble(0.7), lambda k: CLOCK.first_sample(k + 1), range(20))


def test_the_last_sample_of_a_frame_is_used() -> None:
    piece = extractor()
    for frame in (0, 1, 7):
        click = np.zeros(8000, np.float32)
        click[CLOCK.first_sample(frame + 1) - 1] = 1.0
        piece.reset()
        voiced = piece.feed(click)[:, CONFIG.groups["level"]][:, 1] > -0.9
        assert voiced.argmax() == frame


def test_snapshot_and_reset() -> None:
    sound = babble(1.0)
    snapshot_law(extractor(), sound, (0, 1, 533, 7000))
    reset_law(extractor(), sound)


def test_a_frame_is_output_as_soon_as_it_is_complete() -> None:
    piece = extractor()
    for frame in range(40):
        length = CLOCK.first_sample(frame + 1) - CLOCK.first_sample(frame)
        assert len(piece.feed(np.zeros(length - 1, np.float32))) == 0
        assert len(piece.feed(np.zeros(1, np.float32))) == 1


def test_silence_is_one_fixed_vector() -> None:
    piece = extractor()
    quiet = piece.feed(np.zeros(16000, np.float32))
    np.testing.assert_array_equal(quiet, np.tile(piece.silence, (30, 1)))
    piece.feed(babble(1.0))
    np.testing.assert_array_equal(piece.feed(np.zeros(16000, np.float32))[-10:], quiet[-10:])


def test_values_stay_in_range() -> None:
    rng = np.random.default_rng(0)
    for sound in (babble(2.0), rng.uniform(-1, 1, 9000), np.full(9000, 3e38), sine(440, 1, 16000)):
        features = extractor().feed(np.asarray(sound, np.float32))
        assert np.isfinite(features).all()
        assert features.min() >= -1.5
        assert features.max() <= 2.0
    assert extractor().feed(babble(2.0))[:, CONFIG.groups["onset"]].max() > 0.5


def test_non_finite_samples_become_zero_and_are_counted() -> None:
    events = EventCounter()
    sound = np.zeros(4000, np.float32)
    sound[[5, 700, 701]] = np.nan, np.inf, -np.inf
    piece = FeatureExtractor(CONFIG, CLOCK, events)
    np.testing.assert_array_equal(piece.feed(sound), np.tile(piece.silence, (7, 1)))
    assert events.snapshot()[BAD_SAMPLE] == 3


@pytest.mark.parametrize("hertz", [70, 110, 155, 240, 380])
def test_pitch(hertz: float) -> None:
    sound = sum(sine(hertz * h, 0.5, 16000, 0.2 / h) for h in range(1, 9))
    periodic, pitch = extractor().feed(sound)[-1, CONFIG.groups["pitch"]]
    assert periodic > 0.95
    assert pitch / periodic == pytest.approx(np.log2(hertz / 155), abs=0.03)


def test_noise_has_no_pitch_and_a_level() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
    features = extractor().feed(noise)[3:]
    assert features[:, CONFIG.groups["pitch"]][:, 0].mean() < 0.4
    # 10 log10(2 * 0.1^2) = -17 dB on a scale of -70 dB (-1) to 0 dB (1)
    assert features[:, CONFIG.groups["level"]][:, 0].mean() == pytest.approx(0.514, abs=0.01)


def test_a_sine_excites_its_own_band_at_its_own_level() -> None:
    features = extractor().feed(sine(1000, 0.5, 16000, 1.0))
    bands = features[-1, CONFIG.groups["mel_late"]]
    weights = mel_weights(CONFIG, 16000)
    assert bands.argmax() == weights[32].argmax()
    assert bands.max() == pytest.approx(1.0, abs=0.1)


@pytest.mark.librosa
def test_onsets_agree_with_librosa() -> None:
    import librosa

    clock = FrameClock(16000, 25)  # the four positions of a frame are 160 samples apart
    sound = babble(6.0)
    ours = extractor(clock).feed(sound)[:, CONFIG.groups["onset"]]
    padded = np.concatenate([np.zeros(512 - 160, np.float32), sound])
    mel = librosa.feature.melspectrogram(
        y=padded, sr=16000, n_fft=512, hop_length=160, center=False, n_mels=64, fmax=7600
    )
    flux = librosa.onset.onset_strength(
        S=librosa.power_to_db(mel, amin=1e-5, top_db=None), sr=16000, center=False
    )
    theirs = flux[: 4 * len(ours)].reshape(-1, 4)
    assert np.corrcoef(ours[:, 0], theirs.max(axis=1))[0, 1] > 0.95
    assert np.corrcoef(ours[:, 1], theirs.mean(axis=1))[0, 1] > 0.95


@pytest.mark.parametrize(
    ("config", "clock"),
    [
        ({"positions": 3}, CLOCK),
        ({"bands": 0}, CLOCK),
        ({"floor_db": 0.0}, CLOCK),
        ({"bands": 200}, CLOCK),
        ({}, FrameClock(8000, 30)),
    ],
)
def test_settings_out_of_range_are_refused(config: dict[str, float], clock: FrameClock) -> None:
    with pytest.raises(ConfigError):
        FeatureExtractor(FeatureConfig(**config), clock)  # type: ignore[arg-type]


def test_stereo_is_refused() -> None:
    with pytest.raises(ShapeError):
        extractor().feed(np.zeros((100, 2), np.float32))


@pytest.mark.reference
def test_a_real_take_uses_the_range_of_the_features(shared_dir: Path) -> None:
    import soundfile

    sound, _ = soundfile.read(shared_dir / "data" / "beat2" / "2_scott_0_1_1.flac", dtype="float32")
    features = extractor().feed(sound[: 16000 * 20])
    spread = features.std(axis=0)
    assert spread.min() > 0.1
    assert np.abs(features).max() <= 2.0
