"""Training data of the autoencoders: random windows of part vectors from clips."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import ConfigError
from engine.motion.pose import Motion
from engine.motion.skeleton import BodyPart
from training.data.clips import load_clip
from training.data.mirror import mirror
from training.data.vectors import part_vector


@dataclass(frozen=True)
class Source:
    """A folder of clips.

    Attributes:
        folder: its name in DATA.
        share: relative share of the windows.
        mirrored: also use each clip mirrored.

    """

    folder: str
    share: float = 1.0
    mirrored: bool = True


def clips_of(folder: Path, split: str) -> Iterator[tuple[Motion, dict[str, Any]]]:
    """Iterate over the clips (*.npz, at any depth) of a split, in the order of their names.

    Clips are read one at a time, because a data set may exceed the memory.
    """
    for path in sorted(folder.rglob("*.npz")):
        motion, meta = load_clip(path)
        if meta.get("split", "train") == split:
            yield motion, meta


def load_folder(folder: Path, split: str) -> list[tuple[Motion, dict[str, Any]]]:
    """List of `clips_of`."""
    return list(clips_of(folder, split))


def tensor_of(part: BodyPart, motion: Motion) -> Tensor:
    """Vectors `[T, C]` of one part of a motion."""
    return torch.from_numpy(np.ascontiguousarray(part_vector(part, motion)))


class WindowSampler:
    """Random windows of one part from several sources."""

    def __init__(self, groups: list[tuple[float, list[Tensor]]], window: int) -> None:
        groups = [(share, clips) for share, clips in groups if clips]
        if not groups:
            raise ConfigError("no clips to train on: the sources' folders are empty or missing")
        self._window = window
        self._shares = torch.tensor([share for share, _ in groups])
        # The first frame of a short clip is repeated, like a figure that waits.
        self._clips = [[_at_least(clip, window) for clip in clips] for _, clips in groups]
        self._starts = [
            torch.tensor([len(clip) - window + 1 for clip in clips]).cumsum(0)
            for clips in self._clips
        ]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw windows `[count, window, C]`."""
        chosen = torch.multinomial(self._shares, count, replacement=True, generator=generator)
        return torch.stack([self._one(int(group), generator) for group in chosen])

    def _one(self, group: int, generator: torch.Generator) -> Tensor:
        starts = self._starts[group]
        place = torch.randint(int(starts[-1]), (1,), generator=generator)
        clip = int(torch.searchsorted(starts, place, right=True))
        first = int(place) - (int(starts[clip - 1]) if clip else 0)
        return self._clips[group][clip][first : first + self._window]


def _at_least(clip: Tensor, length: int) -> Tensor:
    missing = length - len(clip)
    return clip if missing <= 0 else torch.cat([clip[:1].expand(missing, -1), clip])


def load_sources(
    data: Path, sources: list[Source], part: BodyPart
) -> list[tuple[float, list[Tensor]]]:
    """Read (share, clips `[T, C]` of `part`) of each source; mirrored clips follow the originals.

    Clips that lack the part are skipped. ConfigError if frame rates, face bases or hand references
    differ.
    """
    groups = []
    formats: set[tuple[object, ...]] = set()
    for source in sources:
        if not (data / source.folder).is_dir():
            raise ConfigError(
                f"no clips to train on: {data / source.folder} is missing. Run the stage that "
                "writes it, or name another folder in [[sources]]"
            )
        clips: list[Tensor] = []
        mirrored: list[Tensor] = []
        for motion, meta in clips_of(data / source.folder, "train"):
            if part in meta.get("missing", ()):
                continue
            formats.add(_format(part, motion))
            if len(formats) > 1:
                raise ConfigError(
                    f"clips to learn from must be alike, got {sorted(map(str, formats))} up to "
                    f"{source.folder}: convert them, or train on one source"
                )
            clips.append(tensor_of(part, motion))
            if source.mirrored:
                mirrored.append(tensor_of(part, mirror(motion)))
        clips += mirrored
        groups.append((source.share, clips))
        frames = sum(len(clip) for clip in clips)
        print(f"{part}: {len(clips)} clips, {frames} frames of {source.folder}", flush=True)
    return groups


def _format(part: BodyPart, motion: Motion) -> tuple[object, ...]:
    """Properties that all clips of a training of `part` must share."""
    fmt = motion.format
    own = {BodyPart.FACE: fmt.face.name, BodyPart.HANDS: str(fmt.hand_reference)}
    return (fmt.clock.frame_rate, own.get(part, ""))


def generator(seed: int) -> torch.Generator:
    """Separate generator, so that other random draws do not change the order of windows."""
    return torch.Generator().manual_seed(seed)
