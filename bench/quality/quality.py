"""All quality metrics over a set of takes: numbers by name, in raw units.

Numbers of one motion are computed for the generated and the true motion alike; numbers of both are
separate. Numbers of takes are averaged by length. A metric without its inputs is None, and a note
has the reason.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.metrics.beats import (
    BEAT_JOINTS,
    CUT_FRAMES,
    bc_equation_13,
    bc_over_onsets,
    gesture_beats,
)
from bench.metrics.diversity import l1_between_pairs, l1_from_mean
from bench.metrics.face import mean_squared_error, velocity_difference
from bench.metrics.feet import skate_ratio, sliding_speed, steps_per_minute
from bench.metrics.frechet import frechet_distance
from bench.metrics.gesture_features import GestureEncoder, gesture_features
from bench.metrics.gestures import gesture_rates
from bench.metrics.kinematics import (
    WRISTS,
    Floats,
    positions_at_origin,
    speeds,
    world_positions,
)
from bench.metrics.nearest import motion_windows, nearest_distances
from bench.metrics.penetration import INSIDE_M, hand_depths
from bench.metrics.smoothness import mean_jerk, seam_jumps
from bench.metrics.strokes import arm_speed, stroke_times, wrist_speed
from bench.quality.takes import TakePair
from engine.motion.face_basis import ARKIT_51, FLAME_100
from engine.motion.pose import Motion
from engine.motion.rotation import log
from engine.motion.skeleton import SMPLX_55

_JAW = SMPLX_55.index("jaw")

Numbers = dict[str, float | None]


@dataclass(frozen=True)
class QualitySettings:
    """Inputs of the metrics.

    Attributes:
        mean_speeds: mean joint speeds `[55]` (m/s) of a data set; None: those of the truth.
        encoder: of the FGD; None: no FGD.
        seams: first frame of a seam and distance between seams in generated motion; None: unknown.
        face_map: ARKit weights to FLAME expressions and jaw `[51, 103]`.
        training: training motions, to detect copies.

    """

    mean_speeds: Floats | None = None
    encoder: GestureEncoder | None = None
    seams: tuple[int, int] | None = None
    face_map: Floats | None = None
    training: Callable[[], Iterable[tuple[Floats, float]]] | None = None


@dataclass
class Report:
    """Numbers of generated and true motions, of both together, and by take; notes."""

    pred: Numbers = field(default_factory=dict)
    gt: Numbers = field(default_factory=dict)
    both: Numbers = field(default_factory=dict)
    takes: dict[str, dict[str, Numbers]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


WeightedNumbers = dict[str, tuple[float | None, float]]
"""Values with their weights in an average."""


def _average(rows: Sequence[WeightedNumbers]) -> Numbers:
    """Weighted means by name; None for names without a value."""
    result: Numbers = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        known = [row[name] for row in rows if name in row and row[name][0] is not None]
        total = sum(weight for _, weight in known)
        result[name] = sum((v or 0.0) * w for v, w in known) / total if total else None
    return result


def motion_row(
    pair: TakePair, motion: Motion, settings: QualitySettings, means: Floats
) -> WeightedNumbers:
    """All metrics of one motion of a pair."""
    fps, frames = pair.fps, float(len(motion))
    world = world_positions(motion)
    wrists = world[:, WRISTS]
    depths = hand_depths(world, motion.format.skeleton)
    values: Numbers = {
        "l1_diversity_code_m": l1_from_mean(positions_at_origin(motion)),
        "wrist_speed_m_s": float(np.linalg.norm(np.diff(wrists, axis=0), axis=-1).mean() * fps),
        "jerk_m_s3": mean_jerk(world, fps),
        "wrist_jerk_m_s3": mean_jerk(wrists, fps),
        "skate_ratio": skate_ratio(world, fps),
        "sliding_m_s": sliding_speed(world, fps),
        "steps_per_minute": steps_per_minute(world, fps),
        "hands_inside_share": float((depths > INSIDE_M).mean()),
        "hands_inside_deepest_m": float(depths.max()),
    }
    row: WeightedNumbers = {name: (value, frames) for name, value in values.items()}
    return {**row, **_beat_row(pair, motion, means), **_speech_row(pair, world),
            **_seam_row(world, fps, settings)}  # fmt: skip


def _beat_row(pair: TakePair, motion: Motion, means: Floats) -> WeightedNumbers:
    if pair.onsets is None:
        return {}
    joints = list(BEAT_JOINTS)
    relative = speeds(positions_at_origin(motion), pair.fps)[:, joints] / means[joints]
    beats = gesture_beats(relative, pair.fps)
    slipped = gesture_beats(relative, pair.fps, slip=True)
    weight = max(len(motion) - 2.0 * CUT_FRAMES, 0.0)
    return {
        "bc_code_with_slip": (bc_over_onsets(slipped, pair.onsets), weight),
        "bc_code_without_slip": (bc_over_onsets(beats, pair.onsets), weight),
        "bc_equation_13": (bc_equation_13(beats, pair.onsets), weight),
    }


def _speech_row(pair: TakePair, world: Floats) -> WeightedNumbers:
    if pair.speaking is None:
        return {}
    strokes = stroke_times(arm_speed(world, pair.fps), pair.fps)
    speed = wrist_speed(world.astype(np.float32), pair.fps)
    rates = gesture_rates(strokes, speed, pair.speaking, pair.fps)
    return {
        "speech_share": (float(pair.speaking.mean()), float(len(world))),
        "strokes_per_minute_in_speech": (rates.strokes_per_minute_in_speech, rates.speech_s),
        "strokes_per_minute_in_silence": (rates.strokes_per_minute_in_silence, rates.silence_s),
        "faster_wrist_in_speech_m_s": (rates.wrist_speed_in_speech, rates.speech_s),
        "faster_wrist_in_silence_m_s": (rates.wrist_speed_in_silence, rates.silence_s),
    }


def _seam_row(world: Floats, fps: float, settings: QualitySettings) -> WeightedNumbers:
    if settings.seams is None:
        return {}
    first, every = settings.seams
    jumps = seam_jumps(world, fps, every, first)
    if jumps is None:
        return {}
    weight = float(len(world))
    return {
        "seam_jump_m_s": (jumps.at_seams, weight),
        "seam_elsewhere_m_s": (jumps.elsewhere, weight),
        "seam_ratio": (jumps.ratio, weight),
    }


def pair_row(pair: TakePair, settings: QualitySettings) -> WeightedNumbers:
    """All metrics that compare a generated motion with the true one, frame by frame."""
    ours, theirs = world_positions(pair.made), world_positions(pair.true)
    away = np.linalg.norm(ours - theirs, axis=-1)
    moving = [
        np.linalg.norm(np.diff(p[:, WRISTS], axis=0), axis=-1).mean(1) for p in (ours, theirs)
    ]
    values: Numbers = {
        "joint_error_m": float(away.mean()),
        "wrist_error_m": float(away[:, WRISTS].mean()),
        "wrist_speed_r": _correlation(*moving),
    }
    tracks = face_tracks(pair, settings.face_map)
    if tracks is not None:
        values["face_mse"] = mean_squared_error(*tracks)
        values["face_lvd_per_s"] = velocity_difference(*tracks, pair.fps)
    return {name: (value, float(len(ours))) for name, value in values.items()}


def _correlation(a: Floats, b: Floats) -> float | None:
    if a.std() < 1e-9 or b.std() < 1e-9:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def face_tracks(pair: TakePair, face_map: Floats | None) -> tuple[Floats, Floats] | None:
    """Face coefficients and the jaw's rotation vector `[T, E + 3]` of both, in one basis.

    None if a face is missing, or if the bases differ and no map connects them.
    """
    if not all(np.ptp(motion.poses.face, axis=0).any() for motion in (pair.made, pair.true)):
        return None
    bases = {motion.format.face.name for motion in (pair.made, pair.true)}
    if len(bases) == 1:
        face_map = None
    elif face_map is None or bases != {ARKIT_51.name, FLAME_100.name}:
        return None
    ours, theirs = (_face_track(motion, face_map) for motion in (pair.made, pair.true))
    return ours, theirs


def _face_track(motion: Motion, face_map: Floats | None) -> Floats:
    face = motion.poses.face.astype(np.float64)
    if face_map is not None and motion.format.face.name == ARKIT_51.name:
        return np.asarray(face @ face_map, np.float64)
    return np.concatenate([face, log(motion.poses.rotations[:, _JAW].astype(np.float64))], 1)


def mean_speeds(pairs: Sequence[TakePair]) -> Floats:
    """Mean speeds `[J]` (m/s) of the true motions' joints, without root translation."""
    moving = [speeds(positions_at_origin(pair.true), pair.fps) for pair in pairs]
    return np.asarray(np.maximum(np.concatenate(moving).mean(0), 1e-6), np.float64)


