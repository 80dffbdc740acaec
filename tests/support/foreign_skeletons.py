"""Figures with foreign skeletons, converted from SMPL-X motion; the T-pose is kept."""

from dataclasses import replace

import numpy as np

from engine.motion.pose import Motion
from tests.support.motion_writers import figure_of_motion
from training.sources.figure import Figure
from training.sources.skeleton_map import load_map


def foreign_figure(motion: Motion, name: str) -> Figure:
    """The motion as a figure with the joints of skeleton map `name` and SMPL-X bones.

    Extra joints without a bone of their own (twist joints, a second neck) are at their parent's
    position.
    """
    source, skeleton = figure_of_motion(motion), load_map(name)
    names: list[str] = []
    parents: list[int] = []
    copies: list[int] = []
    place: dict[int, int] = {}  # SMPL-X joint: last foreign joint of it
    for j, joint in enumerate(source.names):
        followed = skeleton.joints.get(joint)
        above = source.parents[j]
        if followed is None or (followed.follow in names and followed.place in names):
            place[j] = place[above]
            continue
        parent = place[above] if above >= 0 else -1
        for extra in dict.fromkeys([followed.place, followed.follow, followed.towards]):
            if not extra:
                continue
            names.append(extra)
            parents.append(parent)
            copies.append(j)
            parent = len(names) - 1
        place[j] = parent
    assert source.positions is not None
    return replace(
        source,
        names=tuple(names),
        parents=tuple(parents),
        rest_positions=source.rest_positions[copies],
        rest_rotations=source.rest_rotations[copies],
        rotations=source.rotations[:, copies],
        positions=source.positions[:, copies],
    )


def scaled(figure: Figure, times: float) -> Figure:
    """The figure with lengths multiplied by `times`, as in other units."""
    assert figure.positions is not None
    return replace(
        figure,
        rest_positions=figure.rest_positions * times,
        positions=np.asarray(figure.positions * times),
    )
