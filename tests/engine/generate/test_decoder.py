import numpy as np
import pytest
import torch
from torch import Tensor

from engine.config.model import RootModelConfig
from engine.generate.decoder import REST_SIXD, Decoded, PoseDecoder, world_space_seed
from engine.model.builders import build_root_model
from engine.model.root_motion import local_motion
from engine.motion.channels import MOTION
from engine.motion.rotation import to_sixd
from engine.motion.skeleton import SMPLX_55
from tests.support.tiny_bundle import tiny_bundle

NEW = 4


def decoder(
    *, causal: bool = True, masked_fields: tuple[str, ...] = ("translation",)
) -> PoseDecoder:
    bundle = tiny_bundle(causal=causal)
    return PoseDecoder(bundle.parts, bundle.root_model, face_width=51, masked_fields=masked_fields)


def random_codes(frames: int, rows: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 24, (rows, 4, frames), generator=generator)


def assert_same(a: Decoded, b: Decoded, atol: float = 1e-4) -> None:
    for name, x, y in zip(Decoded._fields, a, b, strict=True):
        torch.testing.assert_close(x, y, atol=atol, rtol=1e-4, msg=name)


def test_outputs_have_the_declared_shapes_and_ranges() -> None:
    decoded = decoder().decode(random_codes(30), NEW)
    assert [tuple(field.shape) for field in decoded] == [
        *((2, 4, 55, 4), (2, 4, 51), (2, 4, 4), (2, 4, 3), (2, 4, 337)),
    ]
    assert float(decoded.contacts.min()) >= 0.0
    assert float(decoded.contacts.max()) <= 1.0
    lengths = decoded.rotations.norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


@pytest.mark.parametrize("causal", [True, False])
def test_context_and_edge_equal_the_receptive_field(causal: bool) -> None:
    """A NaN code makes exactly the frames that depend on it NaN."""
    bundle = tiny_bundle(causal=causal)
    for module in bundle.parts.values():
        module.quantizer.embedding.weight[23] = torch.nan
    pose = PoseDecoder(bundle.parts, bundle.root_model, face_width=51)
    at = pose.edge + 5
    frames = at + pose.context + 5
    codes = random_codes(frames, 1) % 23
    codes[..., at] = 23
    decoded = pose.decode(codes, frames)
    affected = decoded.root_motion[0].isnan().any(-1).nonzero().flatten().tolist()
    assert affected == list(range(at - pose.edge, at + pose.context + 1))
    assert (pose.edge == 0) == causal
    affected_rotations = (
        decoded.rotations[0].isnan().flatten(1).any(-1).nonzero().flatten().tolist()
    )
    assert set(affected_rotations) <= set(affected)


@pytest.mark.parametrize("causal", [True, False])
def test_history_beyond_the_context_has_no_effect(causal: bool) -> None:
    pose = decoder(causal=causal)
    codes = random_codes(pose.context + NEW + 20)
    short = codes[..., -(pose.context + NEW) :]
    assert_same(pose.decode(short, NEW), pose.decode(codes, NEW))


@pytest.mark.parametrize("causal", [True, False])
def test_the_last_frames_equal_those_of_a_full_decode(causal: bool) -> None:
    pose = decoder(causal=causal)
    codes = random_codes(pose.context + NEW + 20)
    every = pose.decode(codes, codes.shape[2])
    for last in (1, NEW, codes.shape[2] - 3):
        some = Decoded(*(field[:, -last:] for field in every))
        assert_same(pose.decode(codes, last), some)


def test_streams_of_a_batch_are_independent() -> None:
    pose = decoder()
    codes = random_codes(30)
    together = pose.decode(codes, NEW)
    alone = pose.decode(codes[1:], NEW)
    assert_same(Decoded(*(field[1:] for field in together)), alone)


def test_the_seed_is_the_pose_with_the_lower_bodys_channels() -> None:
    decoded = decoder().decode(random_codes(30), NEW)
    fields = MOTION.unpack(decoded.motion)
    torch.testing.assert_close(fields["rot6d"], to_sixd(decoded.rotations).flatten(-2))
    torch.testing.assert_close(fields["contact"].clamp(0, 1), decoded.contacts)
    assert not torch.allclose(fields["translation"], decoded.root_motion)


