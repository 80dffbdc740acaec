"""Take discovery: files of one take, and naming schemes of data sets."""

import json
from pathlib import Path

import pytest

from engine.errors import ConfigError
from training.sources.corpus import Problem
from training.sources.take_discovery import (
    Recording,
    beat_split,
    find_recordings,
    naming_of,
    read_validation,
)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}" if path.suffix == ".json" else "x")


@pytest.mark.parametrize(
    ("stem", "data", "voice", "split"),
    [
        ("1_wayne_0_1_1", "BEAT", "1_wayne", "test"),
        ("30_Katya_1_2_2", "BEAT", "30_katya", "train"),
        ("001_Neutral_0", "ZeroEGGS", "zeroeggs_neutral", ""),
        ("067_Speech_2_x_1_0", "ZeroEGGS", "zeroeggs_speech", ""),
        ("Recording_001", "Trinity", "trinity", ""),
        ("NaturalTalking_01", "Trinity", "trinity", ""),
        ("walk cycle", "BVH", "speaker", ""),
        ("1_wayne_0_1", "BVH", "speaker", ""),
    ],
)
def test_a_name_says_who_speaks(stem: str, data: str, voice: str, split: str) -> None:
    found = naming_of(stem)
    assert (found.data, found.voice, found.split, found.skipped) == (data, voice, split, "")


def test_mirrored_copies_are_not_read() -> None:
    assert "mirrored" in naming_of("001_Neutral_0_mirror_x_1_0").skipped


@pytest.mark.parametrize(
    ("speaker", "kind", "sequence", "split"),
    [
        (2, 0, 8, "test"), (2, 0, 9, "train"), (2, 0, 56, "train"), (2, 0, 57, "val"),
        (2, 0, 65, "test"), (2, 0, 72, "val"), (2, 1, 1, "test"), (2, 1, 12, "val"),
        (5, 0, 4, "test"), (5, 0, 5, "val"), (5, 0, 8, "val"), (5, 0, 57, "train"),
        (5, 0, 111, "test"), (5, 0, 118, "train"), (5, 1, 1, "test"), (5, 1, 12, "train"),
        (12, 2, 1, "train"),
    ],
)  # fmt: skip
def test_beat_is_split_as_published(speaker: int, kind: int, sequence: int, split: str) -> None:
    assert beat_split(speaker, kind, sequence) == split


def test_beat_has_all_of_a_take_in_one_folder(tmp_path: Path) -> None:
    names = [
        f"2/2_scott_0_9_9{end}" for end in (".bvh", ".wav", ".TextGrid", ".json", ".csv", ".txt")
    ]
    touch(tmp_path, *names)
    (tmp_path / names[3]).write_text(json.dumps({"names": [], "frames": []}))
    (found,), problems = find_recordings(tmp_path)
    paths = [tmp_path / names[i] for i in (0, 1, 2, 3)]
    assert found == Recording("2_scott_0_9_9", "2_scott", "train", *paths)
    assert problems == []


def test_trinity_has_folders_for_each_kind(tmp_path: Path) -> None:
    touch(tmp_path, "bvh/Recording_001.bvh", "bvh/Recording_008.bvh", "bvh/NaturalTalking_002.bvh")
    touch(tmp_path, "audio/Recording_001.wav", "audio/NaturalTalking_02.wav")
    touch(tmp_path, "transcripts/Recording_001.json", "transcripts/Recording_003.json")
    found, problems = find_recordings(tmp_path, held_out=[("Recording_008*", "test")])
    assert problems == []
    assert [(r.name, r.split, r.voice) for r in found] == [
        ("NaturalTalking_002", "train", "trinity"),
        ("Recording_001", "train", "trinity"),
        ("Recording_008", "test", "trinity"),
    ]
    assert found[0].sound == tmp_path / "audio" / "NaturalTalking_02.wav"
    assert found[1].words == tmp_path / "transcripts" / "Recording_001.json"
    assert found[1].face is None
    assert (found[2].sound, found[2].words) == (None, None)


INFO = """audio_filename,anim_bvh,validation
001_Neutral_0.wav,001_Neutral_0.bvh,FALSE
005_Neutral_4.wav,005_Neutral_4.bvh,TRUE
"""


@pytest.mark.parametrize("where", [".", ".."])
def test_zeroeggs_tells_its_split_in_a_table(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "clean"
    touch(
        folder,
        *(f"{n}_x_1_0{e}" for n in ("001_Neutral_0", "005_Neutral_4") for e in (".bvh", ".wav")),
    )
    touch(folder, "001_Neutral_0_mirror_x_1_0.bvh")
    (folder / where / "info.csv").write_text(INFO)
    found, problems = find_recordings(folder)
    assert [(r.name, r.split) for r in found] == [
        ("001_Neutral_0_x_1_0", "train"),
        ("005_Neutral_4_x_1_0", "val"),
    ]
    assert problems == [Problem("001_Neutral_0_mirror_x_1_0", "a mirrored copy; skipped")]
    assert all(r.sound for r in found)


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "info.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="anim_bvh and validation"):
        read_validation(tmp_path)
    assert read_validation(tmp_path / "deep" / "down") == {}


def test_the_nearest_file_is_taken_and_others_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a/take.bvh", "a/Take.wav", "a/take.flac", "b/take.wav")
    (found,), problems = find_recordings(tmp_path)
    # The same folder and the same name come first, then the kind of file.
    assert found.sound == tmp_path / "a" / "take.flac"
    assert problems == []
    touch(tmp_path, "c/other.bvh", "x/other.wav", "y/other.wav")
    _, (problem,) = find_recordings(tmp_path)
    assert problem.name == "other"
    assert "x/other.wav taken as its sound, also" in problem.text


def test_equal_names_in_two_folders_get_the_folder(tmp_path: Path) -> None:
    touch(tmp_path, "anna/take1.bvh", "anna/take1.wav", "bea/take1.bvh", "bea/take1.wav", ".x.bvh")
    found, _ = find_recordings(tmp_path, "test")
    assert [r.name for r in found] == ["anna_take1", "bea_take1"]
    assert [r.sound for r in found] == [tmp_path / p / "take1.wav" for p in ("anna", "bea")]
    assert {r.split for r in found} == {"test"}


def test_a_folder_without_motion_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    with pytest.raises(ConfigError, match=r"expected \*\.bvh"):
        find_recordings(tmp_path)
