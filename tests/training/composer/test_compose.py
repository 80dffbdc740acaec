"""Takes from a fake synthesiser: complete, synchronous, and written in the take format."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.audio import SAMPLE_RATE
from engine.errors import ConfigError
from engine.motion.face_basis import ARKIT_51
from engine.motion.rotation import inverse, log, multiply
from tests.support.figures import small_library
from training.composer import compose
from training.composer.discourse import KEYWORDS
from training.composer.face import JAW_RADIANS
from training.composer.style import LISTENER, LIVELY
from training.data.clips import load_clip
from training.speech import scripts as talk
from training.speech.speech import Phone, Speech, SpokenWord
from training.speech.synthesis import Voice
from training.speech.utterances import RecordedUtterance

TEXTS = [
    f"Never mention the {word} garden again."
    for word in ["red", "green", "blue", "old", "new", "big"]
]


def fake_synthesize(text: str, voice: Voice) -> Speech:
    words = text.lower().strip(".").split()
    time = np.arange(int(0.4 * len(words) * SAMPLE_RATE)) / SAMPLE_RATE
    samples = (0.3 * np.sin(2 * np.pi * 150 * time)).astype(np.float32)
    phones = tuple(Phone("aa", 0.4 * i, 0.4 * i + 0.4) for i in range(len(words)))
    spoken = tuple(
        SpokenWord(w, 0.4 * i, 0.4 * i + 0.4, 0.4 * i, 0.4 * i + 0.3) for i, w in enumerate(words)
    )
    return Speech(samples, phones, spoken)


def sources() -> compose.CorpusSources:
    return compose.CorpusSources({"train": small_library()}, TEXTS)


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> compose.Take:
    monkeypatch.setattr(talk, "synthesize", fake_synthesize)
    return compose.compose_take(sources(), "train", LIVELY, np.random.default_rng(5))


def test_a_take_is_whole_and_in_step(take: compose.Take) -> None:
    frames = int(take.speech.duration * 30)
    assert take.body.rotations.shape == (frames, 55, 4)
    assert take.body.translation.shape == (frames, 3)
    assert take.body.contacts.shape == (frames, 4)
    assert take.face.shape == (frames, 51)
    assert 12 < take.speech.duration < 80
    assert np.abs(np.linalg.norm(take.body.rotations, axis=-1) - 1).max() < 1e-4
    starts = [w.start for w in take.speech.words]
    assert starts == sorted(starts)
    times = {w.vowel_start for w in take.speech.words}
    assert {s.time for s in take.stresses} <= times
    jaw = log(take.body.rotations[:, 22])[:, 0]
    open_ = take.face[:, ARKIT_51.coefficients.index("jawOpen")]
    assert jaw == pytest.approx(JAW_RADIANS * open_, abs=1e-3)
    assert (take.body.rotations[:, 23:25, 0] == 1).all()


def test_a_silent_take_keeps_its_mouth_shut() -> None:
    made = compose.silent_take(sources(), "train", 20.0, LIVELY, np.random.default_rng(0))
    assert not made.speech.samples.any()
    assert not made.face[:, ARKIT_51.coefficients.index("jawOpen")].any()
    assert len(made.face) == 600


def test_takes_on_disk_are_clips_with_speech(take: compose.Take, tmp_path: Path) -> None:
    path = tmp_path / "train_000.npz"
    compose.save_take(path, take)
    motion, meta = load_clip(path)
    assert len(motion) == len(take.face)
    assert meta == {"name": "train_000", "voice": take.voice, "split": "train", "speaker": "lively"}
    with np.load(path) as file:
        assert file["audio"].dtype == np.int16
        assert len(file["words"]) == len(file["starts"]) == len(file["ends"])
        assert len(file["stressed_times"]) == len(take.stresses)
        kinds = [compose.KINDS[number - 1] for number in file["stressed_kinds"]]
        assert kinds == list(take.kinds)
        assert len(kinds) == len(take.stresses)
        assert int(file["fps"]) == 30


def test_the_vocabulary_has_all_keywords_and_no_doubles() -> None:
    entries = [{"split": "train", "words": ["garden", "Garden", "'", "me"]}]
    entries.append({"split": "test", "words": ["secret"]})
    words = compose.vocabulary(entries)
    assert {w for keys in KEYWORDS.values() for w in keys} <= set(words)
    assert "garden" in words
    assert "secret" not in words
    assert len(words) == len({w.lower() for w in words})


def test_clips_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stage retarget"):
        compose.load_clips(tmp_path)
    (tmp_path / "clips.json").write_text(json.dumps([]))
    assert compose.load_clips(tmp_path) == []
    with pytest.raises(ConfigError, match="sentences"):
        compose.run({}, tmp_path, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"determinism": 1.0},
        {"determinism": -0.1},
        {"stroke_lead_s": 0.2},
        {"amplitude": 0.0},
        {"amplitude": 2.0},
    ],
)
def test_what_is_out_of_range_is_refused_before_any_work(
    tmp_path: Path, wrong: dict[str, float]
) -> None:
    missing = {"sentences": "nowhere.txt", "speech": str(tmp_path / "nowhere")}
    with pytest.raises(ConfigError, match=f"expected {next(iter(wrong))} (of|above) 0"):
        compose.run(missing | wrong, tmp_path, tmp_path)


def test_a_listener_keeps_its_mouth_shut_during_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "synthesize", fake_synthesize)
    made = compose.compose_take(sources(), "train", LISTENER, np.random.default_rng(5))
    assert made.speech.words
    assert made.stresses == ()
    assert made.speaker == "listener"
    assert not made.face[:, ARKIT_51.coefficients.index("jawOpen")].any()


def test_recorded_readers_speak_in_their_share_of_the_takes() -> None:
    said = RecordedUtterance("ann", "train", fake_synthesize(TEXTS[0] * 4, Voice("x")))
    made = compose.CorpusSources({"train": small_library()}, TEXTS, [said], 1.0)
    take = compose.compose_take(made, "train", LIVELY, np.random.default_rng(0))
    assert take.voice == "ann"
    assert len(take.speech.words) == len(said.speech.words)


def test_determinism_makes_gestures_of_equal_words_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "synthesize", fake_synthesize)
    speech = compose.compose_take(sources(), "train", LIVELY, np.random.default_rng(5)).speech

    def apart(determinism: float) -> float:
        """Mean difference of two performances of one speech at the wrists, radians."""
        style, origin = replace(LIVELY, determinism=determinism), compose.Origin("v", "train")
        arms = [
            compose.animate(
                speech, small_library(), style, origin, np.random.default_rng(seed)
            ).body.rotations[:, 16:22]
            for seed in (1, 2)
        ]
        return float(np.abs(log(multiply(inverse(arms[0]), arms[1]))).mean())

    assert apart(0.8) < 0.6 * apart(0.0)


@pytest.mark.parametrize(("old", "new"), [("habit", "determinism"), ("sooner_s", "stroke_lead_s")])
def test_an_old_key_names_the_new_one(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(ConfigError, match=f"'{old}' was renamed; use '{new}'"):
        compose.run({"sentences": "s.txt", old: 0.1}, tmp_path, tmp_path)
