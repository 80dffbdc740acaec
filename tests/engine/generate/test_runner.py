"""The window loop: model inputs, feedback of seed poses, and smoothing of seams."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.audio.features import FeatureExtractor
from engine.bundle.io import Bundle, new_bundle
from engine.config.model import QuantizerKind
from engine.errors import ShapeError
from engine.generate.decoder import Decoded, Decoder, PoseDecoder
from engine.generate.emit import SEAM_HALF_LIFE_S
from engine.generate.runner import Runner
from engine.generate.schedule import OFFLINE, Schedule
from engine.generate.state import StreamState
from engine.generate.window import WindowSlice, WindowSpec, window_slices
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.pose import FrameFlag, PoseChunk, concatenate
from engine.motion.rotation import angle, exp, from_sixd
from engine.motion.skeleton import PART_JOINTS, BodyPart
from tests.support.tiny_bundle import tiny_bundle

SPEAKER = torch.zeros(1, dtype=torch.int64)


class RecordingKernel:
    """An eager kernel that records its inputs."""

    name = "recording"

    def __init__(self, bundle: Bundle) -> None:
        self._kernel = EagerKernel(bundle.gesture)
        self.shown: list[WindowInputs] = []

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        self.shown.append(WindowInputs(*(x.clone() for x in inputs)))
        return self._kernel(inputs)


class RecordingDecoder(PoseDecoder):
    """A decoder that records its outputs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.raw: list[Decoded] = []

    def decode(self, codes: Tensor, last: int) -> Decoded:
        self.raw.append(super().decode(codes, last))
        return self.raw[-1]


