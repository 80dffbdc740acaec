"""Audio features of takes and of their augmented variants, cached beside the takes."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.audio.features import FeatureExtractor
from engine.clock import FrameClock
from engine.config.features import DEFAULT_FEATURES
from engine.system.atomic import atomic
from training.data.audio_augment import augment
from training.data.parallel import in_order

_AUGMENT_VERSION = 2  # of the audio augmentation; other features are recomputed


def _features(job: tuple[Path, int, int]) -> np.ndarray:
    path, variants, seed = job
    with np.load(path) as file:
        samples = file["audio"].astype(np.float32) / 32768
        frames = len(file["face"])
        clock = FrameClock(frame_rate=int(file["fps"])) if "fps" in file else FrameClock()
    rng = np.random.default_rng(seed)
    extractor = FeatureExtractor(DEFAULT_FEATURES, clock)
    result = []
    for variant in range(variants):
        extractor.reset()
        sound = samples if variant == 0 else augment(samples, rng)
        feats = extractor.feed(np.concatenate([sound, np.zeros(2000, np.float32)]))
        result.append(feats[:frames])
    return np.stack(result)


def _stamp(path: Path) -> str:
    """Checksum of a take's audio, frame rate and number of frames; reads no samples."""
    with zipfile.ZipFile(path) as archive:
        parts = {item.filename: item for item in archive.infolist()}
    sound, rate, face = (parts.get(f"{name}.npy") for name in ("audio", "fps", "face"))
    state = [p and (p.CRC, p.file_size) for p in (sound, rate)] + [face and face.file_size]
    return f"{zlib.crc32(repr((_AUGMENT_VERSION, state)).encode()):08x}"


def features_of(paths: Sequence[Path], variants: int, workers: int = 2) -> list[np.ndarray]:
    """Audio features `[G, T, F]` of takes, cached in `features/` beside them."""
    cache = paths[0].parent / "features"
    cache.mkdir(exist_ok=True)
    names = [f"{path.stem}_{DEFAULT_FEATURES.name}_{variants}" for path in paths]
    stored = [cache / f"{name}_{_stamp(path)}.npy" for name, path in zip(names, paths, strict=True)]
    todo = [i for i, file in enumerate(stored) if not file.is_file()]
    jobs = [(paths[i], variants, 1000 + i) for i in todo]
    for i, feats in zip(todo, in_order(_features, jobs, workers), strict=True):
        for stale in cache.glob(f"{names[i]}_*.npy"):
            stale.unlink()
        with atomic(stored[i]) as part:
            np.save(part, feats.astype(np.float16))
    return [np.load(file, mmap_mode="r") for file in stored]
