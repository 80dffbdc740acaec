"""Whole files with the published windows match the reference implementation."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from bench.export.random_checkpoints import (
    TEXT_FILES,
    write_random_audio_layout,
    write_random_text_layout,
)
from bench.quality.lookahead import Recording
from bench.quality.parity import published_rhythm, render_text
from engine.bundle.checkpoints.load import load_model
from engine.bundle.io import Bundle
from engine.generate.decoder import PoseDecoder
from engine.generate.schedule import Schedule
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.model.fuse import fuse_for_inference
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.motion.pose import PoseChunk, concatenate
from engine.motion.rotation import exp, inverse, log, multiply
from engine.motion.skeleton import BodyPart
from engine.stream.stream import GestureStream
from exporters.commands import render
from tests.support import reference_model
from tests.support.audio import babble
from tests.support.reference_model import SIZES, WORDS

REFERENCE = pytest.mark.reference

PARITY = Path(__file__).resolve().parents[5] / "shared" / "parity"
OWN = Path(__file__).with_name("published_audio.npz")
"""Output of the reference implementation for our random checkpoint and sound: poses, trans and
expressions of 200 frames, from its `inference` and `decode` on the inputs of `own_case`.
"""
CLOSE = 1e-3
FAR = 3e-2
MODEL = "emage_audio_text.bin"


@dataclass(frozen=True)
class Case:
    """A checkpoint, audio `[S]`, and the output of the reference implementation."""

    directory: Path
    audio: np.ndarray
    poses: np.ndarray
    trans: np.ndarray
    expressions: np.ndarray

    @cached_property
    def model(self) -> Bundle:
        return load_model(self.directory)


def own_case(directory: Path) -> Case:
    write_random_audio_layout(directory, hidden=16, audio_f=8, motion_f=8, codebook=16)
    file = np.load(OWN)
    sound = babble(6.68, seed=7)
    return Case(directory, sound, file["poses"], file["trans"], file["expressions"])


def reference_case() -> Case:
    file = np.load(PARITY / "audio_2025.npz")
    names = ("audio", "file_motion_axis_angle", "file_trans", "file_expression")
    return Case(PARITY / "emage_audio", *(file[name][0] for name in names))


@pytest.fixture(scope="module", params=["own", pytest.param("reference", marks=REFERENCE)])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    if request.param == "own":
        return own_case(tmp_path_factory.mktemp("checkpoint"))
    return reference_case()


def rendered(
    model: Bundle,
    audio: np.ndarray,
    *,
    schedule: Schedule | None = None,
    kernel: Kernel | None = None,
) -> PoseChunk:
    schedule = schedule or model.config.file_schedule
    step = staged_step(model, schedule, kernel=kernel)
    stream = GestureStream(model, schedule=schedule, step=step)
    for start in range(0, len(audio), 7001):
        stream.feed_audio(audio[start : start + 7001])
    return concatenate(stream.flush())


def angles(rotations: np.ndarray, axis_angle: np.ndarray) -> np.ndarray:
    """Radians between quaternions `[T, 55, 4]` and axis-angle `[T, 165]`."""
    other = exp(axis_angle.reshape(len(axis_angle), 55, 3).astype(np.float64))
    return np.linalg.norm(log(multiply(rotations.astype(np.float64), inverse(other))), axis=-1)


def test_a_file_matches_the_reference(case: Case) -> None:
    poses = rendered(case.model, case.audio)
    assert len(poses) == len(case.trans)
    assert angles(poses.rotations, case.poses).max() < CLOSE
    assert np.abs(poses.translation - case.trans).max() < CLOSE
    assert np.abs(poses.face - case.expressions).max() < CLOSE


SHORT = (9, 12, 18, 24, 25, 26, 41, 63, 64, 82, 133)


@REFERENCE
@pytest.mark.parametrize("frames", SHORT)
def test_files_that_end_in_short_windows(published: Bundle, frames: int) -> None:
    """In windows of 9 to 25 frames the body attends to one more step of audio."""
    file = np.load(PARITY / "audio_2025_short.npz")
    poses = rendered(published, file[f"audio_{frames}"])
    assert len(poses) == len(file[f"trans_{frames}"])
    assert angles(poses.rotations, file[f"poses_{frames}"]).max() < CLOSE
    assert np.abs(poses.translation - file[f"trans_{frames}"]).max() < CLOSE
    assert np.abs(poses.face - file[f"expressions_{frames}"]).max() < CLOSE


@pytest.fixture(scope="module")
def published() -> Bundle:
    return load_model(PARITY / "emage_audio")


@REFERENCE
def test_latents_scores_and_seeds_of_a_file() -> None:
    case = reference_case()
    model, expected = case.model, dict(np.load(PARITY / "audio_2025.npz"))
    kernel = Recording(EagerKernel(model.gesture))
    rendered(model, case.audio, kernel=kernel)
    kept = [60] * (len(kernel.outputs) - 1) + [kernel.outputs[-1].latents[0].shape[1]]
    codes = []
    for p, part in enumerate(BodyPart):
        for name, outputs in (("rec", "latents"), ("cls", "logits")):
            windows = zip(kernel.outputs, kept, strict=True)
            joined = torch.cat([getattr(out, outputs)[p][:, :count] for out, count in windows], 1)
            error = np.abs(joined.numpy() - expected[f"file_{name}_{part}"]).max()
            assert error < CLOSE, (part, name)
        by_latent = part is BodyPart.FACE
        scores = torch.from_numpy(expected[f"file_{'rec' if by_latent else 'cls'}_{part}"])
        codes.append(model.parts[part].nearest(scores) if by_latent else scores.argmax(-1))
    decoder = PoseDecoder(model.parts, model.root_model, face_width=100)
    motion = decoder.decode(torch.stack(codes, 1), 281).motion
    assert np.abs(motion.numpy() - expected["file_all_motion4inference"]).max() < CLOSE


def test_emage_render_writes_the_same_poses(case: Case, tmp_path: Path) -> None:
    sound, out = tmp_path / "speech.wav", tmp_path / "motion.npz"
    soundfile.write(sound, case.audio, 16000, subtype="FLOAT")
    model = ["--model", str(case.directory)]
    assert render.main([str(sound), "-o", str(out), "--schedule", "offline", *model]) == 0
    file = np.load(out)
    assert angles(exp(file["poses"].reshape(-1, 55, 3)), case.poses).max() < CLOSE
    assert np.abs(file["trans"] - case.trans).max() < CLOSE
    assert np.abs(file["expressions"] - case.expressions).max() < CLOSE


class FirstSeeds(EagerKernel):
    """Uses the seeds of the first window in every window."""

    seeds: torch.Tensor | None = None

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        if self.seeds is None:
            self.seeds = inputs.motion.clone()
        return super().__call__(inputs._replace(motion=self.seeds[:, : inputs.motion.shape[1]]))


def clock_slices(model: Bundle) -> Schedule:
    offline = model.config.file_schedule
    assert offline.files is not None
    return replace(offline, files=replace(offline.files, truncated=False))


WRONG: dict[str, Callable[[Bundle, np.ndarray], PoseChunk]] = {
    "sound shifted by a frame": lambda model, audio: rendered(model, np.roll(audio, 533)),
    "windows cut where the clock says": lambda model, audio: rendered(
        model, audio, schedule=clock_slices(model)
    ),
    "seeds not fed back": lambda model, audio: rendered(
        model, audio, kernel=FirstSeeds(model.gesture)
    ),
    "hops that follow their seeds": lambda model, audio: rendered(
        model, audio, schedule=Schedule(64, 4, 60)
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_small_deviations_from_the_rules_change_the_result(case: Case, wrong: str) -> None:
    poses = WRONG[wrong](case.model, case.audio)
    frames = min(len(poses), len(case.poses))
    assert angles(poses.rotations[:frames], case.poses[:frames]).max() > FAR


# -- text and audio, 2024 ------------------------------------------------------------------------


@REFERENCE
def test_a_file_of_three_windows_matches_the_reference() -> None:
    file = np.load(PARITY / "text_2024_file.npz")
    entries = published_rhythm(file["audio"], file["onset_samples"])
    model = load_model(PARITY / "emage_2024")
    poses = render_text(model, entries, file["word"], int(file["speaker_id"]))
    assert len(poses.places) == len(file["trans"]) == 184
    assert angles(poses.rotations, file["poses"]).max() < CLOSE
    assert np.abs(poses.places - file["trans"]).max() < CLOSE
    assert np.abs(poses.face - file["expressions"]).max() < CLOSE


def test_seeds_of_2024_are_positions_integrated_by_the_lower_decoder(tmp_path: Path) -> None:
    """Checked with `reference_model`: integrated velocities and the decoded height."""
    write_random_text_layout(tmp_path, WORDS, **{**SIZES, "window": 64})
    model = load_model(tmp_path)
    entries = published_rhythm(babble(4.2, seed=3), [5, 80])
    words = np.random.default_rng(0).integers(0, 9, 124)
    kernel = Recording(EagerKernel(fuse_for_inference(model.gesture)))
    render_text(model, entries, words, 0, kernel)
    shown = [inputs.motion for inputs in kernel.inputs]
    assert len(shown) == 2
    state = torch.load(tmp_path / TEXT_FILES["lower"], weights_only=True)["model_state"]
    weights = torch.load(tmp_path / MODEL, weights_only=True)["model_state"]
    weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    first = torch.zeros(1, 64, 337)
    first[..., :330] = torch.tensor([1.0, 0, 0, 0, 1.0, 0]).repeat(55)
    mask = torch.ones(1, 64, 337)
    mask[:, :4] = 0.0
    audio = torch.from_numpy(entries[None, : 64 * 533])
    speaker = torch.zeros(1, dtype=torch.int64)
    _, scores = reference_model.text_window(
        weights, audio, torch.from_numpy(words[None, :64]), speaker, first, mask
    )
    code = scores[3].argmax(-1)
    lower = reference_model.decode(state, "decoder.main", state["quantizer.embedding.weight"][code])
    place, speed = torch.zeros(64, 3), lower[0, :, 54:57] / 30
    place[1:] = speed[:-1].cumsum(0)
    place[:, 1] = lower[0, :, 55]
    torch.testing.assert_close(shown[1][0, :4, 330:333], place[-4:], atol=CLOSE, rtol=0)
    torch.testing.assert_close(shown[1][0, :4, 333:], lower[0, -4:, 57:], atol=CLOSE, rtol=0)


SHORTEST = {
    "audio": (write_random_audio_layout, 4800, 9),
    "text": (
        lambda directory, **sizes: write_random_text_layout(directory, WORDS, **sizes),
        12800,
        24,
    ),
}


@pytest.mark.parametrize("kind", SHORTEST)
def test_a_file_shorter_than_the_published_windows_is_an_error(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reference of 2025 raises at eight frames; that of 2024 has whole windows only."""
    write, enough, frames = SHORTEST[kind]
    write(tmp_path / "model", **SIZES)
    sound, out = tmp_path / "speech.wav", tmp_path / "motion.npz"
    command = [str(sound), "-o", str(out), "--schedule", "offline"]
    command += ["--model", str(tmp_path / "model"), "--overwrite"]
    soundfile.write(sound, babble(1.0)[: enough - 1], 16000)
    assert render.main(command) == 2
    message = capsys.readouterr().err
    assert f"{enough - 1} samples" in message
    assert f"at least {enough} samples ({frames} frames" in message
    soundfile.write(sound, babble(1.0)[:enough], 16000)
    assert render.main(command) == 0
    assert len(np.load(out)["poses"]) == frames
