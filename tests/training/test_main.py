import importlib.util

import pytest

from engine.errors import ConfigError
from training import __main__ as command


def test_stages_are_imported_only_when_they_are_run():
    assert all(isinstance(module, str) for module in command.STAGES.values())
    for stage in ("retarget", "beat2", "vq", "global", "floors", "rest"):
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
    from engine.config import from_mapping
    from training.beat2_corpus import Beat2Settings
    from training.gesture import GestureTraining
    from training.global_motion import GlobalTraining
    from training.vq import VqTraining

    for path in sorted((root / "training" / "configs").glob("vq*.toml")):
        assert from_mapping(VqTraining, command.read_config(path)).parts
    for path in sorted((root / "training" / "configs").glob("gesture*.toml")):
        assert from_mapping(GestureTraining, command.read_config(path)).steps
    from_mapping(GlobalTraining, command.read_config(root / "training" / "configs" / "global.toml"))
    from_mapping(Beat2Settings, command.read_config(root / "training" / "configs" / "beat2.toml"))
