import numpy as np
import pytest
import torch

from engine.audio.features import DEFAULT_FEATURES, FeatureExtractor
from engine.config import live_config
from engine.face import ARKIT_51
from engine.model.builders import build_gesture_model
from engine.skeleton import BodyPart
from engine.text.words import Vocabulary
from tests.material import CODE_DIM, CODES, save_corpus, save_parts
from training.dataset import CLOCK, encode_take, load_takes
from training.rollout import Lab, Setting, freeze, jaw_of, mouth_report, rest_codes, stack
from training.store import save_module

SILENCE = FeatureExtractor(DEFAULT_FEATURES, CLOCK).silence


@pytest.fixture(scope="module")
def takes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    save_corpus(folder)
    return load_takes(folder, "train", Vocabulary(["hello"]), 1)


@pytest.fixture(scope="module")
def lab(takes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    save_parts(folder / "vq")
    config = live_config(DEFAULT_FEATURES.width, 5, width=16, codes=CODES, code_dim=CODE_DIM)
    torch.manual_seed(1)
    model = build_gesture_model(config)
    for parameter in model.parameters():
        parameter.data.mul_(1.5)
    save_module(folder / "gesture", config, model)
    return Lab(folder / "vq", folder / "gesture", takes[1])


def test_it_rests_in_the_codes_most_used_in_silence(takes, tmp_path):
    parts = save_parts(tmp_path)
    codes = encode_take(takes[1], parts).codes
    for part, code in enumerate(rest_codes(takes[1], parts)):
        counts = torch.bincount(codes[:, part])
        assert counts[code] == counts.max()


def test_short_takes_are_filled_up_with_silence(takes):
    short = type(takes[0])(**{**takes[0].__dict__, "audio": takes[0].audio[:, :20]})
    audio = stack([short, takes[0]], SILENCE)
    assert audio.shape == (2, 60, DEFAULT_FEATURES.width)
    np.testing.assert_array_equal(audio[1], takes[0].audio[0].astype(np.float32))
    np.testing.assert_array_equal(audio[0, 20:], np.tile(SILENCE, (40, 1)))


def test_takes_are_rolled_out_together_as_alone(lab, takes):
    setting = Setting(temperature=0.7)
    audio = stack(takes, SILENCE)[:, :12]
    together = lab.roll(audio, None, setting)
    alone = lab.roll(audio[:1], None, setting)
    assert [len(m) for m in together] == [12, 12]
    np.testing.assert_allclose(
        together[0].poses.rotations, alone[0].poses.rotations, atol=1e-4
    )  # fmt: skip


def test_nothing_is_heard_or_read_before_its_time(lab, takes):
    setting = Setting(temperature=0.0)
    audio = stack(takes[:1], SILENCE)[:, :24]
    words = np.zeros((1, 24), np.int64)
    first = lab.roll(audio, words, setting)[0].poses
    later_audio, later_words = audio.copy(), words.copy()
    later_audio[:, 12:] += 3.0
    later_words[:, 12:] = 4
    for heard, read in ((later_audio, words), (audio, later_words)):
        other = lab.roll(heard, read, setting)[0].poses
        np.testing.assert_array_equal(other.rotations[:12], first.rotations[:12])
        assert np.abs(other.rotations[12:] - first.rotations[12:]).max() > 1e-6


def test_the_slowest_ten_seconds_are_found():
    fast, frozen = np.full(700, 1.0), np.full(700, 1.0)
    frozen[300:600] = 0.02
    assert freeze([fast]) == pytest.approx(1.0)
    assert freeze([fast, frozen]) == pytest.approx(0.02)


def test_a_jaw_that_follows_is_told_from_one_that_does_not(takes):
    true = takes[0].motion
    same = mouth_report([true], takes[:1])
    assert same["jaw_r"] == pytest.approx(1.0)
    assert same["jaw_ratio"] == pytest.approx(1.0)
    face = true.poses.face.copy()
    jaw = ARKIT_51.coefficients.index("jawOpen")
    face[:, jaw] = 0.5 * np.roll(face[:, jaw], 9)
    mute = type(true)(true.format, type(true.poses)(**{**true.poses.__dict__, "face": face}))
    report = mouth_report([mute], takes[:1])
    assert report["jaw_r"] < 0.5
    assert report["jaw_ratio"] == pytest.approx(0.5, abs=0.01)
    np.testing.assert_array_equal(jaw_of(mute), face[:, jaw])


def test_a_setting_has_a_short_name():
    setting = Setting(hop=4, choices={str(BodyPart.FACE): "latent", "upper": "class"})
    assert setting.label() == "hop4 seed16 t0.7 p0.9 l:f"
