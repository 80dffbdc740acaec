"""emage-bundle: its files and its output."""

import json
import pickle
from pathlib import Path

import pytest

from bench.export.random_checkpoints import write_random_audio_layout
from engine.bundle.io import CONFIG_FILE, WEIGHTS_FILE, load_bundle
from exporters.commands.bundle import main
from tests.support.reference_model import SIZES


class Vocab:
    def __init__(self, words: dict[int, str]) -> None:
        self.index2word = words


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("official") / "random"
    write_random_audio_layout(directory, **SIZES)
    return directory


def test_convert(layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bundle"
    assert main(["convert", str(layout), "-o", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in said] == [
        "tensors matched: 743",
        "expected leftovers: 31",
        "missing: 0",
        "misfitting: 0",
        "unexpected: 0",
        f"written: {out}",
    ]
    assert load_bundle(out).config.name == "random"


def test_a_bundle_that_is_there_is_replaced_and_a_failed_one_leaves_nothing(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    for options in ([], ["--half"]):
        assert main(["convert", str(layout), "-o", str(out), *options]) == 0
        assert sorted(path.name for path in out.iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]
        load_bundle(out)
    (tmp_path / "file").write_text("")
    assert main(["convert", str(layout), "-o", str(tmp_path / "file" / "b")]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "file"]


def test_options_that_cannot_be_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["show", "a" * 300], ["convert", "x"], ["nothing"], []):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1


def test_convert_to_half_the_size(layout: Path, tmp_path: Path) -> None:
    for name, options in (("whole", []), ("half", ["--half"])):
        assert main(["convert", str(layout), "-o", str(tmp_path / name), *options]) == 0
    whole, half = ((tmp_path / n / WEIGHTS_FILE).stat().st_size for n in ("whole", "half"))
    assert half < 0.7 * whole
    load_bundle(tmp_path / "half")


def test_mismatches_are_reported_before_the_error(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "foreign"
    write_random_audio_layout(foreign, **{**SIZES, "hidden": 20})
    config = (layout / "config.json").read_text()
    (foreign / "config.json").write_text(config)
    assert main(["convert", str(foreign), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert "misfitting: " in said.out
    assert "has shape [20, " in said.err
    assert not (tmp_path / "out").exists()


def test_convert_refuses_to_overwrite_other_files(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(layout), "-o", str(layout)]) == 2
    out = tmp_path / "bundle"
    assert main(["convert", str(layout), "-o", str(out)]) == 0
    assert main(["convert", str(out), "-o", str(tmp_path / "other")]) == 2
    file = tmp_path / "file"
    file.write_text("")
    assert main(["convert", str(layout), "-o", str(file)]) == 2
    errors = capsys.readouterr().err
    assert "the checkpoint itself" in errors
    assert "is a bundle already" in errors
    assert "cannot be written" in errors


def test_vocab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {5: "ö", 0: "<PAD>", 4: "the"}
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(Vocab(words)))
    out = tmp_path / "vocab.json"
    assert main(["vocab", str(tmp_path / "vocab.pkl"), "-o", str(out)]) == 0
    assert json.loads(out.read_text(encoding="utf-8")) == {
        "index2word": {"0": "<PAD>", "4": "the", "5": "ö"}
    }
    assert "3 words" in capsys.readouterr().out


def test_vocab_refuses_a_foreign_pickle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(Path("x")))
    assert main(["vocab", str(tmp_path / "vocab.pkl"), "-o", str(tmp_path / "v.json")]) == 2
    assert "pathlib" in capsys.readouterr().err
    assert not (tmp_path / "v.json").exists()


def test_show(layout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(layout)]) == 0
    said = capsys.readouterr().out
    assert "name: random" in said
    assert "input: wave" in said
    assert "post-processing: nothing" in said
    assert "smoothing of upper body and hands: no" in said
    assert "window 24, seed 4, hop 20" in said
    assert main(["show"]) == 0
    said = capsys.readouterr().out
    assert "licence: Apache-2.0" in said
    assert "post-processing: 17 blinks a minute, glances, " in said
