"""The stage bundle on untrained autoencoders and an untrained transformer."""

import tomllib

import pytest
import torch

from engine.bundle.io import load_bundle
from engine.config.features import DEFAULT_FEATURES
from engine.config.presets import live_config
from engine.config.serialize import from_mapping, to_mapping
from engine.errors import BundleError, ConfigError
from engine.generate.schedule import Schedule
from engine.model.builders import build_gesture_model
from engine.model.quantizers.vector import Quantized
from engine.motion.skeleton import BodyPart
from engine.postprocess.blinks import BlinkConfig
from engine.postprocess.chain import PostProcessConfig
from engine.postprocess.gaze import GazeConfig
from engine.postprocess.idle_motion import IdleConfig
from engine.postprocess.one_euro import OneEuroConfig
from engine.postprocess.posture import PostureConfig
from engine.postprocess.stance import StanceConfig
from tests.support.training_fixtures import CODE_DIM, CODES, save_parts, waving
from training import bundle
from training.bundle import BundleSettings, rest_codes
from training.data.clips import save_clip, write_json
from training.data.windows import tensor_of
from training.module_io import save_module

WORDS = ["hello", "no"]
CONFIG = {
    "name": "tiny",
    "provenance": {"licence": "Apache-2.0", "data": ["none"], "command": "tests"},
    "schedule": {"window": 24, "seed": 8, "hop": 2},
    "code_selection": {"face": "nearest_latent"},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    save_parts(folder / "vq")
    save_clip(folder / "vq" / "rest.npz", waving(1, 1), {"name": "rest"})
    config = live_config(
        DEFAULT_FEATURES.width, 4 + len(WORDS), width=16, codes=CODES, code_dim=CODE_DIM
    )
    save_module(folder / "gesture", config, build_gesture_model(config))
    write_json(folder / "gesture" / "vocabulary.json", WORDS)
    return folder


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundle")
    bundle.run(CONFIG, data, out)
    return load_bundle(out)


def test_the_bundle_contains_its_settings(made):
    assert made.config.name == "tiny"
    assert made.config.vocabulary == tuple(WORDS)
    assert made.config.schedule.seed == 8
    assert made.config.provenance.licence == "Apache-2.0"
    assert made.config.root_model.width == 12


def test_postprocessing_follows_the_settings(made, data):
    assert made.config.postprocess == PostProcessConfig()
    stages = {
        "blinks": {"per_minute": 17},
        "gaze": {"away_share": 0.2},
        "idle": {"amount": 0.8},
        "one_euro": {"min_cutoff_hz": 2.5, "beta": 1},
        "posture": {"offsets_deg": {"neck": [-5, 0, 0]}},
        "stance": {"foot_offset_m": 0.05},
    }
    settings = from_mapping(BundleSettings, {**CONFIG, "postprocess": stages})
    config = bundle.bundle_config(settings, data / "vq", data / "gesture")
    assert config.postprocess == PostProcessConfig(
        one_euro=OneEuroConfig(2.5, 1.0),
        posture=PostureConfig({"neck": (-5.0, 0.0, 0.0)}),
        stance=StanceConfig(0.05),
        idle=IdleConfig(0.8),
        gaze=GazeConfig(0.2),
        blinks=BlinkConfig(17.0),
    )


@pytest.mark.parametrize(
    ("key", "new"),
    [("homing_s", "recenter_time_s"), ("sway", "postprocess.idle"), ("most_mb", "max_weights_mb")],
)
def test_a_former_key_is_an_error_that_names_the_new_one(key, new):
    with pytest.raises(ConfigError, match=f"key '{key}' was renamed; use '{new}'"):
        from_mapping(BundleSettings, {**CONFIG, key: 1})


def test_speakers_are_those_of_the_training(made, data):
    assert made.config.speakers == ("default",)
    write_json(data / "gesture" / "speakers.json", ["calm", "lively"])
    assert bundle.read_speakers(data / "gesture") == ("calm", "lively")
    (data / "gesture" / "speakers.json").unlink()


def test_trained_schedules_are_those_of_the_training(made, data):
    assert made.config.trained_schedules == ()
    written = [Schedule(24, 16, 1), Schedule(24, 4, 20)]
    write_json(data / "gesture" / "schedules.json", [to_mapping(each) for each in written])
    settings = from_mapping(BundleSettings, CONFIG)
    config = bundle.bundle_config(settings, data / "vq", data / "gesture")
    (data / "gesture" / "schedules.json").unlink()
    assert config.trained_schedules == tuple(written)


def test_the_bundle_decodes_as_the_trained_parts(made, tmp_path):
    codes = torch.arange(CODES)[None]
    for part, vae in save_parts(tmp_path).items():
        theirs = made.parts[part].decode_codes(codes)
        # Written in half precision.
        torch.testing.assert_close(theirs, vae.decode_codes(codes), atol=0.01, rtol=0.01)


def test_encoders_are_included_on_request_only(made, data, tmp_path):
    names = [name for part in BodyPart for name, _ in made.parts[part].named_parameters()]
    assert not any(name.startswith("encoder") for name in names)
    bundle.run({**CONFIG, "include_encoders": True}, data, tmp_path)
    whole = load_bundle(tmp_path).parts[BodyPart.FACE]
    assert whole.encode(tensor_of(BodyPart.FACE, waving(1, 3))[None]).shape == (1, 3, CODE_DIM)


def test_rest_codes_are_those_of_a_long_rest_pose(made, tmp_path):
    """Codes after many frames of rest, not those at the start of a clip."""
    parts = save_parts(tmp_path)
    for index, part in enumerate(BodyPart):
        still = tensor_of(part, waving(1, 1)).expand(300, -1)[None]
        assert int(made.rest_codes[index]) == int(
            parts[part].nearest(parts[part].encode(still))[0, -1]
        )


class Settling:
    """A part whose code is the number of frames encoded so far, up to 50."""

    def encode(self, x):
        return torch.arange(x.shape[1])[None].clamp(max=50)

    def quantize(self, latents):
        return Quantized(latents, None, None)


def test_rest_codes_are_taken_after_the_encoder_has_settled():
    parts = dict.fromkeys(BodyPart, Settling())
    assert rest_codes(parts, waving(1, 1)).tolist() == [50] * len(BodyPart)


def test_only_the_first_frame_of_the_pose_counts(tmp_path):
    parts = save_parts(tmp_path)
    assert torch.equal(rest_codes(parts, waving(1, 1)), rest_codes(parts, waving(1, 9)))


def test_too_large_weights_are_an_error(data, tmp_path):
    with pytest.raises(ConfigError, match=r"expected at most 0\.001"):
        bundle.run({**CONFIG, "max_weights_mb": 0.001}, data, tmp_path)
    with pytest.raises(BundleError, match="is not a bundle"):
        load_bundle(tmp_path)


def test_the_shipped_settings_fit(root):
    settings = tomllib.loads((root / "training" / "configs" / "bundle.toml").read_text())
    assert from_mapping(BundleSettings, settings).max_weights_mb <= 5.0
