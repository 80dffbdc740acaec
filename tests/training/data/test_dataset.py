"""Takes by frames and windows of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.config.features import DEFAULT_FEATURES
from engine.errors import ConfigError
from engine.model.part_vae import PartVae
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.skeleton import BodyPart
from engine.text.words import TimedWord, Vocabulary
from tests.support.takes import take
from tests.support.training_fixtures import waving
from training.data.dataset import (
    NO_STRESS,
    GestureWindows,
    encode_take,
    find_speakers,
    find_takes,
    frames_since_stress,
    frames_until_stress,
    gesture_classes,
    load_takes,
    valid_parts,
)
from training.data.takes import Missing, TakeFile, write_take
from training.sources.resample import resampled

FRAMES = 96


def test_encoding_is_causal(parts: dict[BodyPart, PartVae]) -> None:
    whole = take(False, 1)
    chunk = whole.motion.poses
    half = PoseChunk(
        0, chunk.rotations[:48], chunk.translation[:48], chunk.contacts[:48], chunk.face[:48]
    )
    short = replace(whole, motion=Motion(PoseFormat(), half))
    all_of_it, first = encode_take(whole, parts), encode_take(short, parts)
    assert all_of_it.codes.shape == (FRAMES, 4)
    assert torch.allclose(all_of_it.latents[:47], first.latents[:47], atol=1e-4)
    assert all_of_it.motion.shape == (FRAMES, 337)


def test_windows_stay_within_takes_and_match_the_shares(windows: GestureWindows) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = windows.draw(
        200, generator, silent_fraction=0.3, word_dropout=0.5, ground_truth_fraction=1.0
    )
    assert batch.audio.shape == (200, 32, DEFAULT_FEATURES.width)
    quiet = (batch.audio == -1).flatten(1).all(1)
    assert quiet.float().mean() == pytest.approx(0.3, abs=0.1)
    assert (batch.words[quiet] == 0).all()
    spoken = batch.words[~quiet]
    assert set(spoken.unique().tolist()) <= {0, 5}
    assert (spoken == 5).all(1).float().mean() == pytest.approx(0.5, abs=0.12)
    # Windows across takes would mix speech and silence.
    assert (spoken.float().std(1) == 0).all()


def test_corpus_needs_speech_but_no_silence(parts: dict[BodyPart, PartVae]) -> None:
    generator = torch.Generator().manual_seed(0)
    spoken = GestureWindows([take(False, 1)], parts, 32)
    batch = spoken.draw(
        20, generator, silent_fraction=1.0, word_dropout=0.0, ground_truth_fraction=1.0
    )
    assert (batch.words == 5).all()
    for takes in ([take(True, 1)], [replace(take(False, 1), silent=True), take(True, 2)]):
        with pytest.raises(ConfigError, match="32 frames"):
            GestureWindows(takes, parts, 32)
    with pytest.raises(ConfigError, match="200 frames"):
        GestureWindows([take(False, 1)], parts, 200)


def test_takes_keep_their_frame_rate(tmp_path: Path) -> None:
    motion = resampled(waving(1, 91), 15)
    none = np.zeros(0, np.float32)
    sound = (0.1 * np.random.default_rng(0).standard_normal(48000)).astype(np.float32)
    words = (TimedWord("hello", 1.0, 2.0),)
    made = TakeFile(motion, sound, words, np.array([1.0], np.float32), none, "v", "train")
    write_take(tmp_path / "train_a.npz", made)
    write_take(tmp_path / "train_b.npz", replace(made, missing=(Missing.SOUND,)))
    write_take(tmp_path / "test_a.npz", made)
    (tmp_path / "corpus.json").write_text("{}")
    (loaded,) = load_takes(tmp_path, "train", Vocabulary(["hello"]), 1)
    assert loaded.name == "train_a"
    assert loaded.audio.shape == (1, 46, DEFAULT_FEATURES.width)
    assert loaded.words.tolist() == [0] * 15 + [4] * 15 + [0] * 16
    assert frames_since_stress(loaded)[[14, 15, 20]].tolist() == [NO_STRESS, 0, 5]
    write_take(tmp_path / "train_c.npz", replace(made, motion=waving(1, 91)))
    with pytest.raises(ConfigError, match="one format"):
        load_takes(tmp_path, "train", Vocabulary(["hello"]), 1)
    with pytest.raises(ConfigError, match="val_"):
        load_takes(tmp_path, "val", Vocabulary(["hello"]), 1)


def test_speakers_are_ordered_by_number_of_takes(tmp_path: Path) -> None:
    none = np.zeros(0, np.float32)
    sound = np.zeros(48000, np.float32)
    made = TakeFile(waving(1, 91), sound, (), none, none, "v", "train")
    for index, name in enumerate(["calm", "lively", "lively", ""]):
        write_take(tmp_path / f"train_{index}.npz", replace(made, speaker=name))
    (tmp_path / "corpus.json").write_text("{}")
    speakers = find_speakers(tmp_path)
    assert speakers == ["lively", "calm"]
    takes = find_takes(tmp_path, "train", Vocabulary([]), 1, speakers=speakers)
    assert [each.speaker for each in takes] == [1, 0, 0, 0]
    assert [each.speaker for each in takes[:1]] == [1]


def test_windows_have_the_speaker(parts: dict[BodyPart, PartVae]) -> None:
    windows = GestureWindows([replace(take(False, 1), speaker=3)], parts, 32)
    batch = windows.draw(
        2, torch.Generator(), silent_fraction=0.0, word_dropout=0.0, ground_truth_fraction=1.0
    )
    assert batch.speaker.tolist() == [[3] * 32] * 2


def test_frames_since_the_last_stress() -> None:
    spoken = replace(take(False, 1), stressed=np.array([1.0, 2.0]))
    since = frames_since_stress(spoken)
    assert since.tolist() == [NO_STRESS] * 30 + list(range(30)) + list(range(FRAMES - 60))


def test_frames_until_the_next_stress() -> None:
    spoken = replace(take(False, 1), stressed=np.array([1.0, 2.0]))
    after = [NO_STRESS] * (FRAMES - 60)
    assert frames_until_stress(spoken).tolist() == [*range(30, 0, -1), *range(30, 0, -1), *after]


def test_gesture_class_lasts_until_the_next_stress() -> None:
    spoken = replace(take(False, 1), stressed=np.array([1.0, 2.0]), kinds=np.array([4, 2]))
    assert gesture_classes(spoken).tolist() == [0] * 30 + [4] * 30 + [2] * (FRAMES - 60)
    assert not gesture_classes(replace(spoken, kinds=np.zeros(0, np.int64))).any()


def test_missing_face_is_invalid(parts: dict[BodyPart, PartVae]) -> None:
    faceless = replace(take(False, 1), missing=(Missing.FACE, Missing.WORDS))
    valid = valid_parts(faceless)
    assert valid.shape == (FRAMES, 4)
    assert valid.all(0).tolist() == [part is not BodyPart.FACE for part in BodyPart]
    windows = GestureWindows([faceless, take(False, 3)], parts, 32)
    generator = torch.Generator().manual_seed(0)
    batch = windows.draw(
        50, generator, silent_fraction=0.0, word_dropout=0.0, ground_truth_fraction=1.0
    )
    assert 0.2 < float(batch.valid_parts[..., 0].float().mean()) < 0.8
    assert batch.valid_parts[..., 1:].all()
    # Scales are computed from recorded parts only.
    alone = GestureWindows([take(False, 3)], parts, 32)
    torch.testing.assert_close(windows.latent_scale[0], alone.latent_scale[0])


def test_windows_from_mapped_files_are_equal(
    parts: dict[BodyPart, PartVae], tmp_path: Path
) -> None:
    takes = [take(False, 1), take(True, 2)]
    shares = {"silent_fraction": 0.3, "word_dropout": 0.5, "ground_truth_fraction": 0.5}
    drawn = []
    for folder in (None, tmp_path / "rows", tmp_path / "rows"):
        windows = GestureWindows(takes, parts, 32, folder, "k")
        drawn.append(windows.draw(40, torch.Generator().manual_seed(3), **shares))
        takes = takes if folder is None else []  # the second time the files are reused
    for other in drawn[1:]:
        assert all(torch.equal(a, b) for a, b in zip(drawn[0], other, strict=True))


def test_takes_are_read_on_access(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        sound = np.zeros(0 if name == "b" else 16000, np.float32)
        missing = (Missing.SOUND,) if name == "b" else ()
        record = TakeFile(waving(1, 30), sound, (), np.zeros(0), np.zeros(0), "v", "train", missing)
        write_take(tmp_path / f"train_{name}.npz", record)
    (tmp_path / "corpus.json").write_text("{}")
    takes = find_takes(tmp_path, "train", Vocabulary([]), 1)
    assert [t.name for t in takes] == ["train_a", "train_c"]
    assert [t.name for t in takes[1:]] == ["train_c"]
    assert isinstance(takes[0].audio, np.memmap)
    (tmp_path / "train_a.npz").unlink()
    assert takes[1].name == "train_c"
    with pytest.raises(FileNotFoundError):
        takes[0]