def evaluate(pairs: Sequence[TakePair], settings: QualitySettings) -> Report:
    """All numbers over all pairs."""
    report = Report()
    means = settings.mean_speeds if settings.mean_speeds is not None else mean_speeds(pairs)
    rows: dict[str, list[WeightedNumbers]] = {"pred": [], "gt": [], "both": []}
    for pair in pairs:
        rows["pred"].append(motion_row(pair, pair.made, settings, means))
        # The same frames of the true motion have no seams and give the level to expect.
        rows["gt"].append(motion_row(pair, pair.true, settings, means))
        rows["both"].append(pair_row(pair, settings))
        report.takes[pair.name] = {side: _average(own[-1:]) for side, own in rows.items()}
    report.pred, report.gt, report.both = (_average(rows[side]) for side in ("pred", "gt", "both"))
    for numbers, motions in ((report.pred, _made(pairs)), (report.gt, _true(pairs))):
        every = np.concatenate(
            [positions_at_origin(motion).astype(np.float32) for motion in motions]
        )
        numbers["l1_diversity_equation_12_m"] = l1_between_pairs(every)
    _add_frechet(report, pairs, settings.encoder)
    _add_nearest(report, pairs, settings)
    report.notes += notes(pairs, settings)
    return report


def _made(pairs: Sequence[TakePair]) -> list[Motion]:
    return [pair.made for pair in pairs]


