"""Arm motion: turns gesture units into overlapping movements with gesture phases.

Causal, because a live model has no look-ahead: preparation starts after the phrase has begun, a
stroke lands after the onset of the stressed vowel, hands then recoil and hold, and retract after a
silence has lasted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.motion.pose import FloatArray
from engine.motion.rotation import exp, forward_kinematics, identity, inverse, log, multiply, slerp
from engine.motion.skeleton import SMPLX_55
from training.composer import arm_poses as poses
from training.composer.arm_poses import ARM, OTHER, SIDES, TORSO
from training.composer.library import FPS, ClipLibrary, Gesture
from training.composer.minimum_jerk import Move, chain
from training.composer.plan import GestureUnit, Stress
from training.composer.style import Style

JOINTS = (*TORSO, *ARM["left"], *ARM["right"])
"""Joints that gestures move."""
_WRISTS = (20, 21)
_LANDING_S = (0.15, 0.22)  # range after the onset of the vowel
_STROKE_S = (0.22, 0.3)
_WANDERS = 6  # movements of holding hands, until the next stroke
_QUICKEST_RISE_S = 0.32  # shortest preparation
_STILLER = 0.8  # reduction of the drift of holding hands at determinism 1
_SLOWER_BACK = 2.2  # extra duration of the recoil at determinism 1, relative


@dataclass(frozen=True)
class Landing:
    """A stroke of the hands.

    Attributes:
        begin: start, seconds.
        time: end, seconds.
        stress: stress that it marks.

    """

    begin: float
    time: float
    stress: Stress


@dataclass(frozen=True)
class Arms:
    """Motion of both arms.

    Attributes:
        rotations: of JOINTS, `[T, J, 4]`; those of TORSO are relative.
        landings: strokes.

    """

    rotations: FloatArray
    landings: tuple[Landing, ...]


class Hands:
    """Builds the movements of both arms, in order of time."""

    def __init__(self, library: ClipLibrary, style: Style, rng: np.random.Generator) -> None:
        self._library, self._style, self._rng = library, style, rng
        self._base = library.rest(rng)
        self._lead = "right" if rng.random() < 0.7 else "left"
        self._gesture: Gesture | None = None
        self.rest = self._resting()
        self.moves: list[Move] = []
        self.landings: list[Landing] = []
        self.goal = self.rest
        self.raised = False
        self.first = self.rest

    def _resting(self) -> FloatArray:
        """Draw a pose of hanging arms with random variation."""
        pose = self._base.copy()
        pose[list(TORSO)] = identity()
        for side in SIDES:
            poses.randomize(pose, side, 0.7, self._rng)
            poses.bend(pose, side, abs(float(self._rng.normal(0, 0.12))))
        return pose

    def _between(self, low: float, high: float) -> float:
        return float(self._rng.uniform(low, high))

    def _go(
        self,
        start: float,
        end: float,
        goal: FloatArray,
        way: FloatArray | None = None,
        paced: bool = False,
    ) -> None:
        """Add a movement to the pose `goal`; later movements are dropped, overlapping ones cut."""
        while self.moves and self.moves[-1].start > start - 0.03:
            self.moves.pop()
        if self.moves and self.moves[-1].end > end - 0.02:
            self._break_off(end - 0.02)
        self.moves.append(Move(start, end, goal[list(JOINTS)], way, paced))
        self.goal = goal

    def _break_off(self, end: float) -> None:
        """End the last movement earlier and shorten it in proportion, so its speed stays."""
        last = self.moves[-1]
        before = self.moves[-2].target if len(self.moves) > 1 else self.first[list(JOINTS)]
        end = max(end, last.start + 0.05)
        share = np.full((1, 1), (end - last.start) / (last.end - last.start), np.float32)
        self.moves[-1] = replace(last, end=end, target=slerp(before, last.target, share))

    def perform(self, unit: GestureUnit) -> None:
        """Add the strokes of a unit, and the retraction if it ends in a silence."""
        sides = self._sides(unit)
        before = None if self._style.determinism > 0.5 else self._gesture
        gesture = self._library.choose(unit.kind, sides, before, self._rng)
        helping = self._helping(gesture, unit)
        for number, stress in enumerate(unit.strokes):
            struck = self._struck(gesture, unit, stress, number, helping)
            landing = stress.time + self._between(*_LANDING_S) - self._style.stroke_lead_s
            if self.raised:
                done = self._strike(struck, landing, stress)
            else:
                done = self._rise(gesture, unit, struck, landing, stress)
            if done:
                self._draw_back(struck, gesture, stress)
        self._gesture = gesture
        self._after(unit)

    def _sides(self, unit: GestureUnit) -> tuple[str, ...]:
        if unit.hand in SIDES:
            return (unit.hand,)
        if unit.hand == "both" or self._rng.random() > self._style.one_handed:
            return SIDES
        if self._gesture is not None and len(self._gesture.sides) == 1 and self._rng.random() < 0.6:
            return self._gesture.sides
        return (self._lead,) if self._rng.random() < 0.7 else (OTHER[self._lead],)

    def _helping(self, gesture: Gesture, unit: GestureUnit) -> float:
        """Share of the active hand's pose that the other hand copies."""
        if len(gesture.sides) == 2:
            return 1.0
        pointing = unit.kind in ("point", "here", "left", "right", "me", "you", "think", "stop")
        if self._rng.random() < (0.55 if pointing else 0.25):
            return self._between(0.0, 0.2)
        return self._between(0.3, 0.85)

    def _struck(
        self, gesture: Gesture, unit: GestureUnit, stress: Stress, number: int, helping: float
    ) -> FloatArray:
        """Compose the pose at the end of a stroke."""
        at = gesture.far if number == 0 else gesture.when(self._between(0.7, 0.93))
        pose = gesture.pose(at)
        pose[list(TORSO)] = self._torso(gesture, at)
        if len(gesture.sides) == 1:
            idle = OTHER[gesture.sides[0]]
            lent = poses.with_arm(pose, poses.mirror_image(pose), idle)
            pose = poses.with_arm(pose, poses.towards(self.rest, lent, helping, idle), idle)
        size = self._style.amplitude * unit.amplitude * (0.82 + 0.3 * stress.strength)
        for side in SIDES:
            share = 1.0 if side in gesture.sides else helping
            pose = poses.amplify(pose, self.rest, size, side)
            force = share * size * (1.0 if gesture.beats else 0.45)
            poses.bend(pose, side, -force * (0.2 + 0.3 * stress.strength))
            poses.flap(pose, side, -0.2 * force)
            poses.raise_elbow(pose, side, 0.0, 0.06 * number * share)
            poses.randomize(pose, side, 0.5 + 0.5 * share, self._rng)
        return pose

    @staticmethod
    def _torso(gesture: Gesture, at: float) -> FloatArray:
        joints = list(TORSO)
        turn = log(multiply(inverse(gesture.pose(0.0)[joints]), gesture.pose(at)[joints]))
        return np.asarray(exp(0.7 * turn), np.float32)

    def _ready(self, struck: FloatArray, strength: float, share: float) -> FloatArray:
        """Compose the hold pose before a stroke, moved back and up from the end of the stroke."""
        pose = struck.copy()
        size = self._style.amplitude
        pose[list(TORSO)] = exp(0.6 * log(pose[list(TORSO)]))
        for side in SIDES:
            pose = poses.towards(pose, self.rest, min(1.0, share * self._between(0.5, 1.0)), side)
            bent = size * (self._between(0.25, 0.6) + 0.3 * strength)
            poses.bend(pose, side, bent * (1.0 - 0.6 * min(share, 1.0)))
            poses.raise_elbow(
                pose, side, size * self._between(0.02, 0.16), self._between(-0.06, 0.08)
            )
            poses.flap(pose, side, self._between(0.05, 0.3))
            poses.randomize(pose, side, 0.5, self._rng)
        return pose

    def _rise(
        self,
        gesture: Gesture,
        unit: GestureUnit,
        struck: FloatArray,
        landing: float,
        stress: Stress,
    ) -> bool:
        """Add the preparation from rest, and the stroke if there is time for it.

        Returns true if the hands reach the pose `struck`.
        """
        start = unit.start + self._between(0.04, 0.12)
        need = (self._between(0.42, 0.58) + 0.4 * max(0.0, gesture.reach - 0.4)) / self._style.tempo
        joints = list(JOINTS)
        first, last = round(gesture.leave * FPS), round(gesture.far * FPS) + 1
        way = gesture.clip.rotations[first:last][:, joints].copy()
        way[:, : len(TORSO)] = identity()
        self.raised = True
        if landing - start >= need + 0.2:
            ready = self._ready(struck, stress.strength, 0.3)
            near = way[: max(2, round(gesture.near * FPS) + 1 - first)]
            self._go(start, start + need, ready, near)
            return self._strike(struck, landing, stress)
        intime = landing - start >= _QUICKEST_RISE_S
        end = landing if intime else start + 0.9 * need
        self._go(start, end, struck, way)
        if intime:
            self.landings.append(Landing(start, end, stress))
        return True

    def _strike(self, struck: FloatArray, landing: float, stress: Stress) -> bool:
        """Add a stroke from the present pose; returns false if there is no time for it."""
        seconds = self._between(*_STROKE_S) / self._style.tempo
        longer = seconds * 1.1 * max(0.0, self._distance(struck) - 0.15)
        seconds += longer
        landing += 0.5 * longer
        before = self.landings[-1].time if self.landings else -1.0
        begin = max(landing - seconds, before + 0.06)
        if landing - begin < 0.13:
            return False
        self._go(begin, landing, struck)
        self.landings.append(Landing(begin, landing, stress))
        return True

    def _distance(self, pose: FloatArray) -> float:
        """Largest distance of a wrist between the present goal and `pose`, metres."""
        both = np.stack([self.goal, pose])
        both[:, list(TORSO)] = identity()
        points, _ = forward_kinematics(
            SMPLX_55.parents, SMPLX_55.offsets, both, np.zeros((2, 3), np.float32)
        )
        way = points[1, list(_WRISTS)] - points[0, list(_WRISTS)]
        return float(np.linalg.norm(way, axis=-1).max())

    def _draw_back(self, struck: FloatArray, gesture: Gesture, stress: Stress) -> None:
        hold = self._between(0.04, 0.15) + (0.08 if not gesture.beats else 0.0)
        start = self.moves[-1].end + hold
        slower = 1.0 + _SLOWER_BACK * self._style.determinism  # so that the strokes stand out
        seconds = slower * self._between(0.42, 0.75) / self._style.tempo
        # After a weak stroke hands tend to drop to the hips and start the next one there.
        dropping = 1.0 - 0.5 * self._style.determinism
        low = self._rng.random() < dropping * (0.9 - 0.8 * stress.strength)
        share = self._between(0.8, 1.4) if low else self._between(0.05, 0.5)
        ready = self._ready(struck, 0.0 if low else stress.strength, share)
        self._go(start, start + seconds * (1.2 if low else 1.0), ready)
        self._linger()

    def _linger(self) -> None:
        """Add the drift of holding hands; the next stroke cuts it off."""
        high = self.goal
        calm = 1.0 - _STILLER * self._style.determinism
        for number in range(_WANDERS):
            down = number % 2 == 0
            share = self._between(0.75, 1.2) if down else self._between(-0.45, 0.1)
            low = high
            for side in SIDES:
                way = calm * (share + self._between(-0.1, 0.1))
                low = poses.towards(low, self.rest, way, side)
                poses.randomize(low, side, 1.8, self._rng)
            start = self.moves[-1].end + self._between(-0.2, 0.05)
            slower = (1.0 + self._style.determinism) * (2.0 - calm)
            seconds = slower * self._between(0.42, 0.62) / self._style.tempo
            self._go(start, start + seconds, low)

    def _after(self, unit: GestureUnit) -> None:
        """Add the retraction if the silence after the unit lasts."""
        if not self.raised or not self.moves:
            return
        patience = self._between(*self._style.patience)
        if unit.silence >= patience:
            self.rest = self._resting()
            start = unit.end + patience
            if self.landings:
                start = max(start, self.landings[-1].time + 0.15)
            slower = (1.0 + self._style.determinism) / self._style.tempo
            self._go(start, start + slower * self._between(0.75, 1.15), self.rest)
            self.raised = False

    def fidget(self, start: float, end: float) -> None:
        """Add a fidget clip for hanging hands in a long silence."""
        fitting = [c for c in self._library.fidgets if c.duration < end - start - 1.0]
        if self.raised or not fitting:
            return
        clip = fitting[int(self._rng.integers(len(fitting)))]
        at = self._between(start + 0.5, end - clip.duration - 0.3)
        self.rest = self._resting()
        way = clip.rotations[:, list(JOINTS)].copy()
        way[:, : len(TORSO)] = identity()
        self._go(at, at + clip.duration, self.rest, way, paced=True)

    def settle(self, at: float) -> None:
        """Move hanging arms to another rest pose."""
        if not self.raised:
            self.rest = self._resting()
            self._go(at, at + self._between(0.7, 1.4), self.rest)


