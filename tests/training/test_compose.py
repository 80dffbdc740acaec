"""Takes composed from clips and a speaker that hums; one of them with a real synthesiser."""

import ctypes
import json

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.face import ARKIT_51
from engine.pose import Motion, PoseChunk, PoseFormat
from engine.rotation import exp, identity, log
from tests.material import tone_take
from training import compose
from training.blend import MARKERS, ease
from training.clips import load_clip, save_clip, write_json
from training.compose import compose_take, load_clips, save_take, silent_take, speak, vocabulary
from training.face import JAW_RADIANS
from training.layers import FPS, ClipLibrary
from training.plan import KEYWORDS
from training.speech import RATE, Phone, Speech, SpokenWord, Voice

SENTENCES = [f"The {word} is very long today." for word in "abcdefghijklmnopqrstuvwxyz"]


def _motion(lift, frames):
    """Hanging arms; elbows that bend by `lift` and stay."""
    rotations = identity(frames, 55)
    way = lift * ease(np.linspace(0, 3, frames))[:, None]
    for shoulder, elbow, side in ((16, 18, -1.0), (17, 19, 1.0)):
        rotations[:, shoulder] = exp(np.array([0, 0, side * 1.3], np.float32))
        rotations[:, elbow] = exp((way * np.array([0, side, 0])).astype(np.float32))
    place = np.tile(np.array([0, 1.28, 0], np.float32), (frames, 1))
    still = (np.ones((frames, 4), np.float32), np.zeros((frames, 51), np.float32))
    return Motion(PoseFormat(), PoseChunk(0, rotations, place, *still))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    table = []
    for name, use, lift in (("idle", "idle", 0.0), ("a", "gesture", 1.7), ("b", "gesture", 1.5)):
        save_clip(folder / "clips" / f"{name}.npz", _motion(lift, 90), {})
        entry = {"name": name, "use": use, "family": "BeatMid", "hand": "both", "actor": "A"}
        table.append({**entry, "split": "test" if name == "b" else "train", "times": {}})
    table[1]["times"] = {marker: 0.1 * i for i, marker in enumerate(MARKERS)}
    table.append({"name": "walk", "use": "unused"})
    write_json(folder / "clips.json", table)
    return folder


@pytest.fixture(scope="module")
def library(data):
    return ClipLibrary(load_clips(data), "train")


@pytest.fixture
def hum(monkeypatch):
    """Every word takes 0.3 s, the second half its vowel."""

    def synthesize(text, voice):
        names = text.lower().strip(".!?").replace(",", "").split()
        at = np.arange(int(0.3 * len(names) * RATE)) / RATE
        words = [SpokenWord(w, 0.3 * i, 0.3 * i + 0.3, 0.3 * i + 0.15, 0.3 * i + 0.3)
                 for i, w in enumerate(names)]  # fmt: skip
        phones = [Phone("aa", w.start, w.end) for w in words]
        samples = (0.5 * np.sin(2 * np.pi * 150 * at)).astype(np.float32)
        return Speech(samples, tuple(phones), tuple(words))

    monkeypatch.setattr(compose, "synthesize", synthesize)


def test_used_clips_are_loaded_with_their_markers(data):
    clips = {clip.name: clip for clip in load_clips(data)}
    assert set(clips) == {"idle", "a", "b"}
    assert clips["a"].times == pytest.approx((0.0, 0.1, 0.2, 0.3, 0.4))
    assert clips["b"].times == ()
    assert clips["b"].split == "test"


def test_missing_clips_and_sentences_are_named(tmp_path):
    with pytest.raises(ConfigError, match="stage retarget"):
        load_clips(tmp_path)
    with pytest.raises(ConfigError, match="sentences"):
        compose.run({}, tmp_path, tmp_path)


def test_texts_are_spoken_one_after_the_other_with_pauses(hum):
    speech = speak(["one two", "three."], Voice("hum"), np.random.default_rng(1))
    assert [w.text for w in speech.words] == ["one", "two", "three"]
    assert speech.words[2].start - speech.words[1].end >= 0.25
    ends = [p.end for p in speech.phones[:-1]]
    np.testing.assert_allclose([p.start for p in speech.phones[1:]], ends, atol=1e-6)
    loud = np.abs(speech.samples) > 0.001
    for word in speech.words:
        assert loud[int(word.start * RATE) + 40 : int(word.end * RATE) - 40].mean() > 0.9
    assert not loud[: int(speech.words[0].start * RATE)].any()
    assert not loud[int(speech.words[-1].end * RATE) + 1 :].any()


