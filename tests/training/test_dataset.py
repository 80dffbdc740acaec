import numpy as np
import pytest
import torch

from engine.audio.features import DEFAULT_FEATURES, FeatureExtractor
from engine.errors import ConfigError
from engine.layout import MOTION
from engine.rotation import from_sixd, to_sixd
from engine.skeleton import BodyPart
from engine.text.words import UNK, Vocabulary
from tests.material import CODES, save_corpus, save_parts
from training.dataset import CLOCK, GestureWindows, encode_take, features_of, load_takes

WORDS = Vocabulary(["hello"])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    save_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def takes(corpus):
    return load_takes(corpus, "train", WORDS, 3)


@pytest.fixture(scope="module")
def windows(takes, tmp_path_factory):
    return GestureWindows(takes, save_parts(tmp_path_factory.mktemp("vq")), 24)


def _draw(windows, rows=64, **shares):
    shares = {"silence": 0.0, "wordless": 0.0, "true": 1.0, **shares}
    return windows.draw(rows, torch.Generator().manual_seed(3), **shares)


def test_a_take_is_told_by_frames(takes):
    spoken, silent = takes
    assert (spoken.name, spoken.voice, spoken.silent) == ("train_000", "tone", False)
    assert silent.silent
    assert spoken.audio.shape == (3, 60, DEFAULT_FEATURES.width)
    np.testing.assert_array_equal(spoken.words[[14, 15, 29, 30, 40, 42]], [0, 4, 4, UNK, UNK, 0])
    assert silent.words.max() == 0
    np.testing.assert_allclose(spoken.stressed, [0.7], atol=1e-6)


def test_the_first_variant_is_what_the_engine_hears(takes, corpus):
    samples = np.load(corpus / "train_000.npz")["audio"].astype(np.float32) / 32768
    live = FeatureExtractor(DEFAULT_FEATURES, CLOCK).feed(samples)
    np.testing.assert_allclose(takes[0].audio[0, : len(live)], live, atol=4e-3)


def test_the_other_variants_are_other_microphones(takes):
    clean, *worn = takes[0].audio.astype(np.float32)
    for variant in worn:
        assert np.abs(variant - clean).max() > 0.05
        # It stays the same speech: what was loud is louder still than what was not.
        assert variant[20:40].mean() > variant[:14].mean()
    assert np.abs(worn[0] - worn[1]).max() > 0.05


def test_features_are_computed_once(takes, corpus, monkeypatch):
    monkeypatch.setattr("training.dataset.FeatureExtractor", None)
    again = features_of([corpus / "train_000.npz"], 3)
    np.testing.assert_array_equal(again[0], takes[0].audio)


def test_splits_stay_apart_and_can_be_cut_short(corpus):
    assert [t.name for t in load_takes(corpus, "test", WORDS, 1)] == ["test_000"]
    assert [t.name for t in load_takes(corpus, "train", WORDS, 3, limit=1)] == ["train_000"]


def test_without_a_corpus_the_stage_is_named(tmp_path):
    with pytest.raises(ConfigError, match="stage compose"):
        load_takes(tmp_path, "train", WORDS, 1)


def test_codes_are_those_of_the_parts_and_decoded_turns_are_turns(takes, tmp_path):
    parts = save_parts(tmp_path)
    encoded = encode_take(takes[0], parts)
    assert encoded.codes.shape == (60, len(BodyPart))
    assert 0 <= encoded.codes.min() <= encoded.codes.max() < CODES
    for index, part in enumerate(BodyPart):
        own = parts[part].nearest(encoded.latents[None, :, index])[0]
        assert torch.equal(own, encoded.codes[:, index])
    sixd = encoded.motion[:, MOTION.slice("rot6d")].reshape(60, 55, 6)
    torch.testing.assert_close(to_sixd(from_sixd(sixd)), sixd, atol=1e-5, rtol=0)


def test_silence_is_drawn_from_silent_takes(windows):
    silent = _draw(windows, silence=1.0)
    assert silent.words.max() == 0
    spoken = _draw(windows, silence=0.0)
    assert {4, UNK} <= set(spoken.words.unique().tolist())


def test_half_the_windows_may_lack_their_words(windows):
    assert _draw(windows, wordless=1.0).words.max() == 0
    # Windows of 24 frames always reach into the speech here but for the earliest and latest.
    share = (_draw(windows, 300, wordless=0.5).words.max(1).values > 0).float().mean()
    whole = (_draw(windows, 300).words.max(1).values > 0).float().mean()
    assert share / whole == pytest.approx(0.5, abs=0.1)


def test_a_window_shows_one_moment_in_everything(windows, takes):
    batch = _draw(windows, 8)
    vectors = torch.from_numpy(takes[0].vectors)
    for row in range(8):
        away = (vectors.unfold(0, 24, 1).transpose(1, 2) - batch.motion[row]).abs().amax((1, 2))
        first = int(away.argmin())
        assert away[first] < 0.01
        heard = takes[0].audio[:, first : first + 24].astype(np.float32)
        assert np.abs(heard - batch.audio[row].numpy()).max((1, 2)).min() == 0
        np.testing.assert_array_equal(batch.words[row], takes[0].words[first : first + 24])


def test_true_or_decoded_motion_is_shown(windows, takes):
    where = torch.from_numpy(takes[0].vectors)
    for share, near in ((1.0, True), (0.0, False)):
        motion = _draw(windows, 4, true=share).motion
        away = torch.stack([(where - m[0]).abs().amax(1).min() for m in motion])
        assert bool((away < 0.01).all()) == near


def test_the_spread_of_latents_is_that_of_each_part(windows, takes):
    assert windows.latent_scale.shape == (len(BodyPart),)
    assert windows.latent_scale.min() > 0
