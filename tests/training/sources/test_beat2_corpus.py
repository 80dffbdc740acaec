"""BEAT2 folders become corpora; invalid files are reported and skipped."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import ConfigError
from engine.motion.pose import HandReference
from engine.motion.rotation import angle
from engine.motion.skeleton import BodyPart
from engine.text.words import Vocabulary
from tests.support.motion_writers import write_beat2
from training import __main__ as command
from training.data.dataset import load_takes
from training.data.takes import Missing, read_take
from training.data.windows import Source, load_sources
from training.sources.beat2 import Beat2Clip, read_beat2, to_motion
from training.sources.beat2_corpus import find_takes, load_beat2_take, read_splits, run, speaker_of
from training.sources.corpus import Problem

GRID = """File type = "ooTextFile"
Object class = "TextGrid"
0
2
<exists>
2
"IntervalTier" "words" 0 2 4
0 0.5 ""
0.5 1.0 "garden"
1.0 1.4 "the"
1.4 1.9 "tree"
"IntervalTier" "phones" 0 2 5
0.5 0.6 "G"
0.6 0.8 "AA1"
0.8 1.0 "AH0"
1.0 1.4 "AH0"
1.5 1.9 "IY1"
"""


def motion_file(path: Path, frames: int = 61, face: float = 1.0) -> None:
    random = np.random.default_rng(len(path.stem))
    time = np.arange(frames)[:, None] / 30
    clip = Beat2Clip(
        betas=np.zeros(300, np.float32),
        poses=(0.3 * np.sin(time * random.uniform(1, 4, (1, 165)))).astype(np.float32),
        expressions=face * np.sin(time * random.uniform(1, 4, (1, 100))),
        trans=np.tile([0.0, 1.28, 0.0], (frames, 1)),
        model=np.array("smplx2020"),
        gender=np.array("neutral"),
        mocap_frame_rate=np.array(30, np.int32),
    )
    write_beat2(path, clip)


def sound_file(path: Path, seconds: float = 2.0, rate: int = 16000) -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal(int(seconds * rate))
    soundfile.write(path, sound, rate)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Two speakers, three splits, and one of each thing that can be wrong."""
    folder = tmp_path / "beat_english"
    for part in ("smplxflame_30", "wave16k", "textgrid"):
        (folder / part).mkdir(parents=True)
    names = ("2_scott_0_1_1", "2_scott_0_2_2", "2_scott_0_3_3", "2_scott_0_4_4", "4_lawrence_0_1_1")
    for name in names:
        motion_file(folder / "smplxflame_30" / f"{name}.npz")
        sound_file(folder / "wave16k" / f"{name}.wav")
        (folder / "textgrid" / f"{name}.TextGrid").write_text(GRID)
    motion_file(folder / "smplxflame_30" / "2_scott_0_9_9.npz")
    rows = ["id,type", *(f"{n},train" for n in names[:2]), f"{names[2]},test", f"{names[3]},val"]
    rows += [f"{names[4]},train", "2_scott_0_8_8,test"]
    (folder / "train_test_split.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_official_folders_are_taken_by_their_list(official: Path) -> None:
    takes, problems = find_takes(official)
    assert [(t.name, t.split) for t in takes] == [
        ("2_scott_0_1_1", "train"),
        ("2_scott_0_2_2", "train"),
        ("2_scott_0_3_3", "test"),
        ("2_scott_0_4_4", "val"),
        ("4_lawrence_0_1_1", "train"),
    ]
    assert takes[0].sound == official / "wave16k" / "2_scott_0_1_1.wav"
    assert takes[0].words == official / "textgrid" / "2_scott_0_1_1.TextGrid"
    assert problems == [
        Problem("2_scott_0_8_8", "no motion (.npz); skipped"),
        Problem("2_scott_0_9_9", "not in train_test_split.csv; skipped"),
    ]


def test_a_flat_folder_needs_no_list(tmp_path: Path) -> None:
    motion_file(tmp_path / "2_scott_0_1_1.npz")
    (tmp_path / "2_scott_0_1_1.TextGrid").write_text(GRID)
    sound_file(tmp_path / "2_scott_0_1_1.flac")
    sound_file(tmp_path / "2_scott_0_2_2.flac")
    (tmp_path / ".2_scott_0_3_3.npz").write_bytes(b"a write that was cut short")
    (take,), (problem,) = find_takes(tmp_path, "test")
    assert (take.name, take.split) == ("2_scott_0_1_1", "test")
    assert take.sound is not None
    assert problem == Problem("2_scott_0_2_2", "no motion (.npz); skipped")


def test_what_is_no_data_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="smplxflame_30"):
        find_takes(tmp_path)
    (tmp_path / "train_test_split.csv").write_text("name;kind\na;b\n")
    with pytest.raises(ConfigError, match="columns id and type"):
        read_splits(tmp_path / "train_test_split.csv")
    assert read_splits(tmp_path / "none.csv") is None


