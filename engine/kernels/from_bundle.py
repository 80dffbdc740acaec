"""Decoder, sampler and steps of a bundle, and the shapes of its windows."""

from collections.abc import Callable

from engine.audio.front_end import FrontEndStream, build_front_end
from engine.bundle.io import Bundle
from engine.generate.decoder import Decoder, PoseDecoder
from engine.generate.schedule import Schedule
from engine.generate.step import CodeSampler, StagedStep
from engine.kernels.eager import EagerKernel
from engine.kernels.fused_step import FusedStepModule
from engine.kernels.window_graph import WindowShape
from engine.model.fuse import fuse_for_inference
from engine.model.types import Kernel
from engine.motion.channels import LOCAL_MOTION, MOTION


def pose_decoder(bundle: Bundle) -> PoseDecoder:
    """Decoder of the bundle's codes."""
    config = bundle.config
    return PoseDecoder(
        bundle.parts,
        bundle.root_model,
        face_width=config.pose_format.face.width,
        masked_fields=config.root_model.masked_fields,
        orthonormalize=config.root_model.orthonormalize,
        whole_body=config.root_model.channels == LOCAL_MOTION.width,
    )


def code_sampler(bundle: Bundle) -> CodeSampler:
    """Sampler of the bundle's codes."""
    return CodeSampler(bundle.parts, bundle.config.code_selection, bundle.config.sampling)


def eager_kernel(bundle: Bundle, schedule: Schedule) -> EagerKernel:
    """The bundle's transformer, fused, as PyTorch runs it."""
    return EagerKernel(fuse_for_inference(bundle.gesture), schedule.newest)


def staged_step(
    bundle: Bundle,
    schedule: Schedule | None = None,
    *,
    kernel: Kernel | None = None,
    decoder: Decoder | None = None,
) -> StagedStep:
    """Kernel, sampler and decoder one after the other: the default step of a stream.

    schedule: the bundle's own unless given. kernel: eager unless given. decoder: `pose_decoder`
    unless given.
    """
    schedule = schedule or bundle.config.schedule
    return StagedStep(
        kernel or eager_kernel(bundle, schedule),
        code_sampler(bundle),
        decoder or pose_decoder(bundle),
        schedule.algorithmic_frames,
    )


def fused_module(bundle: Bundle, schedule: Schedule) -> FusedStepModule:
    """All network computation of a live hop as one module."""
    newest = schedule.algorithmic_frames
    return FusedStepModule(
        fuse_for_inference(bundle.gesture), newest, code_sampler(bundle), pose_decoder(bundle)
    )


def window_shape(bundle: Bundle, schedule: Schedule, rows: int = 1) -> WindowShape:
    """Shapes of the windows of `rows` streams."""
    config, front = bundle.config, _front_end(bundle)
    words = config.gesture.words
    return WindowShape(
        rows=rows,
        frames=schedule.window,
        audio_steps=front.window_length(schedule.window),
        channels=front.width,
        motion=MOTION.width,
        words=0 if words is None else words.vocabulary,
        speakers=config.gesture.speakers,
        newest=schedule.newest,
    )


def window_ends(bundle: Bundle) -> Callable[[int], int]:
    """Maps a frame to the end, in audio steps, of the live window before it."""
    return _front_end(bundle).window_end


def _front_end(bundle: Bundle) -> FrontEndStream:
    config = bundle.config
    return build_front_end(config.front_end, config.features, config.clock)
