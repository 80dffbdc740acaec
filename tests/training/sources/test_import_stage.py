"""Stage import: folders of other data sets become corpora that the next stages read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.errors import ConfigError
from engine.motion import rotation as rot
from engine.motion.face_basis import ARKIT_51
from engine.motion.skeleton import SMPLX_55, BodyPart
from engine.text.words import Vocabulary
from tests.support.foreign_skeletons import foreign_figure
from tests.support.motion_writers import bvh_of, write_bvh
from tests.support.training_fixtures import waving
from training import __main__ as command
from training.data.clips import load_clip
from training.data.dataset import load_takes
from training.data.takes import Missing, read_take
from training.data.windows import Source, load_sources
from training.sources.import_stage import ImportSettings, run
from training.sources.leg_ik import plant

GRID = """File type = "ooTextFile"
Object class = "TextGrid"
0
2
<exists>
2
"IntervalTier" "words" 0 2 2
0.3 0.9 "garden"
1.0 1.6 "tree"
"IntervalTier" "phones" 0 2 2
0.4 0.8 "AA1"
1.1 1.5 "IY1"
"""


def moving(seed: int, frames: int = 60):
    """A figure that stands and waves: two seconds at 30 frames a second."""
    return plant(waving(seed, frames).poses.rotations.astype(np.float64))


def motion_file(path: Path, name: str, seed: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bvh(path, bvh_of(foreign_figure(moving(seed), name)))


def sound_file(path: Path, seconds: float = 2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    at = np.arange(round(seconds * 16000)) / 16000
    soundfile.write(path, 0.2 * np.sin(2000 * at) * (np.sin(9 * at) > 0), 16000)


def face_file(path: Path) -> None:
    names = list(ARKIT_51.coefficients)
    rows = [
        {"weights": [0.5 * (n == "jawOpen") for n in names], "time": t / 60} for t in range(120)
    ]
    path.write_text(json.dumps({"names": names, "frames": rows}))


@pytest.fixture
def beat(tmp_path: Path) -> Path:
    """Two takes of BEAT: a whole one that is tested, and one to learn from without a face."""
    folder = tmp_path / "beat" / "2"
    for name in ("2_scott_0_1_1", "2_scott_0_9_9"):
        motion_file(folder / f"{name}.bvh", "beat", seed=len(name))
        sound_file(folder / f"{name}.wav")
        (folder / f"{name}.TextGrid").write_text(GRID)
    face_file(folder / "2_scott_0_1_1.json")
    return tmp_path / "beat"


def test_a_folder_of_beat_becomes_a_corpus(beat: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command.main(["import", "--kind", "bvh", "--data", str(beat), "--out", str(out)]) == 0
    corpus = json.loads((out / "corpus.json").read_text())
    assert [take["name"] for take in corpus["takes"]] == [
        "test_2_scott_0_1_1",
        "train_2_scott_0_9_9",
    ]
    assert (corpus["fps"], corpus["face_basis"], corpus["hand_reference"]) == (
        30,
        "arkit51",
        "flat",
    )
    assert corpus["problems"] == []
    take = read_take(out / "test_2_scott_0_1_1.npz")
    assert (take.voice, take.missing, len(take.motion)) == ("2_scott", (), 60)
    assert [word.text for word in take.words] == ["garden", "tree"]
    jaw = ARKIT_51.coefficients.index("jawOpen")
    np.testing.assert_allclose(take.motion.poses.face[:, jaw], 0.5)
    assert (
        rot.angle(take.motion.poses.rotations[:, SMPLX_55.index("jaw")], rot.identity()).min()
        > 0.05
    )
    other = read_take(out / "train_2_scott_0_9_9.npz")
    assert other.missing == (Missing.FACE,)
    assert json.loads((out / "statistics.json").read_text())["frames"] == 60


def test_the_motion_is_that_of_the_file(beat: Path, tmp_path: Path) -> None:
    run({"workers": 1}, beat, tmp_path)
    take, truth = read_take(tmp_path / "train_2_scott_0_9_9.npz"), moving(13)
    wrists = [SMPLX_55.index(f"{side}_wrist") for side in ("left", "right")]
    ours, theirs = (m.world_positions()[:, wrists] for m in (take.motion, truth))
    np.testing.assert_allclose(ours[:, :, 1], theirs[:, :, 1], atol=0.02)


def test_the_next_stages_read_it(beat: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    run({"frame_rate": 15}, beat, tmp_path / "corpus")
    (take,) = load_takes(tmp_path / "corpus", "train", Vocabulary(["tree"]), 1)
    assert take.motion.format.clock.frame_rate == 15
    assert take.words.tolist().count(4) == 9
    ((_, clips),) = load_sources(tmp_path, [Source("corpus", mirrored=True)], BodyPart.UPPER)
    assert [clip.shape for clip in clips] == [(30, 78)] * 2


def test_trinity_and_zeroeggs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    motion_file(data / "bvh" / "Recording_001.bvh", "trinity")
    sound_file(data / "audio" / "Recording_001.wav")
    words = [{"word": "tree", "start_time": "0.5s", "end_time": "1.000s"}]
    (data / "Recording_001.json").write_text(json.dumps([{"alternatives": [{"words": words}]}]))
    motion_file(data / "clean" / "005_Happy_4_x_1_0.bvh", "zeroeggs")
    sound_file(data / "clean" / "005_Happy_4_x_1_0.wav", 1.5)
    (tmp_path / "out").mkdir()
    run({"test": ["Recording_001"]}, data, tmp_path / "out")
    trinity = read_take(tmp_path / "out" / "test_Recording_001.npz")
    assert ([w.text for w in trinity.words], trinity.missing) == (["tree"], (Missing.FACE,))
    eggs = read_take(tmp_path / "out" / "train_005_Happy_4_x_1_0.npz")
    assert (eggs.voice, len(eggs.motion)) == ("zeroeggs_happy", 45)
    assert eggs.missing == (Missing.FACE, Missing.WORDS)


def test_invalid_files_are_reported_and_skipped(beat: Path, tmp_path: Path, capsys: Any) -> None:
    lines = (beat / "2" / "2_scott_0_1_1.bvh").read_text().splitlines()
    (beat / "2" / "2_scott_0_1_1.bvh").write_text("\n".join(lines[:-5]))
    (tmp_path / "out").mkdir()
    run({}, beat, tmp_path / "out")
    shown = capsys.readouterr().out
    assert "2_scott_0_1_1: " in shown
    assert "expected 60 frames, got the end of the file after 55; skipped" in shown
    assert "1 takes {'train': 1}" in shown


def test_a_wrong_rest_pose_is_suspected(beat: Path, tmp_path: Path, capsys: Any) -> None:
    """Left and right of the arms exchanged: elbows bend the wrong way."""
    path = beat / "2" / "2_scott_0_9_9.bvh"
    figure = foreign_figure(moving(3), "beat")
    bent = figure.rotations.copy()
    turn = rot.exp(np.array([0.0, 1.2, 0.0]))
    for name in ("LeftForeArm", "LeftHand"):
        j = figure.index(name)
        bent[:, j] = rot.multiply(np.broadcast_to(turn, (60, 4)), bent[:, j])
    write_bvh(path, bvh_of(type(figure)(**{**vars(figure), "rotations": bent})))
    (tmp_path / "out").mkdir()
    run({}, beat, tmp_path / "out")
    assert "left elbow bends the wrong way in " in capsys.readouterr().out


def test_names_choose_takes_and_mistakes_are_named(beat: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none of the 2 takes in .* is of \('9\*',\)"):
        run({"names": ["9*"]}, beat, tmp_path)
    with pytest.raises(ConfigError, match="no take of BVH could be used"):
        run({"skeleton": "trinity", "names": ["*_0_1_1"], "unit": "ell"}, beat, tmp_path)
    with pytest.raises(ConfigError, match="unknown kind 'fbx'"):
        ImportSettings(kind="fbx")


def amass_file(path: Path, frames: int = 61) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    motion = waving(2, frames).poses
    joints = [*range(22), *range(25, 55)]
    np.savez(
        path,
        poses=rot.log(motion.rotations.astype(float))[:, joints].reshape(frames, -1),
        trans=motion.translation,
        mocap_framerate=np.array(60.0),
        gender=np.array("male"),
    )


def test_amass_becomes_clips(tmp_path: Path, capsys: Any) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    amass_file(data / "CMU" / "01" / "walk_poses.npz")
    amass_file(data / "CMU" / "02" / "talk_poses.npz")
    np.savez(data / "CMU" / "01" / "shape.npz", betas=np.zeros(16))
    np.savez(data / "CMU" / "02" / "broken.npz", poses=np.zeros(3))
    out.mkdir()
    run({"kind": "amass", "test": ["talk*"]}, data, out)
    assert "CMU_02_broken: " in capsys.readouterr().out
    described = json.loads((out / "clips.json").read_text())
    assert [(m["name"], m["split"], m["actor"]) for m in described] == [
        ("CMU_01_walk_poses", "train", "01"),
        ("CMU_02_talk_poses", "test", "02"),
    ]
    motion, meta = load_clip(out / "clips" / "CMU_01_walk_poses.npz")
    assert (len(motion), meta["gender"], meta["fps"]) == (31, "male", 30)
    assert meta["missing"] == ["face", "sound", "words"]
    assert json.loads((out / "statistics.json").read_text())["frames"] == 31
    ((_, clips),) = load_sources(tmp_path, [Source("out")], BodyPart.LOWER)
    assert len(clips) == 2
    with pytest.raises(ConfigError, match="no motions of AMASS"):
        run({"kind": "amass"}, tmp_path / "data" / "CMU" / "03", out)


def test_smartbody_is_the_stage_retarget(tmp_path: Path, monkeypatch: Any) -> None:
    from training.sources import retarget

    called: list[Any] = []
    monkeypatch.setattr(retarget, "run", lambda *arguments: called.append(arguments))
    run({"kind": "smartbody", "exclude": ["exclude", "fidget"]}, tmp_path, tmp_path / "out")
    assert called == [({"exclude": ["exclude", "fidget"]}, tmp_path, tmp_path / "out")]
