import importlib.util
import os
import signal
import subprocess
import sys

import pytest

from engine.errors import ConfigError
from tests.support.training_fixtures import save_corpus, save_parts, waving
from training import __main__ as command
from training.data.clips import save_clip
from training.loop.checkpoint import CHECKPOINT, read_log


def test_stages_are_imported_only_when_they_are_run():
    assert all(isinstance(module, str) for module in command.STAGES.values())
    for stage in ("retarget", "beat2", "import", "vq", "root-motion", "eval-vq", "rest-pose"):
        assert importlib.util.find_spec(command.STAGES[stage]) is not None


def test_a_config_is_a_toml_file(tmp_path):
    (tmp_path / "a.toml").write_text("steps = 3\n[parts.upper]\nwidth = 8\n")
    config = command.read_config(tmp_path / "a.toml")
    assert config == {"steps": 3, "parts": {"upper": {"width": 8}}}
    assert command.read_config(None) == {}


@pytest.mark.parametrize("text", [None, "steps = = 3"])
def test_a_config_that_cannot_be_read_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"a\.toml"):
        command.read_config(tmp_path / "a.toml")


def test_mistakes_end_with_code_2_and_a_message(tmp_path, capsys):
    (tmp_path / "a.toml").write_text("sources = []\nparts = {}\n")
    paths = ["--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert command.main(["vq", "--config", str(tmp_path / "a.toml"), *paths]) == 2
    assert "expected at least one part" in capsys.readouterr().err


def test_every_shipped_configuration_is_valid(root):
    from engine.config.serialize import from_mapping
    from training.bundle import BundleSettings
    from training.gesture.stage import GestureTraining
    from training.sources.beat2_corpus import Beat2Settings
    from training.sources.import_stage import ImportSettings
    from training.vq.root_motion import RootMotionTraining
    from training.vq.stage import VqTraining

    for path in sorted((root / "training" / "configs").rglob("vq*.toml")):
        assert from_mapping(VqTraining, command.read_config(path)).parts
    for path in sorted((root / "training" / "configs").rglob("gesture*.toml")):
        assert from_mapping(GestureTraining, command.read_config(path)).steps
    for path in sorted((root / "training" / "configs").rglob("root_motion*.toml")):
        assert from_mapping(RootMotionTraining, command.read_config(path)).sources
    for path in sorted((root / "training" / "configs").rglob("bundle*.toml")):
        assert from_mapping(BundleSettings, command.read_config(path)).name
    from_mapping(Beat2Settings, command.read_config(root / "training" / "configs" / "beat2.toml"))
    from_mapping(ImportSettings, command.read_config(root / "training" / "configs" / "import.toml"))


def test_a_missing_data_folder_is_named(tmp_path, capsys):
    missing = tmp_path / "nowhere"
    assert command.main(["vq", "--data", str(missing), "--out", str(tmp_path / "out")]) == 2
    assert f"expected a folder at --data {missing}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["rest-pose", "--processes", "2"], "the stage rest-pose does not train"),
        (["vq", "--processes", "0"], "--processes: expected a whole number of at least 1"),
        (["vq", "--address", "auto"], "say how many --workers"),
        (["vq", "--kind", "bvh"], "--kind is for the stage import, not for vq"),
        (["vq", "--speech", "x"], "--speech is for the stage compose, not for vq"),
        (["compose", "--speech", "nowhere"], "expected the key sentences"),
        (["import", "--kind", "fbx"], "unknown kind 'fbx'; expected one of bvh, amass, smartbody"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, capsys, options, text):
    assert command.main([*options, "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert text in capsys.readouterr().err


STEPS = 40
PART = f"width = 16\ncodes = 32\ncode_dim = 8\nsteps = {STEPS}\n"
CONFIGS = {
    "vq": f"""
window = 16
stretch = 8
batch = 4
[[sources]]
folder = "clips"
[parts.upper]
{PART}[parts.face]
{PART}""",
    "gesture": f"""
window = 32
batch = 4
width = 16
steps = {STEPS}
variants = 1
dropout = 0.1
""",
}
# The one that is killed writes as often as it can, and has a process for each part.
CALM = {"vq": "workers = 1\n", "gesture": ""}
HASTY = {"vq": "workers = 2\nreport_every = 5\n", "gesture": "report_every = 5\n"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    save_parts(folder / "vq")
    save_corpus(folder / "corpus")
    (folder / "clips").mkdir()
    for seed in range(3):
        save_clip(folder / "clips" / f"{seed}.npz", waving(seed), {"split": "train"})
    return folder


def _command(stage, data, out, manner, checkpoint_s=60.0):
    config = out.with_suffix(".toml")
    loop = f'[loop]\ndevice = "cpu"\ncheckpoint_s = {checkpoint_s}\n'
    config.write_text(f"{manner[stage]}{CONFIGS[stage]}{loop}")
    return [stage, "--config", str(config), "--data", str(data), "--out", str(out)]


def _kill_after(line, arguments, root):
    """Start the command and kill it as soon as it says `line`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "training", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        for text in process.stdout:
            if line in text:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "folders"), [("gesture", [""]), ("vq", ["upper", "face"])], ids=["gesture", "vq"]
)
def test_killed_and_started_again_it_is_as_if_it_was_not(stage, folders, data, tmp_path, root):
    """The VQ stage has a process for each part; those must not go on alone."""
    assert command.main(_command(stage, data, tmp_path / "whole", CALM)) == 0
    killed = tmp_path / "killed"
    _kill_after(f" 15/{STEPS} ", _command(stage, data, killed, HASTY, 0.0), root)
    done = [len(read_log(killed / folder)) for folder in folders]
    assert min(done) < STEPS
    assert any((killed / folder / CHECKPOINT).is_file() for folder in folders)
    assert command.main(_command(stage, data, killed, CALM)) == 0
    for folder in folders:
        whole, parts = (read_log(tmp_path / name / folder) for name in ("whole", "killed"))
        assert [row["step"] for row in parts] == list(range(STEPS))
        assert parts == whole
        weights = [
            (tmp_path / name / folder / "model.safetensors").read_bytes()
            for name in ("whole", "killed")
        ]
        assert weights[0] == weights[1]
