"""Bundles with post-processing, and adapters of their streams to the streaming laws."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from engine.bundle.io import Bundle
from engine.motion.pose import FrameFlag, PoseChunk
from engine.motion.rotation import identity
from engine.postprocess.chain import PostProcessConfig
from engine.stream.stream import GestureStream
from tests.support.tiny_bundle import tiny_bundle

Extract = Callable[[list[PoseChunk]], np.ndarray]


def with_stages(**stages: Any) -> Bundle:
    """The tiny bundle with the given fields of `PostProcessConfig`."""
    bundle = tiny_bundle()
    return replace(bundle, config=replace(bundle.config, postprocess=PostProcessConfig(**stages)))


def faces(chunks: list[PoseChunk]) -> np.ndarray:
    """Faces `[T, 51]` of chunks."""
    return np.concatenate([np.zeros((0, 51), np.float32), *(chunk.face for chunk in chunks)])


def upper_bodies(chunks: list[PoseChunk]) -> np.ndarray:
    """Rotations `[T, 19, 4]` of the joints above the hips, without hands."""
    rotations = (chunk.rotations[:, 3:22] for chunk in chunks)
    return np.concatenate([np.zeros((0, 19, 4), np.float32), *rotations])


def still_chunk(frames: int, first: int = 0, flag: FrameFlag = FrameFlag.NONE) -> PoseChunk:
    """Frames of the rest pose."""
    return PoseChunk(
        first,
        np.asarray(identity(frames, 55), np.float32),
        np.zeros((frames, 3), np.float32),
        np.zeros((frames, 4), np.float32),
        np.zeros((frames, 51), np.float32),
        (flag,) * frames,
    )


class StreamAdapter:
    """Adapts a stream to the streaming laws: samples in, `extract` of its chunks out."""

    def __init__(self, bundle: Bundle, extract: Extract, **options: Any) -> None:
        self.stream = GestureStream(bundle, **options)
        self._extract = extract

    def feed(self, samples: np.ndarray) -> np.ndarray:
        self.stream.feed_audio(samples)
        return self._extract(self.stream.drain())

    def reset(self) -> None:
        self.stream.reset()

    def snapshot(self) -> Any:
        return self.stream.snapshot()

    def restore(self, state: Any) -> None:
        self.stream.restore(state)
