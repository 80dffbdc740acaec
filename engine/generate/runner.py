"""Runner: the one window loop. Window after window, predictions are fed back as seed gestures.

Offline rendering and live streaming differ only in the schedule. Knows no sound, no words and no
clock on the wall: it takes entries of a front end and word indices of whole windows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.clock import FrameClock
from engine.errors import ConfigError, ShapeError
from engine.generate.decoder import OVERLAP, REST_SIXD, Decoded, on_host, placed_motion
from engine.generate.sampling import CorrelatedNoise, gumbel
from engine.generate.schedule import FileRules, Overlap, Schedule
from engine.generate.state import (
    EncoderState,
    SeedRoot,
    StreamState,
    empty_emitted,
    keep_two,
    no_history,
    push,
)
from engine.generate.step import HopStep, StagedStep
from engine.model.types import WindowInputs
from engine.motion import inertialize as smoothing
from engine.motion.channels import MOTION
from engine.motion.pose import FrameFlag, PoseChunk
from engine.motion.skeleton import SMPLX_55
from engine.timing import Stage, Watch, no_timer

SEAM_HALF_LIFE_S = 0.075
"""A seam's offset falls below 3 % within 300 ms at this half-life."""


Entries = Sequence[np.ndarray] | np.ndarray
"""What the front ends of B streams heard, `[n, F]` each; n may differ."""


class Place(NamedTuple):
    """Where things lie in a window of `frames` frames; codes are picked for its `picked` newest."""

    frames: int
    seed: slice
    new: slice
    picked: int


@dataclass(frozen=True)
class WindowSpec:
    """Windows of one model and schedule.

    Attributes:
        schedule: hops and windows.
        clock: frames and samples.
        silence: `[F]`, entry of the front end in silence.
        face_width: coefficients of a face.
        span: entries of the front end in a window of so many frames.
        recenter_time_s: time constant of root recentering, seconds; 0 disables it.
        seed_from_identity: the first seed is identity rotations at the origin.
        seed_root: how root channels are fed back.

    """

    schedule: Schedule
    clock: FrameClock
    silence: np.ndarray
    face_width: int
    span: Callable[[int], int] = int
    recenter_time_s: float = 0.0
    seed_from_identity: bool = False
    seed_root: SeedRoot = SeedRoot.VELOCITY

    @property
    def recenter_share(self) -> float:
        """Share of the distance from the origin that a frame removes."""
        if self.recenter_time_s <= 0:
            return 0.0
        return 1.0 / (self.recenter_time_s * self.clock.frame_rate)


