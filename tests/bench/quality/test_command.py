"""Subcommands quality and fgd from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import main
from tests.support.training_fixtures import waving
from training.data.clips import save_clip


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for side, seed in (("made", 1), ("true", 5)):
        (tmp_path / side).mkdir()
        for name in ("a", "b"):
            save_clip(tmp_path / side / f"{name}.npz", waving(seed + len(name), 150), {})
    return tmp_path / "made", tmp_path / "true"


def run(folders: tuple[Path, Path], *more: str) -> list[str]:
    return ["quality", "--pred", str(folders[0]), "--gt", str(folders[1]), *more]


def test_the_last_line_is_json(folders, capsys) -> None:
    (folders[0] / "c.npz").write_bytes(b"?")
    assert main(run(folders)) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    numbers = json.loads(last)
    assert numbers["takes"] == 2
    assert numbers["problems"] == [["c", "not in --gt; skipped"]]
    assert numbers["codes"] is None
    assert any(line.startswith("wrist_speed_m_s") for line in lines)
    assert any(line.startswith("note: fgd by gesture_features.safetensors") for line in lines)
    assert any(line.startswith("problem: c") for line in lines)


def test_json_only_on_request(folders, capsys) -> None:
    assert main(run(folders, "--json")) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert set(json.loads(line)) >= {"pred", "gt", "both", "notes"}


@pytest.mark.matplotlib
def test_all_options_together(folders, tmp_path, capsys) -> None:
    np.save(tmp_path / "speeds.npy", np.full(55, 0.2))
    weights = str(tmp_path / "fgd.safetensors")
    made = str(folders[1])
    assert main(["fgd", "--data", made, "--out", weights, "--steps", "2", "--licence", "own"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["licence"] == "own"
    more = ["--fgd-weights", weights, "--mean-speeds", str(tmp_path / "speeds.npy")]
    more += ["--seams", "60", "60", "--train", made, "--page", str(tmp_path / "deep" / "a.html")]
    more += ["--model", "engine/bundle/starter"]
    assert main(run(folders, "--json", *more)) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["both"]["fgd"] > 0
    assert numbers["pred"]["seam_ratio"] > 0
    assert numbers["gt"]["nearest_training_median_m"] == pytest.approx(0, abs=1e-6)
    assert any("no encoders" in note for note in numbers["notes"])
    text = (tmp_path / "deep" / "a.html").read_text()
    assert text.count("data:image/png;base64,") == 1 + 2 * 3
    assert "Quality of made against true" in text


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--seams", "0", "0"], "at least 1 frame"),
        (["--mean-speeds", "none.npy"], "none.npy"),
        (["--face-map", "SHAPE"], r"expected an array [51, 103]"),
        (["--fgd-weights", "none.safetensors"], "weights of FGD"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_errors_are_one_line(folders, tmp_path, capsys, more, says) -> None:
    np.save(tmp_path / "shape.npy", np.zeros(3))
    more = [str(tmp_path / "shape.npy") if word == "SHAPE" else word for word in more]
    assert main(run(folders, *more)) == 2
    shown = capsys.readouterr().err
    assert says in shown
    assert len(shown.splitlines()) == 1


def test_an_archive_is_not_an_array(folders, tmp_path, capsys) -> None:
    np.savez(tmp_path / "many.npz", a=np.zeros(55))
    (tmp_path / "many.npz").rename(tmp_path / "many.npy")
    assert main(run(folders, "--mean-speeds", str(tmp_path / "many.npy"))) == 2
    assert "expected an array [55]" in capsys.readouterr().err


@pytest.mark.librosa
@pytest.mark.reference
def test_the_real_take_against_itself(shared_dir: Path, capsys) -> None:
    take = shared_dir / "data" / "beat2"
    more = ["--mean-speeds", str(take / "mean_vel_smplxflame_30.npy")]
    assert main(run((take, take), "--json", *more)) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["pred"] == numbers["gt"]
    found = numbers["gt"]
    assert found["bc_code_with_slip"] == pytest.approx(0.71, abs=0.005)
    assert 0.44 <= found["bc_code_without_slip"] <= 0.46
    # Published for the speaker's whole test set: 13.07 and 11.97.
    assert 11 < found["l1_diversity_code_m"] < 15
    assert 0.50 <= found["wrist_speed_m_s"] <= 0.56
    assert numbers["both"]["joint_error_m"] == 0