def test_names_tell_the_speaker() -> None:
    assert speaker_of("2_scott_0_1_1") == (2, "2_scott")
    assert speaker_of("welcome_home_1") == (None, "welcome_home")
    assert speaker_of("welcome") == (None, "welcome")


def test_a_take_is_as_long_as_motion_and_sound(official: Path) -> None:
    takes, _ = find_takes(official)
    take, problems = load_beat2_take(takes[0], 30)
    assert (len(take.motion), len(take.sound), problems) == (60, 32000, [])
    assert [w.text for w in take.words] == ["garden", "the", "tree"]
    assert (take.voice, take.split, take.missing) == ("2_scott", "train", ())
    # Function words never stand out; the stressed vowel is the one marked 1.
    assert {round(float(t), 3) for t in take.stressed_times} <= {0.6, 1.5}
    assert len(take.stressed_times) >= 1
    true = to_motion(read_beat2(takes[0].motion))
    assert angle(take.motion.poses.rotations, true.poses.rotations[:60]).max() < 1e-3
    half, _ = load_beat2_take(takes[0], 15)
    assert len(half.motion) == 30
    assert angle(half.motion.poses.rotations, true.poses.rotations[:60:2]).max() < 1e-3


def test_what_a_take_lacks_is_recorded(tmp_path: Path) -> None:
    motion_file(tmp_path / "1_a.npz", face=0.0)
    (files,), _ = find_takes(tmp_path)
    take, _ = load_beat2_take(files, 30)
    assert take.missing == (Missing.FACE, Missing.WORDS, Missing.SOUND)
    assert (len(take.motion), len(take.sound)) == (61, 32533)
    assert not take.sound.any()


def test_sound_of_another_length_is_reported(tmp_path: Path) -> None:
    motion_file(tmp_path / "1_a.npz", frames=121)
    sound_file(tmp_path / "1_a.wav", 1.0)
    (files,), _ = find_takes(tmp_path)
    take, (problem,) = load_beat2_take(files, 30)
    assert len(take.motion) == 30
    assert problem.text == "the motion is +3.0 s longer than sound"


def test_the_stage_writes_a_corpus_and_skips_what_is_broken(
    official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (official / "smplxflame_30" / "2_scott_0_2_2.npz").write_bytes(b"PK\x03\x04")
    (official / "textgrid" / "4_lawrence_0_1_1.TextGrid").write_text("no grid")
    out = tmp_path / "out"
    (out / "features").mkdir(parents=True)
    stale = out / "features" / "train_2_scott_0_1_1_any_3.npy"
    stale.write_bytes(b"of an earlier run")
    assert command.main(["beat2", "--data", str(official), "--out", str(out)]) == 0
    assert not stale.exists()
    shown = capsys.readouterr().out
    assert "2_scott_0_2_2: " in shown
    assert "the TextGrid ends where a text should be; skipped" in shown
    corpus = json.loads((out / "corpus.json").read_text())
    assert corpus["fps"] == 30
    assert [t["name"] for t in corpus["takes"]] == [
        *("train_2_scott_0_1_1", "test_2_scott_0_3_3", "val_2_scott_0_4_4"),
    ]
    assert len(corpus["problems"]) == 4
    assert (corpus["face_basis"], corpus["hand_reference"]) == ("flame100", "smplx_mean")
    words = json.loads((out / "vocabulary.json").read_text())
    assert {"garden", "the", "tree"} <= set(words)
    assert read_take(out / "test_2_scott_0_3_3.npz").split == "test"


def test_other_stages_read_the_corpus(official: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    out.mkdir()
    run({"speakers": [2], "frame_rate": 15}, official, out)
    takes = load_takes(out, "train", Vocabulary(["tree"]), 1)
    assert [t.name for t in takes] == ["train_2_scott_0_1_1", "train_2_scott_0_2_2"]
    assert takes[0].motion.format.hand_reference is HandReference.SMPLX_MEAN
    assert takes[0].motion.format.clock.frame_rate == 15
    assert takes[0].words.tolist().count(4) == 7
    source = Source("corpus", mirrored=False)
    ((_, clips),) = load_sources(tmp_path, [source], BodyPart.FACE)
    assert [clip.shape for clip in clips] == [(30, 106)] * 2


def test_nobody_chosen_is_an_error(official: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of the 5 takes"):
        run({"speakers": [7]}, official, tmp_path)
    for path in (official / "smplxflame_30").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"no take of .* could be used"):
        run({}, official, tmp_path)


@pytest.mark.reference
def test_the_real_folder(shared_dir: Path, tmp_path: Path) -> None:
    run({}, shared_dir / "data" / "beat2", tmp_path)
    take = read_take(tmp_path / "train_2_scott_0_1_1.npz")
    assert len(take.motion) == 1906
    assert take.missing == ()
    assert take.words[0].text == "the"
    # About one word a second stands out.
    assert 40 < len(take.stressed_times) < 75