def _true(pairs: Sequence[TakePair]) -> list[Motion]:
    return [pair.true for pair in pairs]


def _add_frechet(report: Report, pairs: Sequence[TakePair], encoder: GestureEncoder | None) -> None:
    """FGD, and that between two halves of the truth as its lower limit."""
    report.both |= {"fgd": None, "fgd_between_halves_of_gt": None}
    if encoder is None:
        return
    sets = [
        np.concatenate([gesture_features(encoder, motion) for motion in motions])
        for motions in (_made(pairs), _true(pairs))
    ]
    if min(map(len, sets)) < 2:
        return
    report.both["fgd"] = frechet_distance(*sets)
    half = len(sets[1]) // 2
    if half >= 2:
        report.both["fgd_between_halves_of_gt"] = frechet_distance(sets[1][:half], sets[1][half:])
    if half < sets[0].shape[1]:
        report.notes.append(
            f"fgd: {len(sets[1])} features for {sets[0].shape[1]} dimensions are few; the distance "
            "between sets so small is mostly chance"
        )


def _add_nearest(report: Report, pairs: Sequence[TakePair], settings: QualitySettings) -> None:
    if settings.training is None:
        return
    sides = ((report.pred, _made(pairs)), (report.gt, _true(pairs)))
    windows = [motion_windows(motions) for _, motions in sides]
    found = nearest_distances(np.concatenate(windows), settings.training())
    parts = np.split(found, [len(windows[0])])
    for (numbers, _), own in zip(sides, parts, strict=True):
        near = own[np.isfinite(own)]
        numbers["nearest_training_median_m"] = float(np.median(near)) if len(near) else None
        numbers["nearest_training_p5_m"] = float(np.percentile(near, 5)) if len(near) else None


def notes(pairs: Sequence[TakePair], settings: QualitySettings) -> list[str]:
    """Reasons for missing metrics, and limits of comparisons."""
    made, true = pairs[0].made.format, pairs[0].true.format
    lacking = {
        "fgd is null: no weights were given (QualitySettings.encoder; made by emage-bench fgd)":
            settings.encoder is None,
        "bc is null where no sound was found (--audio)": any(p.onsets is None for p in pairs),
        "bc is relative to mean speeds of the given truth; published numbers are relative to those "
        "of the whole data set (--mean-speeds mean_vel_smplxflame_30.npy)":
            settings.mean_speeds is None,
        "seams are null: their frames are unknown (--seams)":
            settings.seams is None,
        "nearest training clips are null: no training motions were given (--train)":
            settings.training is None,
        f"faces are not compared where one is missing or the bases differ ({made.face.name}, "
        f"{true.face.name}; --face-map)":
            any(face_tracks(pair, settings.face_map) is None for pair in pairs),
        f"hands are relative to {made.hand_reference} in --pred and to {true.hand_reference} in "
        "--gt: distances of fingers include that difference":
            made.hand_reference is not true.hand_reference,
    }  # fmt: skip
    return [text for text, applies in lacking.items() if applies]


def as_json(report: Report, pairs: Sequence[TakePair]) -> dict[str, Any]:
    """Report as plain values; numbers with six digits."""
    seconds = sum(len(pair.true) / pair.fps for pair in pairs)
    return {
        "takes": len(pairs),
        "seconds": round(seconds, 2),
        "pred": _rounded(report.pred),
        "gt": _rounded(report.gt),
        "both": _rounded(report.both),
        "by_take": {
            name: {side: _rounded(numbers) for side, numbers in sides.items()}
            for name, sides in report.takes.items()
        },
        "notes": report.notes,
    }


def _rounded(numbers: Numbers) -> Numbers:
    return {n: None if v is None else float(f"{v:.6g}") for n, v in numbers.items()}
