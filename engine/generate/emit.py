"""Decoded frames to pose chunks: closes the seam, integrates root motion, stores emitted frames."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.generate.decoder import SEAM_FRAMES, Decoded
from engine.generate.state import Emitted, StreamState, keep_two
from engine.generate.window import WindowSpec
from engine.motion import inertialize
from engine.motion.pose import FrameFlag, PoseChunk

SEAM_HALF_LIFE_S: Final = 0.075
"""A seam's offset falls below 3 % within 300 ms at this half-life."""

Voiced = Sequence[Sequence[bool]]
"""For each stream whether the voice gate was open, of each frame."""


class Emitter:
    """Emits frames of B streams by the rules of `spec`; all memory is in the StreamState."""

    def __init__(self, spec: WindowSpec) -> None:
        self._spec = spec
        self._frame_rate = spec.clock.frame_rate
        self._half_life = SEAM_HALF_LIFE_S * spec.clock.frame_rate

    def store(self, state: StreamState, decoded: Decoded) -> None:
        """Store the last two decoded frames as emitted."""
        frames = _time_first(decoded)
        for name in ("rotations", "face", "height", "contacts"):
            getattr(state.emitted, name)[:] = getattr(frames, name)[-2:]

    def emit(self, state: StreamState, decoded: Decoded, voiced: Voiced) -> list[PoseChunk]:
        """Emit one hop, decoded after the SEAM_FRAMES frames before it."""
        hop, last, half_life = self._spec.schedule.hop, state.emitted, self._half_life
        shown, seam = _time_first(decoded), slice(0, SEAM_FRAMES)
        new = slice(SEAM_FRAMES, SEAM_FRAMES + hop)
        turn = inertialize.rotation_offset(last.rotations, shown.rotations[seam])
        change = inertialize.linear_offset(last.face, shown.face[seam])
        rise = inertialize.linear_offset(last.height, shown.height[seam])
        frames = Emitted(
            rotations=inertialize.add_rotation(shown.rotations[new], turn, half_life),
            face=inertialize.add_linear(shown.face[new], change, half_life),
            height=inertialize.add_linear(shown.height[new], rise, half_life),
            contacts=shown.contacts[new],
        )
        # A frame's velocity leads to the next frame: position t = position t - 1 + v[t - 1] / fps.
        velocity = decoded.root_motion[:, SEAM_FRAMES - 1 : SEAM_FRAMES + hop - 1, 0::2]
        ground = self.integrate_root(state.ground, velocity.transpose(0, 1).numpy())
        for name in ("rotations", "face", "height", "contacts"):
            keep_two(getattr(last, name), getattr(frames, name))
        return self._chunks(state, frames, ground, _flags(FrameFlag.NONE, voiced))

    def emit_file(
        self, state: StreamState, decoded: Decoded, voiced: Sequence[bool]
    ) -> list[PoseChunk]:
        """Emit all frames of a whole file at once."""
        frames = _time_first(decoded)
        velocity = decoded.root_motion[:, :-1, 0::2].transpose(0, 1).numpy()
        ground = self.integrate_root(state.ground, velocity)
        state.frame[:] = 0
        ground = np.concatenate([state.ground[None], ground])
        return self._chunks(state, frames, ground, _flags(FrameFlag.NONE, [voiced]))

    def repeat(self, state: StreamState, voiced: Voiced) -> list[PoseChunk]:
        """Emit the last pose for one hop, marked HELD."""
        hop, last = self._spec.schedule.hop, state.emitted
        for array in (last.rotations, last.face, last.height, last.contacts):
            array[0] = array[1]
        arrays = (last.rotations, last.face, last.height, last.contacts)
        frames = Emitted(*(np.repeat(array[1:], hop, axis=0) for array in arrays))
        ground = np.repeat(state.ground[None], hop, axis=0)
        return self._chunks(state, frames, ground, _flags(FrameFlag.HELD, voiced))

    def integrate_root(
        self, start: NDArray[np.float64], velocity: np.ndarray
    ) -> NDArray[np.float64]:
        """Positions `[T, B, 2]` on the ground after `start [B, 2]`, from velocities in m/s."""
        positions = []
        for step in velocity.astype(np.float64):
            start = start * (1.0 - self._spec.recenter_share) + step / self._frame_rate
            positions.append(start)
        return np.stack(positions) if positions else np.zeros((0, *start.shape))

    def _chunks(
        self,
        state: StreamState,
        frames: Emitted,
        ground: NDArray[np.float64],
        flags: list[tuple[FrameFlag, ...]],
    ) -> list[PoseChunk]:
        """One chunk a stream from arrays `[n, B, ...]`; advances the streams."""
        count = len(ground)
        translation = np.concatenate([ground[..., :1], frames.height, ground[..., 1:]], -1)
        state.ground[:] = ground[-1]
        first = state.frame.copy()
        state.frame += count
        bounded = self._spec.face_width <= 52  # expression weights, not FLAME coefficients
        face = np.clip(frames.face, 0.0, 1.0) if bounded else frames.face
        return [
            PoseChunk(
                first=int(first[row]),
                rotations=np.ascontiguousarray(frames.rotations[:, row], np.float32),
                translation=translation[:, row].astype(np.float32),
                contacts=np.ascontiguousarray(frames.contacts[:, row], np.float32),
                face=np.ascontiguousarray(face[:, row], np.float32),
                flags=flags[row],
            )
            for row in range(len(first))
        ]


def _time_first(decoded: Decoded) -> Emitted:
    """Arrays `[T, B, ...]` of decoded frames."""
    height = decoded.root_motion[..., 1:2]
    tensors = (decoded.rotations, decoded.face, height, decoded.contacts)
    return Emitted(*(tensor.transpose(0, 1).numpy() for tensor in tensors))


def _flags(flag: FrameFlag, voiced: Voiced) -> list[tuple[FrameFlag, ...]]:
    """Flags of each stream's frames: IDLE where the voice gate was closed or the audio over."""
    return [tuple(flag if open_ else flag | FrameFlag.IDLE for open_ in row) for row in voiced]
