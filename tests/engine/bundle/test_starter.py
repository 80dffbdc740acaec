"""Motion of the starter bundle: feet on the floor, a mouth that closes, hands that rest.

Whether strokes follow stresses takes more speech than a test should render; see
`bench.quality.rollout`.
"""

import numpy as np
import pytest

from bench.metrics.strokes import arm_speed, wrist_speed
from bench.plots.readme_figures import render
from bench.quality.sync import mute_report
from engine.audio.source import WavSource
from engine.bundle.io import DEFAULT_BUNDLE, DEMO_SOUND, WEIGHTS_FILE, Bundle, load_bundle
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import FrameFlag, Motion
from engine.motion.skeleton import CONTACT_JOINTS, SMPLX_55


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(DEFAULT_BUNDLE)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return np.concatenate([block.samples for block in WavSource(DEMO_SOUND).blocks()])


@pytest.fixture(scope="module")
def demo(bundle: Bundle, speech: np.ndarray) -> Motion:
    return render(bundle, speech)


@pytest.fixture(scope="module")
def muted(bundle: Bundle, speech: np.ndarray) -> Motion:
    return render(bundle, np.zeros_like(speech))


def test_it_is_small_and_states_its_provenance(bundle: Bundle) -> None:
    assert (DEFAULT_BUNDLE / WEIGHTS_FILE).stat().st_size <= 10_000_000
    provenance = bundle.config.provenance
    assert provenance.licence
    assert any("LGPL" in source for source in provenance.data)


def test_rotations_are_orthonormal_and_bones_constant(demo: Motion) -> None:
    lengths = np.linalg.norm(demo.poses.rotations, axis=-1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-5)
    points = demo.world_positions()
    for joint, parent in enumerate(SMPLX_55.parents):
        if parent >= 0:
            bone = np.linalg.norm(points[:, joint] - points[:, parent], axis=-1)
            np.testing.assert_allclose(bone, np.linalg.norm(SMPLX_55.offsets[joint]), atol=1e-4)


def test_feet_are_on_the_floor(demo: Motion) -> None:
    lowest = demo.world_positions()[:, list(CONTACT_JOINTS), 1].min(1)
    assert abs(float(np.median(lowest))) <= 0.03


def test_it_moves_while_there_is_speech_and_rests_without(demo: Motion, muted: Motion) -> None:
    speeds = [arm_speed(m.world_positions(), 30) for m in (demo, muted)]
    report = mute_report(speeds[:1], speeds[1:], 30)
    assert report.speed > 0.1
    assert report.ratio < 0.5


def test_no_ten_seconds_of_speech_are_frozen(demo: Motion) -> None:
    speed = wrist_speed(demo.world_positions(), 30)
    assert min(speed[start : start + 300].mean() for start in range(0, len(speed) - 300, 30)) > 0.05


def test_the_mouth_opens_for_speech_and_closes_in_silence(demo: Motion, muted: Motion) -> None:
    jaw = demo.poses.face[:, ARKIT_51.coefficients.index("jawOpen")]
    silent = np.array([bool(flag & FrameFlag.IDLE) for flag in demo.poses.flags])
    settled = np.array([silent[max(0, t - 6) : t + 1].all() for t in range(len(silent))])
    assert settled.sum() > 30
    assert np.percentile(jaw[~silent], 90) > 0.15
    assert np.percentile(jaw[settled], 90) < 0.05
    assert np.percentile(muted.poses.face[:, ARKIT_51.coefficients.index("jawOpen")], 99) < 0.05