def _lags(rng: np.random.Generator) -> np.ndarray:
    """Delays of joints in seconds, from shoulder to fingers; one arm lags the other."""
    arm = np.array([-0.02, -0.02, 0.0, 0.025, *[0.035] * 15])
    late = rng.uniform(0.0, 0.07)
    left, right = (late, 0.0) if rng.random() < 0.5 else (0.0, late)
    return np.concatenate([np.full(len(TORSO), -0.03), arm + left, arm + right])


def animate_arms(
    units: Sequence[GestureUnit],
    silences: Sequence[tuple[float, float]],
    library: ClipLibrary,
    style: Style,
    frames: int,
    rng: np.random.Generator,
) -> Arms:
    """Compose both arms for gesture units in order; silences: long ones, seconds."""
    hands = Hands(library, style, rng)
    first = hands.first[list(JOINTS)]
    pending = [s for s in silences if s[1] - s[0] > 3.0]
    for unit in [*units, None]:
        while pending and (unit is None or pending[0][0] < unit.start):
            _while_silent(hands, *pending.pop(0), rng)
        if unit is not None:
            hands.perform(unit)
    rotations = chain(first, hands.moves, frames, _lags(rng))
    return Arms(rotations, tuple(hands.landings))


def _while_silent(hands: Hands, start: float, end: float, rng: np.random.Generator) -> None:
    at = start + 2.0
    while at < end - 1.5:
        if rng.random() < 0.12:
            hands.fidget(at, end)
            at = max(at, hands.moves[-1].end if hands.moves else at)
        else:
            hands.settle(at)
        at += float(rng.uniform(2.5, 8.0))
