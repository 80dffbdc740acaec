import numpy as np
import pytest

from engine.errors import ConfigError
from engine.motion import rotation as rot
from engine.motion.skeleton import SMPLX_55
from training.data.clips import load_clip, save_clip
from training.sources.retarget import plant
from training.vq import rest_pose as stage
from training.vq.rest_pose import calm_frames, mean_rotation, rest_pose


def _nodding(frames=20):
    """Motion of a head that is still, then nods."""
    rotations = rot.identity(frames, 55).astype(np.float64)
    angle = np.where(np.arange(frames) < 12, 0.2, 0.2 + 0.6 * (np.arange(frames) % 2))
    vectors = np.stack([angle, 0 * angle, 0 * angle], -1)
    rotations[:, SMPLX_55.index("head")] = rot.exp(vectors)
    return plant(rotations)


def test_mean_rotation_ignores_the_sign_of_quaternions():
    q = rot.exp(np.array([[0.0, 0.2, 0.0], [0.0, 0.4, 0.0]]))
    q[1] *= -1
    np.testing.assert_allclose(mean_rotation(q), rot.exp(np.array([0.0, 0.3, 0.0])), atol=1e-6)


def test_calm_frames_precede_the_nod():
    assert calm_frames(_nodding(), 0.5).max() < 12


def test_rest_pose_is_calm_and_on_the_floor():
    pose = rest_pose([_nodding(), _nodding()])
    head = pose.poses.rotations[0, SMPLX_55.index("head")]
    assert len(pose) == 1
    assert rot.angle(head, rot.exp(np.array([0.2, 0.0, 0.0]))) == pytest.approx(0.0, abs=1e-3)
    assert pose.world_positions()[0, [10, 11], 1].min() == pytest.approx(0.015, abs=1e-3)


def test_stage_writes_one_frame_and_names_missing_clips(tmp_path):
    (tmp_path / "clips").mkdir()
    save_clip(tmp_path / "clips" / "a.npz", _nodding(), {"name": "a"})
    stage.run({"idles": ["a"]}, tmp_path, tmp_path)
    assert len(load_clip(tmp_path / "rest.npz")[0]) == 1
    with pytest.raises(ConfigError, match="'b'"):
        stage.run({"idles": ["b"]}, tmp_path, tmp_path)


def test_all_clips_are_used_without_names(tmp_path):
    (tmp_path / "beat2").mkdir()
    save_clip(tmp_path / "beat2" / "a.npz", _nodding(), {"name": "a"})
    stage.run({"source": "beat2", "idles": [], "share": 0.2}, tmp_path, tmp_path)
    assert len(load_clip(tmp_path / "rest.npz")[0]) == 1
    with pytest.raises(ConfigError, match="nothing is in"):
        stage.run({"source": "empty", "idles": []}, tmp_path, tmp_path)
