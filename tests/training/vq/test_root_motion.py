import tomllib

import pytest
import torch

from engine.config.model import RootModelConfig
from engine.config.serialize import from_mapping
from engine.errors import ConfigError
from engine.model.builders import build_root_model
from engine.motion.skeleton import BodyPart
from tests.support.training_fixtures import save_parts, waving
from training.data.clips import save_clip
from training.data.windows import Source, generator, tensor_of
from training.loop.checkpoint import CHECKPOINT
from training.module_io import load_config, load_weights
from training.vq import root_motion
from training.vq.losses import FootLoss
from training.vq.root_motion import (
    LOWER,
    SAMPLE,
    RootMotionTraining,
    hide_translation,
    loss,
    prepare,
    reconstruct,
    samples,
)

FEET = FootLoss(30.0)


def _lower(seed=1, frames=16):
    return tensor_of(BodyPart.LOWER, waving(seed, frames))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    save_clip(folder / "clips" / "a.npz", waving(1, 30), {})
    return folder


@pytest.fixture
def out(tmp_path):
    save_parts(tmp_path)
    return tmp_path


def test_input_has_legs_and_contacts_but_no_translation():
    lower = _lower()
    shown, whole = LOWER.unpack(hide_translation(lower)), LOWER.unpack(lower)
    assert shown["translation"].abs().max() == 0
    assert torch.equal(shown["rot6d"], whole["rot6d"])
    assert torch.equal(shown["contact"], whole["contact"])
    assert whole["translation"].abs().max() > 1


def test_sample_combines_input_body_and_true_root_motion():
    shown, true = _lower(1), _lower(2)
    fields = SAMPLE.unpack(samples(shown, true, FEET))
    assert torch.equal(fields["lower"], hide_translation(shown))
    assert torch.equal(fields["root"], LOWER.unpack(true)["translation"])
    own = SAMPLE.unpack(samples(shown, shown, FEET))
    assert torch.equal(fields["feet"], own["feet"])
    assert not torch.allclose(fields["height"], own["height"], atol=1e-3)


def test_true_root_motion_costs_only_sliding_feet():
    batch = samples(_lower(), _lower(), FEET)[None]
    terms = loss(SAMPLE.unpack(batch)["root"], batch, FEET, 0.5)
    assert all(float(value) < 1e-5 for name, value in terms.items() if name != "feet")


@pytest.mark.parametrize(
    ("channel", "risen", "same"),
    [(0, {"velocity"}, {"height", "floor", "smooth"}), (1, {"height", "floor"}, {"velocity"})],
)
def test_each_error_has_its_term(channel, risen, same):
    batch = samples(_lower(), _lower(), FEET)[None]
    made = SAMPLE.unpack(batch)["root"].clone()
    made[..., channel] += 0.1
    terms = loss(made, batch, FEET, 0.5)
    assert all(float(terms[name]) > 0.01 for name in risen)
    assert all(float(terms[name]) < 1e-4 for name in same)


def test_jitter_costs_at_the_right_mean():
    batch = samples(_lower(), _lower(), FEET)[None]
    made = SAMPLE.unpack(batch)["root"].clone()
    made[:, ::2, 1] += 0.01
    made[:, 1::2, 1] -= 0.01
    assert float(loss(made, batch, FEET, 0.5)["smooth"]) > 0.03


def test_reconstructed_and_recorded_legs_are_both_drawn(data, out):
    settings = RootMotionTraining((Source("clips", mirrored=False),), window=30)
    windows = prepare(data, out, settings).draw(60, generator(1))
    clip = tensor_of(BodyPart.LOWER, waving(1, 30))
    parts = save_parts(out)
    kinds = [samples(x, clip, FEET) for x in (reconstruct(parts[BodyPart.LOWER], clip), clip)]
    counts = [sum(torch.allclose(w, k, atol=1e-4) for w in windows) for k in kinds]
    assert sum(counts) == 60
    assert counts[0] > counts[1] > 5


def _trained(data, out, steps):
    """Loss of a network after `steps` steps, loaded from disk."""
    (out / "global" / CHECKPOINT).unlink(missing_ok=True)
    config = {"sources": [{"folder": "clips"}], "width": 12, "batch": 4, "window": 16}
    root_motion.run(config | {"steps": steps, "learning_rate": 0.01}, data, out)
    own = load_config(out / "global", RootModelConfig)
    assert (own.channels, own.out, own.width, own.causal) == (LOWER.width, 3, 12, True)
    module = build_root_model(own)
    load_weights(out / "global", module)
    batch = samples(_lower(1, 30), _lower(1, 30), FEET)[None]
    terms = loss(module(SAMPLE.unpack(batch)["lower"]), batch, FEET, 0.5)
    return {name: float(value.detach()) for name, value in terms.items()}


def test_training_starts_from_the_mean_height(data, out):
    first, last = (_trained(data, out, steps) for steps in (1, 40))
    # From zero the height loss would be 6.
    assert first["height"] < 1.5
    assert sum(last.values()) < 0.7 * sum(first.values())


def test_unknown_settings_are_refused(data, out):
    with pytest.raises(ConfigError, match="velocity"):
        root_motion.run({"sources": [{"folder": "clips"}], "velocity": 1}, data, out)


def test_shipped_settings_are_valid(root):
    settings = tomllib.loads((root / "training" / "configs" / "root_motion.toml").read_text())
    assert from_mapping(RootMotionTraining, settings).causal