def test_a_take_is_complete_and_reproducible(hum, library):
    one, two = (
        compose_take(SENTENCES, library, "train", np.random.default_rng(5)) for _ in range(2)
    )
    frames = int(one.speech.duration * FPS)
    assert len(one.body.rotations) == len(one.face) == frames
    assert 15 < one.speech.duration < 60
    assert len(one.stresses) > 5
    np.testing.assert_array_equal(one.body.rotations, two.body.rotations)
    np.testing.assert_array_equal(one.face, two.face)
    np.testing.assert_array_equal(one.speech.samples, two.speech.samples)


def test_the_jaw_joint_opens_with_the_face_and_eyes_rest(hum, library):
    take = compose_take(SENTENCES, library, "train", np.random.default_rng(6))
    opened = take.face[:, ARKIT_51.coefficients.index("jawOpen")]
    turn = log(take.body.rotations[:, 22])
    np.testing.assert_allclose(turn[:, 0], JAW_RADIANS * opened, atol=1e-5)
    assert opened.max() > 0.3
    assert np.abs(log(take.body.rotations[:, 23:25])).max() == 0


def test_in_silence_nobody_speaks_and_the_mouth_is_shut(library):
    take = silent_take(library, "train", 4.0, np.random.default_rng(7))
    assert take.speech.words == take.stresses == ()
    assert len(take.face) == 120
    assert take.face[:, ARKIT_51.coefficients.index("jawOpen")].max() == 0
    assert np.abs(take.speech.samples).max() == 0


def test_voices_of_the_test_hold_some_never_heard_in_training():
    rng = np.random.default_rng(8)
    heard = {test: {compose._voice(test, rng).name for _ in range(200)} for test in (False, True)}
    assert heard[False] == set(compose.TRAIN_VOICES)
    assert heard[True] - heard[False] == {"flite:awb", "espeak:en-us+m7"}


def test_a_take_on_disk_is_a_clip_with_sound(tmp_path):
    take = tone_take("test", 1)
    save_take(tmp_path / "test_007.npz", take)
    motion, meta = load_clip(tmp_path / "test_007.npz")
    assert meta == {"name": "test_007", "voice": "tone", "split": "test"}
    np.testing.assert_array_equal(motion.poses.face, take.face)
    with np.load(tmp_path / "test_007.npz") as file:
        np.testing.assert_allclose(file["audio"] / 32767, take.speech.samples, atol=1e-4)
        assert file["words"].tolist() == ["hello", "tree"]
        np.testing.assert_allclose(file["ends"], [1.0, 1.4])
        np.testing.assert_allclose(file["stressed_times"], [0.7])


def test_the_vocabulary_is_that_of_training_and_of_gestures():
    entries = [
        {"split": "train", "words": ["sea", "sea", "boat", "never"]},
        {"split": "test", "words": ["zebra"] * 9},
    ]
    words = vocabulary(entries)
    keys = {w for family in KEYWORDS.values() for w in family}
    assert len(words) == len(set(words))
    assert set(words) == keys | {"sea", "boat"}
    assert words.index("sea") < words.index("boat")
    many = [{"split": "train", "words": [f"w{i}" for i in range(3000)]}]
    assert len(vocabulary(many)) == 1000


@pytest.mark.synthesis
def test_the_stage_writes_a_corpus(data, tmp_path):
    for name in ("libflite.so.1", "libflite_cmu_us_slt.so.1", "libespeak-ng.so.1"):
        try:
            ctypes.CDLL(name)
        except OSError:
            pytest.skip(f"no {name}")
    (tmp_path / "sentences.txt").write_text("\n".join(SENTENCES))
    out = tmp_path / "corpus"
    out.mkdir()
    config = {"sentences": str(tmp_path / "sentences.txt"), "workers": 1}
    compose.run({**config, "minutes": 0.1, "test_minutes": 0.1}, data, out)
    takes = json.loads((out / "corpus.json").read_text())["takes"]
    assert [(t["name"], t["split"]) for t in takes] == [
        ("train_000", "train"),
        ("test_000", "test"),
    ]
    for take in takes:
        motion, _ = load_clip(out / f"{take['name']}.npz")
        assert len(motion) == take["frames"]
        assert take["stresses"] > 3
    assert "never" in json.loads((out / "vocabulary.json").read_text())
