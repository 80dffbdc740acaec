"""The whole command on a tiny bundle that hears tones."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import main
from bench.starter import command, likeness
from bench.starter.command import Extent, measured
from bench.starter.talks import Part
from engine.bundle import save_bundle
from tests.material import tone_take, waving
from tests.models import tiny_bundle
from training.data.clips import save_clip, write_json


def spoken(*_: object) -> list[Part]:
    return [Part(f"voice {seed}", tone_take("test", seed, 3.0).speech) for seed in (1, 2)]


def save_clips(folder: Path) -> None:
    """Waving figures as the stage retarget leaves them."""
    (folder / "clips").mkdir(parents=True)
    listed = [
        ("idle", "", "idle", "train"),
        ("me", "Me", "gesture", "train"),
        ("no", "Negative", "gesture", "train"),
        ("stop", "Stop", "gesture", "test"),
    ]
    table = []
    for seed, (name, family, use, split) in enumerate(listed):
        save_clip(folder / "clips" / f"{name}.npz", waving(seed, 70), {})
        entry = {"name": name, "family": family, "use": use, "split": split}
        table.append(entry | {"hand": "", "actor": ""})
    write_json(folder / "clips.json", table)


def test_the_command_measures_prints_and_ends_with_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "read_parts", spoken)
    monkeypatch.setattr(likeness, "_STEPS", 1)
    monkeypatch.setattr(command, "QUICK", Extent(6.0, 2.0, 2.0, 5))
    save_bundle(tiny_bundle(), tmp_path / "bundle")
    save_clips(tmp_path / "real")
    arguments = ["starter", "--model", str(tmp_path / "bundle"), "--clips", str(tmp_path / "real")]
    assert main([*arguments, "--quick"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert any("targets hold" in line for line in lines)
    report = json.loads(last)
    numbers = report["numbers"]
    assert {"network", "composer", "real clips"} <= set(numbers)
    assert {"FGD live over offline", "jerk over real clips", "RTF"} <= set(numbers["network"])
    assert set(report["holds"].values()) <= {True, False, None}
    assert report["parts"] == {"voice 1": 3.0, "voice 2": 3.0}


def test_json_alone_where_it_is_wanted_and_less_where_less_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "read_parts", spoken)
    save_bundle(tiny_bundle(), tmp_path)
    assert main(["starter", "--model", str(tmp_path), "--quick", "--json", "--seconds", "4"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [*report["numbers"]] == ["network"]
    assert sum(report["parts"].values()) == 4.0
    assert report["holds"]["FGD live over offline"] is None


def test_the_recorded_take_stands_beside_the_network(tmp_path: Path) -> None:
    save_clip(tmp_path / "voice 1.npz", waving(1, 90), {})
    np.save(tmp_path / "mean_vel_smplxflame_30.npy", np.ones(55))
    options = command.argparse.Namespace(speaker="", beat2=tmp_path, clips=None, kernel="eager")
    columns = measured(tiny_bundle(), spoken(), Extent(rounds=3), options, lambda text: None)
    assert [*columns] == ["network", "real take"]
    assert np.isfinite(columns["real take"]["jaw, r with the phones"])
