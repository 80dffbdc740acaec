"""Figures of other sources, made of our own motion: joints renamed, T-pose kept."""

from dataclasses import replace

import numpy as np

from engine.motion.pose import Motion
from training.sources.figure import Figure, figure_of_motion
from training.sources.skeleton_map import load_map


def disguised(motion: Motion, name: str) -> Figure:
    """The motion as a figure with the joints of the map `name`, all on SMPL-X's bones.

    Joints that turn without bending (twist joints, a second neck) lie where the joint before lies.
    """
    ours, skeleton = figure_of_motion(motion), load_map(name)
    names: list[str] = []
    parents: list[int] = []
    copies: list[int] = []
    place: dict[int, int] = {}  # joint of ours: the last of those that stand for it
    for j, joint in enumerate(ours.names):
        followed = skeleton.joints.get(joint)
        above = ours.parents[j]
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
    assert ours.positions is not None
    return replace(
        ours,
        names=tuple(names),
        parents=tuple(parents),
        rest_positions=ours.rest_positions[copies],
        rest_rotations=ours.rest_rotations[copies],
        rotations=ours.rotations[:, copies],
        positions=ours.positions[:, copies],
    )


def larger(figure: Figure, times: float) -> Figure:
    """The same figure in other units."""
    assert figure.positions is not None
    return replace(
        figure,
        rest_positions=figure.rest_positions * times,
        positions=np.asarray(figure.positions * times),
    )