class Rig:
    """A runner of a bundle (default: the tiny one) with recording kernel and decoder.

    decoder: replaces the recording decoder.
    """

    def __init__(
        self,
        *,
        causal: bool = True,
        schedule: Schedule | None = None,
        bundle: Bundle | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        self.bundle = bundle or tiny_bundle(causal=causal)
        config = self.bundle.config
        self.features = FeatureExtractor(config.features, config.clock)
        self.kernel = RecordingKernel(self.bundle)
        self.decoder = RecordingDecoder(
            self.bundle.parts,
            self.bundle.root_model,
            face_width=51,
            masked_fields=config.root_model.masked_fields,
        )
        self.schedule = schedule or config.schedule
        self.runner = Runner(
            staged_step(
                self.bundle, self.schedule, kernel=self.kernel, decoder=decoder or self.decoder
            ),
            WindowSpec(self.schedule, config.clock, self.features.silence, 51),
            self.bundle.rest_codes,
        )

    def sound(self, frames: int, rows: int = 1, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return rng.standard_normal((rows, frames, self.features.width)).astype(np.float32)

    def run(self, state: StreamState, steps: int, *, seed: int = 0) -> list[PoseChunk]:
        """Run `steps` hops of one stream, with different audio each."""
        words = np.zeros((1, self.schedule.window), np.int64)
        chunks = []
        for k in range(steps):
            new = self.schedule.hop + (self.schedule.lookahead if k == 0 else 0)
            windows = self.windows(self.sound(new, seed=seed + k), words)
            chunks += self.runner.step(state, windows, SPEAKER)
        return chunks

    def windows(self, audio: np.ndarray, words: np.ndarray) -> list[WindowSlice]:
        return window_slices(audio, words, self.schedule.hop)


SCHEDULES = [Schedule(24, 20, 1), Schedule(24, 16, 3, 2), Schedule(24, 4, 20), OFFLINE]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_hops_are_contiguous(schedule: Schedule) -> None:
    rig = Rig(schedule=schedule)
    state = rig.runner.initial_state([0])
    joined = concatenate(rig.run(state, 4))
    assert joined.first == 0
    assert len(joined) == 4 * schedule.hop == int(state.frame[0])
    assert joined.flags == (FrameFlag.NONE,) * len(joined)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_the_model_receives_the_seed_and_masked_new_frames(schedule: Schedule) -> None:
    rig = Rig(schedule=schedule)
    rig.run(rig.runner.initial_state([0]), 3)
    fed_back = torch.cat([d.motion[0, 2 : 2 + schedule.hop] for d in rig.decoder.raw[-3:]])
    before_last = fed_back[: 2 * schedule.hop]
    last = rig.kernel.shown[-1]
    new = schedule.first_new
    visible = last.mask[0, :, 0] == 0
    assert visible.nonzero().flatten().tolist() == list(range(new - schedule.seed, new))
    count = min(schedule.seed, len(before_last))
    torch.testing.assert_close(last.motion[0, new - count : new], before_last[-count:])
    assert not last.motion[0, new:].any()


def test_the_newest_audio_is_at_the_end_of_the_window() -> None:
    rig = Rig(schedule=Schedule(24, 16, 3, 2))
    rig.run(rig.runner.initial_state([0]), 2)
    window_input = rig.kernel.shown[-1].audio[0]
    np.testing.assert_array_equal(window_input[-3:], rig.sound(3, seed=1)[0])
    np.testing.assert_array_equal(window_input[-8:-3], rig.sound(5, seed=0)[0])
    np.testing.assert_array_equal(window_input[:-8], np.tile(rig.features.silence, (16, 1)))


def test_causal_decoders_need_no_seam_smoothing() -> None:
    rig = Rig()
    chunks = rig.run(rig.runner.initial_state([0]), 5)
    for chunk, raw in zip(chunks, rig.decoder.raw[-5:], strict=True):
        assert angle(chunk.rotations, raw.rotations[0, 2:].numpy()).max() < 2e-3
        np.testing.assert_allclose(chunk.face, raw.face[0, 2:].numpy().clip(0, 1), atol=1e-4)


def test_the_seam_of_a_centred_decoder_decays() -> None:
    """Re-decoded frames differ from emitted ones; new frames continue the emitted motion."""
    rig = Rig(causal=False, schedule=Schedule(24, 4, 12))
    chunks = rig.run(rig.runner.initial_state([0]), 6)
    jumps, after, end = [], [], []
    for k in range(1, 6):
        raw = rig.decoder.raw[-6 + k].root_motion[0, :, 1].numpy()
        emitted = np.concatenate([c.translation[:, 1] for c in chunks[k - 1 : k + 1]])
        offset = emitted[10:24] - raw
        rate = offset[1] - offset[0]
        jumps.append(abs(offset[1]))
        after.append(abs(offset[2] - offset[1] - rate) - 0.5 * abs(rate))
        end.append(abs(offset[-1]))
    assert max(jumps) > 0.01
    assert max(after) < 0.5 * max(jumps)
    assert max(end) < 0.1 * max(jumps)


class JumpingDecoder:
    """A decoder of constant windows, each rotated and raised by `jump` against the previous one."""

    context = 3

    def __init__(self, jump: float) -> None:
        self.jump = jump
        self.amount = 0.0

    def decode(self, codes: Tensor, last: int) -> Decoded:
        amount = self.amount = self.amount + self.jump
        rows = codes.shape[0]
        turn = torch.from_numpy(exp(np.array([amount, 0.0, 0.0]))).float()
        root_motion = torch.tensor([0.3, amount, -0.6]).repeat(rows, last, 1)
        return Decoded(
            turn.repeat(rows, last, 55, 1),
            torch.full((rows, last, 51), 0.1 * amount),
            torch.zeros(rows, last, 4),
            root_motion,
            torch.zeros(rows, last, 337),
        )


@pytest.mark.parametrize("hop", [2, 4, 12])
def test_emitted_frames_are_continuous_when_decodes_jump(hop: int) -> None:
    jump = 0.4
    decoder = JumpingDecoder(0.0)
    rig = Rig(schedule=Schedule(24, 4, hop), decoder=decoder)
    state = rig.runner.initial_state([0])
    still = rig.run(state, 1)
    decoder.jump = jump
    jumped = rig.run(state, 1)
    decoder.jump = 0.0
    poses = concatenate([*still, *jumped, *rig.run(state, 30 // hop)])
    # the largest step of a critically damped spring with this half-life
    largest = jump * 2 * np.log(2) / (SEAM_HALF_LIFE_S * 30) / np.e
    turned = angle(poses.rotations[1:, 0], poses.rotations[:-1, 0])
    raised = np.abs(np.diff(poses.translation[:, 1]))
    face = np.abs(np.diff(poses.face[:, 0]))
    for steps, share in ((turned, 1.0), (raised, 1.0), (face, 0.1)):
        assert steps.max() < 1.05 * share * largest
        assert steps.sum() == pytest.approx(share * jump, rel=1e-2)
        assert not (steps[: hop - 1] > 1e-6).any()
    reached = angle(poses.rotations[hop + 9, 0], exp(np.array([jump, 0, 0])).astype(np.float32))
    assert reached < 0.03 * jump


def test_root_velocity_is_integrated_once_per_frame() -> None:
    for hop in (1, 4, 12):
        rig = Rig(schedule=Schedule(24, 4, hop), decoder=JumpingDecoder(0.0))
        poses = concatenate(rig.run(rig.runner.initial_state([0]), 60 // hop))
        seconds = np.arange(1, 61) / 30
        np.testing.assert_allclose(poses.translation[:, 0], 0.3 * seconds, atol=1e-6)
        np.testing.assert_allclose(poses.translation[:, 2], -0.6 * seconds, atol=1e-6)


def test_hold_repeats_the_last_pose_and_advances_the_clock() -> None:
    rig = Rig()
    state = rig.runner.initial_state([0])
    last = rig.run(state, 3)[-1]
    held = rig.runner.hold_pose(state, rig.windows(rig.sound(2), np.zeros((1, 24), np.int64)))[0]
    assert held.first == last.first + len(last)
    assert all(flag & FrameFlag.HELD for flag in held.flags)
    for name in ("rotations", "face", "translation"):
        for t in range(len(held)):
            np.testing.assert_array_equal(getattr(held, name)[t], getattr(last, name)[-1])
    # no velocity is carried into the next seam
    for array in (state.emitted.rotations, state.emitted.face, state.emitted.height):
        np.testing.assert_array_equal(array[0], array[1])
    following = rig.run(state, 1)[0]
    assert following.first == held.first + len(held)


def test_settle_resets_the_history_and_keeps_the_emitted_pose() -> None:
    rig = Rig()
    rest = rig.runner.initial_state([0]).motion[0, -1].clone()
    state = rig.runner.initial_state([0])
    before = rig.run(state, 6)[-1]
    rig.runner.return_to_rest(state)
    torch.testing.assert_close(state.motion[0, -1], rest)
    torch.testing.assert_close(state.motion[0, 0], rest)
    np.testing.assert_array_equal(state.audio[0, 0], rig.features.silence)
    np.testing.assert_array_equal(state.emitted.rotations[1, 0], before.rotations[-1])


def test_streams_of_a_batch_equal_single_streams() -> None:
    rig = Rig()
    both = rig.runner.initial_state([0, 7])
    alone = rig.runner.initial_state([7])
    words = np.zeros((2, 24), np.int64)
    for k in range(4):
        audio = rig.sound(2, rows=2, seed=k)
        together = rig.runner.step(both, rig.windows(audio, words), SPEAKER.repeat(2))[1]
        single = rig.runner.step(alone, rig.windows(audio[1:], words[1:]), SPEAKER)[0]
        np.testing.assert_allclose(together.rotations, single.rotations, atol=1e-4)
        np.testing.assert_allclose(together.translation, single.translation, atol=1e-4)


def test_a_kernel_with_too_few_output_frames_is_refused() -> None:
    rig = Rig(schedule=Schedule(24, 16, 3, 2))
    state = rig.runner.initial_state([0])
    rig.kernel._kernel = EagerKernel(rig.bundle.gesture, newest=4)
    with pytest.raises(ShapeError, match="needs 5 frames of the kernel, which gives 4"):
        rig.run(state, 1)


def test_inputs_of_wrong_shape_are_refused_without_changing_the_state() -> None:
    rig = Rig()
    state = rig.runner.initial_state([0])
    audio_before = state.audio.clone()
    words = np.zeros((1, 24), np.int64)
    wide = np.zeros((1, 2, rig.features.width + 1), np.float32)
    with pytest.raises(ShapeError, match=r"audio steps must be \[1, n, \d+\], got \(1, 2,"):
        rig.runner.step(state, rig.windows(wide, words), SPEAKER)
    with pytest.raises(ShapeError, match=r"audio steps must be"):
        rig.runner.step(state, rig.windows(rig.sound(2, rows=2), words.repeat(2, 0)), SPEAKER)
    with pytest.raises(ShapeError, match=r"words must be \[1, 24\], got \(1, 23\)"):
        rig.runner.step(state, rig.windows(rig.sound(2), words[:, 1:]), SPEAKER)
    assert torch.equal(state.audio, audio_before)
    assert state.frame[0] == 0


def test_residual_codes_start_with_the_class_and_quantise_the_latent() -> None:
    """One part uses a residual quantiser of three stages, another FSQ."""
    torch.manual_seed(0)
    tiny = tiny_bundle(temperature=0.0)
    parts = tiny.config.parts
    upper = dataclasses.replace(parts[BodyPart.UPPER], quantizer=QuantizerKind.RESIDUAL, stages=3)
    hands = dataclasses.replace(
        parts[BodyPart.HANDS], quantizer=QuantizerKind.FSQ, levels=(4, 3, 2)
    )
    config = dataclasses.replace(
        tiny.config, parts=parts | {BodyPart.UPPER: upper, BodyPart.HANDS: hands}
    )
    rig = Rig(bundle=new_bundle(config))
    state = rig.runner.initial_state([0])
    rig.run(state, 1)
    out, new = EagerKernel(rig.bundle.gesture)(rig.kernel.shown[-1]), rig.schedule.first_new
    at, vae = [*BodyPart].index(BodyPart.UPPER), rig.bundle.parts[BodyPart.UPPER]
    codes = state.codes[:, at, -rig.schedule.hop :]
    first, *others = vae.quantizer.split(codes)
    assert torch.equal(first, out.logits[at][:, new:].argmax(-1))
    assert torch.equal(codes, vae.codes_from_classes(first, out.latents[at][:, new:]))
    assert any(bool(other.any()) for other in others)
    assert int(codes.max()) > vae.classes
    decoded = rig.decoder.raw[-1].rotations[
        :, -rig.schedule.hop :, list(PART_JOINTS[BodyPart.UPPER])
    ]
    sixd = vae.decode_codes(state.codes[:, at])[:, -rig.schedule.hop :]
    torch.testing.assert_close(decoded, from_sixd(sixd.unflatten(-1, (-1, 6))))
