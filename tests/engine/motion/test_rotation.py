from collections.abc import Callable

import numpy as np
import pytest
import torch

from engine.motion import rotation as R
from engine.motion.skeleton import SMPLX_55

RNG = np.random.default_rng(0)
QUATERNIONS = R.normalize(RNG.standard_normal((200, 4)))
OTHERS = R.normalize(RNG.standard_normal((200, 4)))
VECTORS = RNG.standard_normal((200, 3))
AXES = np.concatenate([np.eye(3), -np.eye(3), R.normalize(RNG.standard_normal((20, 3)))])
TURNS = (0.0, 1e-7, 1e-4, 0.5, np.pi / 2, 3.0, np.pi - 1e-4, np.pi - 1e-7, np.pi)

VERBS: dict[str, tuple[Callable[..., object], tuple[np.ndarray, ...]]] = {
    "normalize": (R.normalize, (VECTORS,)),
    "inverse": (R.inverse, (QUATERNIONS,)),
    "multiply": (R.multiply, (QUATERNIONS, OTHERS)),
    "cross": (R.cross, (VECTORS, VECTORS[::-1].copy())),
    "rotate": (R.rotate, (QUATERNIONS, VECTORS)),
    "exp": (R.exp, (VECTORS,)),
    "log": (R.log, (QUATERNIONS,)),
    "angle": (R.angle, (QUATERNIONS, OTHERS)),
    "slerp": (R.slerp, (QUATERNIONS, OTHERS, np.array(0.3))),
    "between": (R.between, (VECTORS, VECTORS[::-1].copy())),
    "to_matrix": (R.to_matrix, (QUATERNIONS,)),
    "from_matrix": (R.from_matrix, (R.to_matrix(QUATERNIONS),)),
    "to_sixd": (R.to_sixd, (QUATERNIONS,)),
    "from_sixd": (R.from_sixd, (RNG.standard_normal((200, 6)),)),
}


@pytest.mark.parametrize("verb", VERBS)
def test_numpy_and_torch_agree(verb: str) -> None:
    function, arguments = VERBS[verb]
    ours = function(*arguments)
    theirs = function(*(torch.from_numpy(a) for a in arguments))
    assert isinstance(ours, np.ndarray)
    assert isinstance(theirs, torch.Tensor)
    np.testing.assert_allclose(theirs.numpy(), ours, atol=1e-12)


def rotations() -> np.ndarray:
    """Rotations about many axes by angles from 0 to 180 degrees."""
    return np.concatenate([R.exp(AXES * turn) for turn in TURNS])


@pytest.mark.parametrize(
    ("forward", "backward"),
    [(R.log, R.exp), (R.to_matrix, R.from_matrix), (R.to_sixd, R.from_sixd)],
    ids=["rotvec", "matrix", "sixd"],
)
@pytest.mark.parametrize(("dtype", "most"), [(np.float64, 1e-7), (np.float32, 1e-3)])
def test_round_trips(forward, backward, dtype: type, most: float) -> None:  # type: ignore[no-untyped-def]
    q = rotations().astype(dtype)
    restored = backward(forward(q))
    assert R.angle(q, restored).max() < most
    np.testing.assert_allclose(np.linalg.norm(restored, axis=-1), 1.0, atol=1e-5)


def test_quaternions_of_matrices_have_positive_w() -> None:
    assert (R.from_matrix(R.to_matrix(QUATERNIONS))[:, 0] >= 0).all()
    assert (QUATERNIONS[:, 0] < 0).any()


@pytest.mark.parametrize("turn", TURNS)
def test_a_rotation_vector_keeps_its_length(turn: float) -> None:
    np.testing.assert_allclose(np.linalg.norm(R.log(R.exp(AXES * turn)), axis=-1), turn, atol=1e-7)


def test_log_returns_the_shorter_rotation() -> None:
    rotvec = R.log(R.exp(np.array([0.0, 1.5 * np.pi, 0.0])))
    np.testing.assert_allclose(rotvec, [0.0, -0.5 * np.pi, 0.0], atol=1e-12)


