from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bench.metrics.gesture_features import (
    OUR_FEATURES,
    STRIDE,
    WIDTH,
    EncoderNotes,
    GestureDecoder,
    GestureEncoder,
    SkeletonConv,
    SkeletonPool,
    gesture_features,
    gesture_vectors,
    load_encoder,
    pooled,
    save_encoder,
)
from engine.errors import BundleError, ConfigError
from engine.motion.skeleton import SMPLX_55
from tests.support.reference_model import write_pointer
from tests.support.training_fixtures import waving
from training.sources.resample import resampled

NOTES = EncoderNotes("nothing", "none", 0, 0, 1.0)


def test_chains_are_pooled_in_pairs_and_branches_stay():
    #        0 - 1 - 2 - 3 - 4 (branches) - 5, 6
    groups, parents = pooled([-1, 0, 1, 2, 3, 4, 4])
    assert groups == [0, 0, 1, 1, 2, 3, 4]
    assert parents == [-1, 0, 1, 2, 2]
    assert pooled([-1]) == ([0], [-1])


def test_a_body_becomes_twenty_limbs():
    pairs, pair_parents = pooled(SMPLX_55.parents)
    limbs, limb_parents = pooled(pair_parents)
    assert (len(pair_parents), len(limb_parents)) == (35, 20)
    own = {name: limbs[pairs[j]] for j, name in enumerate(SMPLX_55.joint_names)}
    assert own["left_collar"] == own["left_shoulder"] == own["left_wrist"]
    assert own["left_index1"] == own["left_index3"] != own["left_wrist"]
    assert own["left_hip"] == own["left_foot"] != own["pelvis"]


def test_a_joint_depends_on_its_neighbours_only():
    torch.manual_seed(0)
    conv = SkeletonConv([-1, 0, 1, 2, 0], 2, 3, 1)
    x = torch.zeros(1, 10, 9, requires_grad=True)
    conv(x)[0].unflatten(0, (5, 3))[1].sum().backward()
    seen = x.grad[0].unflatten(0, (5, 2)).abs().sum((1, 2)) > 0
    assert seen.tolist() == [True, True, True, False, False]


def test_pooling_is_a_mean():
    x = torch.arange(12.0).reshape(1, 6, 2)  # three joints of two channels
    made = SkeletonPool([0, 0, 1])(x)
    assert made[0].tolist() == [[2, 3], [4, 5], [8, 9], [10, 11]]


def test_features_are_decoded_to_the_input_shape():
    torch.manual_seed(0)
    encoder, decoder = GestureEncoder(), GestureDecoder(16)
    x = torch.randn(2, 32, 330)
    features = encoder(x)
    assert features.shape == (2, 32 // STRIDE, WIDTH)
    assert decoder(features).shape == (2, 32, 330)
    assert 0.05 < float(features.detach().std()) < 5


def test_scales_are_taken_from_the_data():
    encoder = GestureEncoder()
    x = torch.randn(500, 330) * 3 + 1
    x[:, 0] = 7  # never moves
    encoder.fit(x)
    made = encoder.standardised(x)
    assert float(made[:, 1:].std()) == pytest.approx(1, abs=0.01)
    assert made[:, 0].abs().max() == 0


def test_motions_of_any_rate_give_features():
    torch.manual_seed(0)
    encoder = GestureEncoder().eval()
    motion = waving(1, 43)
    assert gesture_vectors(motion).shape == (43, 330)
    assert gesture_features(encoder, motion).shape == (10, WIDTH)
    assert gesture_features(encoder, resampled(motion, 15)).shape == (10, WIDTH)
    assert gesture_features(encoder, waving(1, 3)).shape == (0, WIDTH)


def test_an_encoder_survives_a_round_trip(tmp_path: Path):
    torch.manual_seed(0)
    encoder = GestureEncoder().eval()
    encoder.fit(torch.randn(50, 330))
    save_encoder(tmp_path / "deep" / "a.safetensors", encoder, NOTES)
    back, notes = load_encoder(tmp_path / "deep" / "a.safetensors")
    assert notes["data"] == "nothing"
    motion = waving(2, 40)
    ours, theirs = (gesture_features(e, motion) for e in (encoder, back))
    assert np.abs(ours - theirs).max() < 0.02 * np.abs(ours).max()
    # Limit of the shipped file.
    assert (tmp_path / "deep" / "a.safetensors").stat().st_size < 500_000


def test_the_shipped_features_name_their_data_and_separate_jitter_from_motion():
    encoder, notes = load_encoder(OUR_FEATURES)
    assert "SmartBody" in notes["licence"]
    vectors = torch.from_numpy(gesture_vectors(waving(1, 200)))[None]
    shaken = vectors + 0.1 * torch.randn(vectors.shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        true, worse = encoder(vectors), encoder(shaken)
    assert float((worse - true).norm() / true.norm()) > 0.2


def test_other_files_are_refused(tmp_path: Path):
    (tmp_path / "cut.safetensors").write_bytes(b"short")
    save_file({"a": torch.zeros(2)}, str(tmp_path / "other.safetensors"))
    for name in ("cut", "other", "missing"):
        with pytest.raises(ConfigError, match=rf"{name}\.safetensors"):
            load_encoder(tmp_path / f"{name}.safetensors")


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    write_pointer(path)
    with pytest.raises(BundleError, match=r"encoder\.safetensors is a pointer of Git LFS"):
        load_encoder(path)
