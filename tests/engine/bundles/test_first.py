"""The bundle that ships, by its motion: a body on the floor, a mouth that closes, hands that beat.

The sentences were written for this test and occur in no corpus.
"""

import math

import numpy as np
import pytest

from bench.report import render
from bench.strokes import Utterance, mute_report, stroke_test, stroke_times, wrist_speed
from engine.audio.source import WavSource
from engine.bundle import DEFAULT_BUNDLE, WEIGHTS_FILE, Bundle, load_bundle
from engine.errors import ConfigError
from engine.face import ARKIT_51
from engine.pose import FrameFlag, Motion
from engine.skeleton import CONTACT_JOINTS, SMPLX_55
from exporters.commands.live import DEMO_SOUND

SENTENCES = (
    "The baker across the street opens long before the sun comes up.",
    "Put the heavy boxes on the lower shelf, and the glasses on top.",
    "Our neighbour keeps seven rabbits in a garden behind the garage.",
    "When the rain stopped, the children ran straight into the puddles.",
    "A good map is worth more than a fast car in those mountains.",
    "She painted the kitchen yellow because winter felt endless.",
    "The ferry leaves at nine, but the ticket office closes at eight.",
    "Most of the furniture was older than the house itself.",
    "He whistled the same melody until everybody knew it by heart.",
    "Two engineers measured the bridge while the traffic waited.",
    "Fresh bread, salted butter and a pot of tea were on the table.",
    "The museum keeps its smallest treasures in the darkest room.",
    "Nobody remembered who had planted the enormous walnut tree.",
    "Turn left at the fountain, then follow the narrow canal.",
    "The orchestra tuned for ages and played for only ten minutes.",
    "Bring a warm jacket, a strong torch and plenty of patience.",
)


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


def test_small_and_says_where_it_comes_from(bundle: Bundle) -> None:
    assert (DEFAULT_BUNDLE / WEIGHTS_FILE).stat().st_size <= 5_000_000
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
    speeds = [wrist_speed(m.world_positions(), 30) for m in (demo, muted)]
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


@pytest.mark.synthesis
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_strokes_are_nearer_to_stressed_words_than_to_those_of_other_speech(
    bundle: Bundle,
) -> None:
    from training.plan import prominent_words
    from training.speech import Voice, synthesize

    utterances = []
    for number, sentence in enumerate(SENTENCES):
        # Every sentence is heard twice, by both voices and at different places.
        text = f"{sentence} {SENTENCES[(number + 3) % len(SENTENCES)]}"
        voice = Voice(("flite:slt", "flite:rms")[number % 2], 1.0 + 0.03 * (number % 3))
        try:
            spoken = synthesize(text, voice)
        except ConfigError as error:
            pytest.skip(str(error))
        motion = render(bundle, spoken.samples)
        strokes = stroke_times(wrist_speed(motion.world_positions(), 30), 30)
        stresses = np.array([stress.time for stress in prominent_words(spoken)])
        utterances.append(Utterance(strokes, stresses, len(motion) / 30))
    report = stroke_test(utterances)
    assert report.strokes > 20
    assert report.p_value < 0.01, report
    assert report.distance < report.shuffled_distance
    assert math.isfinite(report.lag)