def test_matrices_are_orthonormal_and_rotate_vectors_alike() -> None:
    matrices = R.to_matrix(QUATERNIONS)
    np.testing.assert_allclose(
        matrices @ matrices.swapaxes(-1, -2), np.eye(3)[None].repeat(200, 0), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0, atol=1e-12)
    np.testing.assert_allclose(
        R.rotate(QUATERNIONS, VECTORS), (matrices @ VECTORS[..., None])[..., 0], atol=1e-12
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_do_not_depend_on_the_batch_size(dtype) -> None:
    """Bit-exact for any number of rows; torch agrees with numpy."""
    rng = np.random.default_rng(3)
    a, b = (rng.normal(size=(3000, 4)).astype(dtype) for _ in range(2))
    for verb, width in ((R.multiply, 4), (R.cross, 3)):
        many = verb(a[:, :width], b[:, :width])
        few = [verb(a[k : k + 5, :width], b[k : k + 5, :width]) for k in range(0, 3000, 5)]
        assert many.dtype == few[0].dtype == dtype
        np.testing.assert_array_equal(np.concatenate(few), many)
        torches = verb(torch.from_numpy(a[:5, :width]), torch.from_numpy(b[:5, :width]))
        np.testing.assert_allclose(torches.numpy(), few[0], atol=1e-5)


def test_multiply_applies_the_right_operand_first() -> None:
    product = R.to_matrix(R.multiply(QUATERNIONS, OTHERS))
    np.testing.assert_allclose(product, R.to_matrix(QUATERNIONS) @ R.to_matrix(OTHERS), atol=1e-12)


def test_a_quarter_turn_about_y_takes_z_to_x() -> None:
    turned = R.rotate(R.exp(np.array([0.0, np.pi / 2, 0.0])), np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(turned, [1.0, 0.0, 0.0], atol=1e-12)


def test_sixd_is_the_first_two_rows() -> None:
    np.testing.assert_array_equal(
        R.to_sixd(QUATERNIONS), R.to_matrix(QUATERNIONS)[:, :2].reshape(-1, 6)
    )


def test_slerp_has_constant_speed_and_the_shorter_path() -> None:
    a, b = R.exp(np.array([0.0, 0.2, 0.0])), R.exp(np.array([0.0, 1.0, 0.0]))
    for t in (0.0, 0.25, 1.0):
        expected = R.exp(np.array([0.0, 0.2 + 0.8 * t, 0.0]))
        assert R.angle(R.slerp(a, b, t), expected) < 1e-9
        assert R.angle(R.slerp(a, -b, t), expected) < 1e-9


def test_between_maps_one_direction_to_another_even_opposite_ones() -> None:
    pairs = [(v, w) for v in AXES for w in (*AXES[:6], -v)]
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    np.testing.assert_allclose(R.rotate(R.between(a, b), R.normalize(a)), R.normalize(b), atol=1e-6)


def test_gradients_are_finite_at_the_identity() -> None:
    rotvec = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (half,) = torch.autograd.grad(R.exp(rotvec)[1:].sum(), rotvec)
    np.testing.assert_allclose(half.numpy(), 0.5)
    (whole,) = torch.autograd.grad(R.log(R.exp(rotvec)).sum(), rotvec)
    np.testing.assert_allclose(whole.numpy(), 1.0)
    (none,) = torch.autograd.grad(R.normalize(rotvec).sum(), rotvec)
    assert torch.isfinite(none).all()


def naive_positions(rotations: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Forward kinematics of one frame with 4 x 4 matrices."""
    world: list[np.ndarray] = []
    for joint, parent in enumerate(SMPLX_55.parents):
        local = np.eye(4)
        local[:3, :3] = R.to_matrix(rotations[joint].astype(np.float64))
        local[:3, 3] = SMPLX_55.offsets[joint] + (translation if parent < 0 else 0.0)
        world.append(local if parent < 0 else world[parent] @ local)
    return np.stack([m[:3, 3] for m in world])


def test_forward_kinematics_equals_the_chain_of_matrices() -> None:
    local = R.normalize(RNG.standard_normal((3, 55, 4))).astype(np.float32)
    translation = RNG.standard_normal((3, 3)).astype(np.float32)
    positions, world = R.forward_kinematics(SMPLX_55.parents, SMPLX_55.offsets, local, translation)
    for t in range(3):
        np.testing.assert_allclose(
            positions[t], naive_positions(local[t], translation[t]), atol=1e-5
        )
    np.testing.assert_allclose(world[:, 0], local[:, 0], atol=1e-6)


def test_forward_kinematics_keeps_bone_lengths() -> None:
    local = R.normalize(RNG.standard_normal((50, 55, 4)))
    positions, _ = R.forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, local, np.zeros((50, 3))
    )
    for joint, parent in enumerate(SMPLX_55.parents[1:], 1):
        bones = np.linalg.norm(positions[:, joint] - positions[:, parent], axis=-1)
        np.testing.assert_allclose(bones, np.linalg.norm(SMPLX_55.offsets[joint]), rtol=1e-6)


def test_joint_levels_order_joints_by_depth() -> None:
    levels = R.joint_levels(SMPLX_55.parents)
    assert sorted(j for level in levels for j in level) == list(range(55))
    depth = {j: d for d, level in enumerate(levels) for j in level}
    assert all(depth[j] == depth[p] + 1 for j, p in enumerate(SMPLX_55.parents) if p >= 0)
