"""The window loop: each window's predicted frames are fed back as seed gestures of the next.

Offline rendering and live streaming differ only in the schedule.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.errors import ShapeError
from engine.generate.decoder import REST_SIXD, SEAM_FRAMES, Decoded, to_cpu, world_space_seed
from engine.generate.emit import Emitter
from engine.generate.file_windows import FileWindows
from engine.generate.sampling import CorrelatedNoise, gumbel
from engine.generate.state import (
    EncoderState,
    SeedRoot,
    StreamState,
    empty_emitted,
    no_history,
    push,
)
from engine.generate.step import HopCall, HopStep
from engine.generate.window import WindowLayout, WindowSlice, WindowSpec
from engine.model.types import WindowInputs
from engine.motion.channels import MOTION
from engine.motion.pose import PoseChunk
from engine.motion.skeleton import SMPLX_55
from engine.timing import Stage, StageTimer, no_timer


class Runner:
    """Steps B streams by one hop. All memory is in the StreamState that is passed in.

    step: computes the networks; must be a `StagedStep` for a schedule of whole files. rest_codes
    `[P]`: codes of the rest pose, on the device of the networks. Raises ConfigError for a schedule
    of whole files with a sampling temperature or with another step.
    """

    def __init__(self, step: HopStep, spec: WindowSpec, rest_codes: Tensor) -> None:
        self.schedule = spec.schedule
        rules = spec.schedule.files
        self._files = None if rules is None else FileWindows(spec.schedule, rules, step)
        self._timer: StageTimer = no_timer
        self._step, self._decoder = step, step.decoder
        self._spec, self._emitter = spec, Emitter(spec)
        self._rest, self._device = rest_codes, rest_codes.device
        self._silence = torch.from_numpy(spec.silence)

    def set_timer(self, timer: StageTimer) -> None:
        """Call `timer` around each stage of the work from now on."""
        self._timer = timer

    # -- state ---------------------------------------------------------------------------------

    def initial_state(self, seeds: Sequence[int], start: Tensor | None = None) -> StreamState:
        """States of `len(seeds)` new streams, at rest in silence before frame 0.

        start `[n, 337]`: the motion shown to the first window instead, at most the schedule's seed
        long; ShapeError for anything else.
        """
        rows, window = len(seeds), self.schedule.window
        steps = self._spec.audio_steps(window)
        state = StreamState(
            frame=np.zeros(rows, np.int64),
            audio=no_history(rows, steps, self._silence.shape[0], self._device),
            motion=no_history(rows, window, MOTION.width, self._device),
            codes=self._rest[None, :, None].repeat(rows, 1, self._decoder.context + 1),
            ground=np.zeros((rows, 2)),
            emitted=empty_emitted(rows, len(SMPLX_55.joint_names), self._spec.face_width),
            noise=[self.noise(seed) for seed in seeds],
            encoder=EncoderState.empty(rows),
        )
        self.return_to_rest(state)
        self._emitter.store(state, to_cpu(self._decoder.decode(state.codes, SEAM_FRAMES)))
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
        """The sampling noise of a new stream."""
        return self._step.sampler.new_noise(seed)

    def return_to_rest(self, state: StreamState) -> None:
        """Fill the histories with rest in silence; the motion comes to rest within 300 ms."""
        state.audio[:] = self._silence
        state.encoder.clear()
        state.codes[:] = self._rest[None, :, None]
        state.motion[:] = self._decoder.decode(state.codes, 1).motion
        if self._spec.seed_from_identity:
            fields = MOTION.unpack(state.motion)
            fields["rot6d"][:] = torch.tensor(REST_SIXD).repeat(len(SMPLX_55.joint_names))
            fields["translation"][:] = 0.0
            fields["contact"][:] = 0.0

    # -- one step --------------------------------------------------------------------------------

    def step(
        self, state: StreamState, windows: Sequence[WindowSlice], speaker: Tensor
    ) -> list[PoseChunk]:
        """Emit `hop` frames of each stream; nothing yet with a schedule of whole files.

        windows: one for each stream, with the audio steps of `hop` frames (the first step of a
        stream with look-ahead brings `hop + lookahead`) and the words of a whole window, fewer at
        the end of a file. speaker: `[B]` int64. Raises ShapeError where these do not fit the state.
        """
        self._check(state, windows)
        self._push_audio(state, windows)
        words = torch.from_numpy(np.stack([window.words for window in windows]))

        def draw() -> Tensor | None:
            return self._noises(state) if self._step.sampler.samples else None

        layout = self._spec.layout
        if self._files is not None:
            layout = self._files.layout(words.shape[1], first=not state.kept)
        inputs = self._inputs(state, words, speaker, layout)
        call = HopCall(inputs, state.codes, draw, self._timer, state.encoder)
        if self._files is not None:
            codes = self._files.step.codes(call, layout.sampled)
            self._files.keep(state, codes, layout)
            alone = self._decoder.decode(codes, layout.frames)
            push(state.motion, self._as_seed(alone, torch.zeros(len(codes), 2)), 1)
            return []
        new, decoded = self._step(call)
        start, hop = torch.from_numpy(state.ground.astype(np.float32)), self.schedule.hop
        with self._timer(Stage.EMIT):
            voiced = [window.voiced for window in windows]
            chunks = self._emitter.emit(state, to_cpu(decoded), voiced)
        push(state.codes, new[:, :, :hop], 2)
        seed = self._as_seed(decoded, start)[:, SEAM_FRAMES : SEAM_FRAMES + hop]
        push(state.motion, seed, 1)
        return chunks

    def finish(self, state: StreamState, voiced: Sequence[bool]) -> list[PoseChunk]:
        """Emit a whole file from the codes of its windows; no chunks where there are none.

        voiced: whether the voice gate was open, of each frame; missing frames count as closed.
        """
        decoded = None if self._files is None else self._files.decode(state, self._decoder)
        if decoded is None:
            return []
        frames = decoded.face.shape[1]
        padded = (*voiced[:frames], *[False] * (frames - len(voiced)))
        return self._emitter.emit_file(state, decoded, padded)

    def hold_pose(self, state: StreamState, windows: Sequence[WindowSlice]) -> list[PoseChunk]:
        """Pass over `hop` frames without the model, holding the last pose: for catching up."""
        self._push_audio(state, windows)
        hop = self.schedule.hop
        push(state.codes, state.codes[:, :, -1:].repeat(1, 1, hop), 2)
        push(state.motion, state.motion[:, -1:].repeat(1, hop, 1), 1)
        return self._emitter.repeat(state, [window.voiced for window in windows])

    def _as_seed(self, decoded: Decoded, start: Tensor) -> Tensor:
        if self._spec.seed_root is SeedRoot.POSITION:
            return world_space_seed(decoded, start, self._spec.clock.frame_rate)
        return decoded.motion

    @staticmethod
    def _push_audio(state: StreamState, windows: Sequence[WindowSlice]) -> None:
        """Append the audio; streams at different hops may bring more or fewer steps."""
        audio = [window.audio for window in windows]
        for row, steps in enumerate(audio):
            state.encoder.advance(row, len(steps))
        if len({len(steps) for steps in audio}) == 1:
            push(state.audio, torch.from_numpy(np.stack(audio)), 1)
            return
        for row, steps in enumerate(audio):
            push(state.audio[row : row + 1], torch.from_numpy(steps)[None], 1)

    def _check(self, state: StreamState, windows: Sequence[WindowSlice]) -> None:
        rows, width = len(state.frame), state.audio.shape[2]
        for got in {(len(windows), *window.audio.shape) for window in windows}:
            if len(got) != 3 or got[0] != rows or got[2] != width:
                raise ShapeError(f"audio steps must be [{rows}, n, {width}], got {got}")
        most = self.schedule.window
        for words in (window.words for window in windows):
            short = self._files is not None and words.ndim == 1 and len(words) < most
            if words.shape != (len(words) if short else most,):
                raise ShapeError(f"words must be [{rows}, {most}], got {(rows, *words.shape)}")

    def _inputs(
        self, state: StreamState, words: Tensor, speaker: Tensor, layout: WindowLayout
    ) -> WindowInputs:
        """The window, with the newest frames of the `motion` history as its seed."""
        rows, frames = len(state.frame), layout.frames
        motion = torch.zeros(rows, frames, MOTION.width, device=self._device)
        mask = torch.ones(rows, frames, MOTION.width, device=self._device)
        motion[:, layout.seed] = state.motion[:, -self.schedule.seed :]
        mask[:, layout.seed] = 0.0
        audio = state.audio[:, state.audio.shape[1] - self._spec.audio_steps(frames) :]
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