class Runner:
    """Steps B streams by one hop. All memory is in the StreamState that is passed in.

    step: computes the networks; must be a `StagedStep` for a schedule of whole files. rest_codes
    `[P]`: codes of the rest pose, on the device of the networks. Raises ConfigError for a schedule
    of whole files with a sampling temperature or with another step.
    """

    def __init__(self, step: HopStep, spec: WindowSpec, rest_codes: Tensor) -> None:
        schedule = spec.schedule
        if schedule.files is not None and step.sampler.samples:
            temperature = step.sampler.sampling.temperature
            raise ConfigError(
                "published windows predict their seeds twice and take the likeliest code: set the "
                f"sampling temperature to 0, not {temperature:g}, for all parts"
            )
        if schedule.files is not None and not isinstance(step, StagedStep):
            raise ConfigError(
                f"the step of {step.name} computes live hops only; render whole files by a "
                "StagedStep"
            )
        self.schedule = schedule
        self.watch: Watch = no_timer
        self._step = step
        self._decoder = step.decoder
        self._spec, self._clock = spec, spec.clock
        self._rest, self._device = rest_codes, rest_codes.device
        self._silence = torch.from_numpy(spec.silence)
        self._half_life = SEAM_HALF_LIFE_S * spec.clock.frame_rate

    def _place(self, state: StreamState, frames: int) -> Place:
        """The next window's places; `frames` is less than the window at the end of a file."""
        schedule = self.schedule
        if schedule.files is not None:
            return self._file_place(schedule.files, frames, first=not state.kept)
        new = schedule.first_new
        seed, kept = slice(new - schedule.seed, new), slice(new, new + schedule.hop)
        return Place(frames, seed, kept, schedule.algorithmic_frames)

    def _file_place(self, rules: FileRules, frames: int, *, first: bool) -> Place:
        """A published window begins with its seeds, and picks a code for them too."""
        schedule, last = self.schedule, frames < self.schedule.window
        if rules.overlap is Overlap.EARLIER:
            new = slice(0 if first else schedule.seed, frames)
        else:
            new = slice(0, frames if last else schedule.hop)
        return Place(frames, slice(0, schedule.seed), new, frames)

    # -- state ---------------------------------------------------------------------------------

    def fresh(self, seeds: Sequence[int], start: Tensor | None = None) -> StreamState:
        """States of `len(seeds)` new streams, standing at rest in silence before frame 0.

        start `[n, 337]`: the motion shown to the first window instead, at most the schedule's seed
        long; ShapeError for anything else.
        """
        rows, window = len(seeds), self.schedule.window
        state = StreamState(
            frame=np.zeros(rows, np.int64),
            audio=no_history(rows, self._spec.span(window), self._silence.shape[0], self._device),
            motion=no_history(rows, window, MOTION.width, self._device),
            codes=self._rest[None, :, None].repeat(rows, 1, self._decoder.context + 1),
            ground=np.zeros((rows, 2)),
            emitted=empty_emitted(rows, len(SMPLX_55.joint_names), self._spec.face_width),
            noise=[self.noise(seed) for seed in seeds],
            encoder=EncoderState.empty(rows),
        )
        self._still(state)
        self._remember(state, on_host(self._decoder.decode(state.codes, OVERLAP)), OVERLAP)
        if start is not None:
            self._start_from(state, start)
        return state

    def _start_from(self, state: StreamState, start: Tensor) -> None:
        most = self.schedule.seed
        if start.ndim != 2 or start.shape[1] != MOTION.width or not 1 <= len(start) <= most:
            raise ShapeError(
                f"a start is motion [1..{most}, {MOTION.width}], the seed of the schedule; got "
                f"{list(start.shape)}"
            )
        state.motion[:, -len(start) :] = start

    def noise(self, seed: int) -> CorrelatedNoise:
        """The noise of a new stream's choices."""
        return self._step.sampler.new_noise(seed)

    def _still(self, state: StreamState) -> None:
        """Make a history of standing at rest in silence, of everything the model is shown."""
        state.audio[:] = self._silence
        state.encoder.clear()
        state.codes[:] = self._rest[None, :, None]
        state.motion[:] = self._decoder.decode(state.codes, 1).motion
        if self._spec.seed_from_identity:
            fields = MOTION.unpack(state.motion)
            fields["rot6d"][:] = torch.tensor(REST_SIXD).repeat(len(SMPLX_55.joint_names))
            fields["translation"][:] = 0.0
            fields["contact"][:] = 0.0

    def settle(self, state: StreamState) -> None:
        """Forget what was being said: the motion comes to rest, smoothly, within 300 ms."""
        self._still(state)

    # -- one step --------------------------------------------------------------------------------

    def step(
        self, state: StreamState, audio: Entries, words: np.ndarray, speaker: Tensor
    ) -> list[PoseChunk]:
        """Emit `hop` frames of each stream; nothing yet with a schedule of whole files.

        audio: entries `[n, F]` of each stream that are new since its last step: those of `hop`
        frames (the first step of a stream with look-ahead brings `hop + lookahead`). words:
        `[B, W]` int64; fewer than W at the end of a file. speaker: `[B]` int64.
        Raises ShapeError where these do not fit the state.
        """
        self._check(state, audio, words)
        self._hear(state, audio)
        place = self._place(state, words.shape[1])
        inputs = self._inputs(state, torch.from_numpy(words), speaker, place)

        def draw() -> Tensor | None:
            return self._noises(state) if self._step.sampler.samples else None

        if isinstance(self._step, StagedStep) and self.schedule.files is not None:
            new = self._step.codes(inputs, draw, self.watch, place.picked)
            self._keep_window(state, new, place)
            return []
        new, decoded = self._step(inputs, state.codes, draw, self.watch, state.encoder)
        start, hop = torch.from_numpy(state.ground.astype(np.float32)), self.schedule.hop
        with self.watch(Stage.EMIT):
            chunks = self._emit(state, on_host(decoded))
        push(state.codes, new[:, :, :hop], 2)
        push(state.motion, self._as_seed(decoded, start)[:, OVERLAP : OVERLAP + hop], 1)
        return chunks

    def _keep_window(self, state: StreamState, codes: Tensor, place: Place) -> None:
        """Keep a window's codes; its last frames, decoded from it alone, are the next seeds."""
        state.kept.append(codes[:, :, place.new])
        decoded = self._decoder.decode(codes, place.frames)
        push(state.motion, self._as_seed(decoded, torch.zeros(len(codes), 2)), 1)
        state.frame += self.schedule.hop

    def _as_seed(self, decoded: Decoded, start: Tensor) -> Tensor:
        if self._spec.seed_root is SeedRoot.POSITION:
            return placed_motion(decoded, start, self._clock.frame_rate)
        return decoded.motion

    def finish(self, state: StreamState) -> list[PoseChunk]:
        """Decode a whole file once, from its kept codes; no chunks where there are none."""
        if not state.kept:
            return []
        codes = torch.cat(state.kept, 2)
        decoded = on_host(self._decoder.decode(codes, codes.shape[2]))
        travel = decoded.travel.transpose(0, 1).numpy()
        walked = self._walk(state.ground, travel[:-1, :, (0, 2)])
        state.frame[:] = 0
        state.kept.clear()
        return self._chunks(
            state,
            rotations=decoded.rotations.numpy(),
            face=decoded.face.numpy(),
            height=decoded.travel[..., 1:2].numpy(),
            contacts=decoded.contacts.numpy(),
            ground=np.concatenate([state.ground[None], walked]).swapaxes(0, 1),
            flag=FrameFlag.NONE,
        )

    def hold(self, state: StreamState, audio: Entries) -> list[PoseChunk]:
        """Pass over `hop` frames without the model, holding the last pose: for catching up."""
        self._hear(state, audio)
        hop, last = self.schedule.hop, state.emitted
        push(state.codes, state.codes[:, :, -1:].repeat(1, 1, hop), 2)
        push(state.motion, state.motion[:, -1:].repeat(1, hop, 1), 1)
        for array in (last.rotations, last.face, last.height, last.contacts):
            array[0] = array[1]
        repeat = {
            name: np.repeat(getattr(last, name)[1:].swapaxes(0, 1), hop, axis=1)
            for name in ("rotations", "face", "height", "contacts")
        }
        ground = np.repeat(state.ground[:, None], hop, axis=1)
        return self._chunks(state, **repeat, ground=ground, flag=FrameFlag.HELD)

    @staticmethod
    def _hear(state: StreamState, audio: Entries) -> None:
        """Streams of one batch may stand at different hops, and so bring more or fewer entries."""
        for row, entries in enumerate(audio):
            state.encoder.advance(row, len(entries))
        if len({len(entries) for entries in audio}) == 1:
            push(state.audio, torch.from_numpy(np.stack(list(audio))), 1)
            return
        for row, entries in enumerate(audio):
            push(state.audio[row : row + 1], torch.from_numpy(entries)[None], 1)

    def _check(self, state: StreamState, audio: Entries, words: np.ndarray) -> None:
        rows, width = len(state.frame), state.audio.shape[2]
        for got in {(len(audio), *entries.shape) for entries in audio}:
            if len(got) != 3 or got[0] != rows or got[2] != width:
                raise ShapeError(f"audio entries must be [{rows}, n, {width}], got {got}")
        window = self.schedule.window
        short = self.schedule.files is not None and words.ndim == 2
        frames = min(words.shape[1], window) if short else window
        if words.shape != (rows, frames):
            raise ShapeError(f"words must be [{rows}, {window}], got shape {words.shape}")

    def _inputs(
        self, state: StreamState, words: Tensor, speaker: Tensor, place: Place
    ) -> WindowInputs:
        """The window: the newest of the `motion` history in the place of the seed."""
        rows, frames = len(state.frame), place.frames
        motion = torch.zeros(rows, frames, MOTION.width, device=self._device)
        mask = torch.ones(rows, frames, MOTION.width, device=self._device)
        motion[:, place.seed] = state.motion[:, -self.schedule.seed :]
        mask[:, place.seed] = 0.0
        audio = state.audio[:, state.audio.shape[1] - self._spec.span(frames) :]
        return WindowInputs(motion, mask, audio, words.to(self._device), speaker.to(self._device))

    def _noises(self, state: StreamState) -> Tensor:
        """Gumbel noise `[B, P, T, V]`; frames beyond the hop reuse that of the hop's last frame."""
        schedule = self.schedule
        rows = [
            [source.next(int(state.frame[row]) + t) for t in range(schedule.hop)]
            for row, source in enumerate(state.noise)
        ]
        normal = np.stack([frames + frames[-1:] * schedule.lookahead for frames in rows])
        return gumbel(torch.from_numpy(normal).to(self._device)).transpose(1, 2)

    # -- emission --------------------------------------------------------------------------------

    def _remember(self, state: StreamState, decoded: Decoded, count: int) -> None:
        """Take the last two of `count` decoded frames as emitted."""
        emitted = state.emitted
        where = slice(count - 2, count)
        emitted.rotations[:] = decoded.rotations[:, where].transpose(0, 1).numpy()
        emitted.face[:] = decoded.face[:, where].transpose(0, 1).numpy()
        emitted.height[:] = decoded.travel[:, where, 1:2].transpose(0, 1).numpy()
        emitted.contacts[:] = decoded.contacts[:, where].transpose(0, 1).numpy()

    def _emit(self, state: StreamState, decoded: Decoded) -> list[PoseChunk]:
        """Close the seam, integrate the travel, remember what went out."""
        hop, half_life, last = self.schedule.hop, self._half_life, state.emitted
        span = slice(0, OVERLAP + hop)
        rotations = decoded.rotations[:, span].transpose(0, 1).numpy()
        face = decoded.face[:, span].transpose(0, 1).numpy()
        travel = decoded.travel[:, span].transpose(0, 1).numpy()
        height = travel[..., 1:2]
        turn = smoothing.rotation_offset(last.rotations, rotations[:OVERLAP])
        rotations = smoothing.add_rotation(rotations[OVERLAP:], turn, half_life)
        change = smoothing.linear_offset(last.face, face[:OVERLAP])
        face = smoothing.add_linear(face[OVERLAP:], change, half_life)
        rise = smoothing.linear_offset(last.height, height[:OVERLAP])
        height = smoothing.add_linear(height[OVERLAP:], rise, half_life)
        contacts = decoded.contacts[:, OVERLAP : OVERLAP + hop].transpose(0, 1).numpy()
        # A frame's velocity leads to the next frame: position t = position t - 1 + v[t - 1] / fps.
        ground = self._walk(state.ground, travel[OVERLAP - 1 : -1, :, (0, 2)])
        for name, value in (("rotations", rotations), ("face", face), ("height", height)):
            keep_two(getattr(last, name), value)
        keep_two(last.contacts, contacts)
        return self._chunks(
            state,
            rotations=rotations.swapaxes(0, 1),
            face=face.swapaxes(0, 1),
            height=height.swapaxes(0, 1),
            contacts=contacts.swapaxes(0, 1),
            ground=ground.swapaxes(0, 1),
            flag=FrameFlag.NONE,
        )

    def _walk(self, start: NDArray[np.float64], velocity: np.ndarray) -> NDArray[np.float64]:
        """Positions `[T, B, 2]` in the plane from `start [B, 2]` on, by velocities in m/s."""
        places = []
        for step in velocity.astype(np.float64):
            start = start * (1.0 - self._spec.recenter_share) + step / self._clock.frame_rate
            places.append(start)
        return np.stack(places)

    def _chunks(
        self,
        state: StreamState,
        *,
        rotations: np.ndarray,
        face: np.ndarray,
        height: np.ndarray,
        contacts: np.ndarray,
        ground: np.ndarray,
        flag: FrameFlag,
    ) -> list[PoseChunk]:
        """One chunk a stream from arrays `[B, n, ...]`; moves the streams on."""
        count = ground.shape[1]
        translation = np.concatenate([ground[..., :1], height, ground[..., 1:]], -1)
        state.ground[:] = ground[:, -1]
        first = state.frame.copy()
        state.frame += count
        basis = np.clip(face, 0.0, 1.0) if self._spec.face_width <= 52 else face
        return [
            PoseChunk(
                first=int(first[row]),
                rotations=np.ascontiguousarray(rotations[row], np.float32),
                translation=translation[row].astype(np.float32),
                contacts=np.ascontiguousarray(contacts[row], np.float32),
                face=np.ascontiguousarray(basis[row], np.float32),
                flags=(flag,) * count,
            )
            for row in range(len(first))
        ]