def test_only_the_eyes_have_fixed_rotations() -> None:
    rotations = decoder().decode(random_codes(60, 1), 40).rotations[0].numpy()
    still = np.ptp(rotations, axis=0).max(axis=-1) == 0
    names = [name for name, s in zip(SMPLX_55.joint_names, still, strict=True) if s]
    assert names == ["left_eye", "right_eye"]
    np.testing.assert_array_equal(rotations[0, 23], [1, 0, 0, 0])


def test_masked_fields_do_not_affect_root_motion() -> None:
    codes = random_codes(30)
    unmasked = decoder(masked_fields=()).decode(codes, NEW)
    masked = decoder(masked_fields=("translation",)).decode(codes, NEW)
    assert not torch.allclose(unmasked.root_motion, masked.root_motion)
    torch.testing.assert_close(unmasked.rotations, masked.rotations)
    everything = decoder(masked_fields=("rot6d", "translation", "contact"))
    a, b = (everything.decode(random_codes(60, seed=s), NEW).root_motion for s in (1, 2))
    torch.testing.assert_close(a, b)


def test_placed_motion_has_a_resting_jaw_and_a_root_position() -> None:
    decoded = decoder().decode(random_codes(12), 12)
    start = torch.tensor([[1.0, -2.0], [0.0, 0.5]])
    placed = MOTION.unpack(world_space_seed(decoded, start, 30))
    raw = MOTION.unpack(decoded.motion)
    jaw = SMPLX_55.joint_names.index("jaw")
    joints = placed["rot6d"].reshape(2, 12, 55, 6)
    assert (joints[:, :, jaw] == torch.tensor(REST_SIXD)).all()
    others = [j for j in range(55) if j != jaw]
    torch.testing.assert_close(
        joints[:, :, others], raw["rot6d"].reshape(2, 12, 55, 6)[:, :, others]
    )
    position = placed["translation"]
    torch.testing.assert_close(position[:, 0, 0::2], start)
    own = raw["translation"]  # the lower decoder's, not an input of the root model
    assert not torch.allclose(own, decoded.root_motion, atol=1e-2)
    torch.testing.assert_close(position[:, 5, 0::2] - position[:, 4, 0::2], own[:, 4, 0::2] / 30)
    torch.testing.assert_close(position[..., 1], own[..., 1])
    torch.testing.assert_close(placed["contact"], raw["contact"])


def test_the_root_model_may_receive_orthonormal_rotations() -> None:
    bundle = tiny_bundle()
    received = []
    network = bundle.root_model
    network.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    for orthonormal in (False, True):
        pose = PoseDecoder(bundle.parts, network, face_width=51, orthonormalize=orthonormal)
        pose.decode(random_codes(10), 10)
    lower = received[1][..., :54].reshape(2, 10, 9, 6)
    torch.testing.assert_close(lower[..., :3].norm(dim=-1), torch.ones(2, 10, 9))
    torch.testing.assert_close((lower[..., :3] * lower[..., 3:]).sum(-1), torch.zeros(2, 10, 9))
    assert not torch.allclose(received[0], received[1])


@pytest.mark.parametrize("causal", [True, False])
def test_root_motion_may_use_the_whole_body(causal: bool) -> None:
    """The paper's input: rotations of all joints, and contacts, of all frames in the context."""
    bundle = tiny_bundle(causal=causal)
    torch.manual_seed(0)
    root_model = build_root_model(RootModelConfig(334, 3, 12, 2, causal=causal)).eval()
    for module in bundle.parts.values():
        module.quantizer.embedding.weight[23] = torch.nan
    pose = PoseDecoder(bundle.parts, root_model, face_width=51, whole_body=True)
    at = pose.edge + 5
    frames = at + pose.context + 5
    codes = random_codes(frames, 1) % 23
    plain = pose.decode(codes, frames)
    moved = root_model(local_motion(plain.rotations, plain.contacts))
    torch.testing.assert_close(plain.root_motion, moved, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        pose.decode(codes, 3).root_motion, plain.root_motion[:, -3:], atol=1e-5, rtol=0
    )
    codes[:, 1, at] = 23  # upper body only
    affected = (
        pose.decode(codes, frames).root_motion[0].isnan().any(-1).nonzero().flatten().tolist()
    )
    assert affected
    assert min(affected) >= at - pose.edge
    assert max(affected) <= at + pose.context
