"""Stage `import`: converts recordings of other data sets to a corpus.

`kind` selects the format: `bvh` (with sound, words and faces, named as in Trinity, ZeroEGGS, BEAT
or otherwise), `amass` (.npz) or `smartbody` (as stage `retarget`). Files with errors are reported
and skipped.

Config: see `ImportSettings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.config.serialize import from_mapping
from engine.errors import ConfigError, GestureError
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import HandReference, Motion
from engine.motion.rotation import exp
from engine.motion.skeleton import SMPLX_55
from training.composer.face import jaw_angle
from training.data.clips import save_clip, write_json
from training.data.parallel import in_order
from training.data.running_stats import Totals, no_totals, totals_of, write_totals
from training.data.takes import Missing
from training.sources import amass, retarget
from training.sources.annotations import read_face, read_speech
from training.sources.bvh import read_bvh
from training.sources.bvh_figure import figure_of
from training.sources.corpus import Loaded, Problem, RecordedTake, take_of, write_corpus
from training.sources.retarget_metrics import find_defects, measure
from training.sources.skeleton_map import SkeletonMap, find_map, load_map
from training.sources.take_discovery import Recording, find_recordings

KINDS = ("bvh", "amass", "smartbody")
_NO_MOTION = ("shape", "stagei")  # suffixes of AMASS files without motion
_REPORT_EVERY = 50


@dataclass(frozen=True)
class ImportSettings:
    """Settings of the stage.

    Attributes:
        kind: format of the recordings.
        frame_rate: of the takes written, 30 or 15.
        skeleton: name of a skeleton map, a .toml file, or auto.
        unit: of BVH files: m, cm, mm, in or auto.
        rest_frame: frame of the rest pose, for files whose zero channels are no pose.
        split: split of takes without another.
        test: name patterns of takes held out for tests.
        val: name patterns of takes held out for validation.
        names: name patterns of takes to read; empty: all.
        exclude: name patterns of takes that are not read.
        workers: processes.

    """

    kind: str = "bvh"
    frame_rate: int = 30
    skeleton: str = "auto"
    unit: str = "auto"
    rest_frame: int | None = None
    split: str = "train"
    test: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ("exclude",)
    workers: int = 2

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"unknown kind {self.kind!r}; expected one of {', '.join(KINDS)}")

    @property
    def held_out(self) -> list[tuple[str, str]]:
        """Name patterns with the split of matching takes."""
        pairs = (("val", self.val), ("test", self.test))
        return [(pattern, split) for split, patterns in pairs for pattern in patterns]


def run(config: Mapping[str, Any], data: Path, out: Path) -> None:
    """Convert the recordings in `data` and write them to `out`."""
    settings = from_mapping(ImportSettings, dict(config))
    if settings.kind == "smartbody":
        retarget.run({"exclude": list(settings.exclude)}, data, out)
    elif settings.kind == "amass":
        _import_amass(settings, data, out)
    else:
        _import_bvh(settings, data, out)


def _import_bvh(settings: ImportSettings, data: Path, out: Path) -> None:
    found, problems = find_recordings(data, settings.split, settings.held_out)
    jobs = [r for r in found if _wanted(r.name, settings)]
    if not jobs:
        raise ConfigError(f"none of the {len(found)} takes in {data} is of {settings.names}")
    facts = {
        "data": "BVH",
        "fps": settings.frame_rate,
        "face_basis": ARKIT_51.name,
        "hand_reference": str(HandReference.FLAT),
    }
    load = partial(load_recording, settings=settings)
    write_corpus(out, jobs, load, problems, facts, settings.workers)


def _wanted(name: str, settings: ImportSettings) -> bool:
    return not settings.names or any(fnmatch(name, pattern) for pattern in settings.names)


def load_recording(files: Recording, settings: ImportSettings) -> Loaded:
    """Read one take, cut to one length; GestureError for an invalid file."""
    bvh = read_bvh(files.motion)
    skeleton = _skeleton(bvh.tree.names, settings)
    figure, unit = figure_of(bvh, settings.frame_rate, settings.unit, skeleton.rest_frame)
    motion = retarget.retarget(figure, skeleton)
    problems = [Problem(files.name, text) for text in find_defects(measure(motion))]
    if "none known" in unit.why:
        problems.append(Problem(files.name, f"unit: {unit.why}"))
    if files.face is not None:
        motion = with_face(motion, files.face)
    words, phones = read_speech(files.words) if files.words else ([], [])
    take, more = take_of(
        RecordedTake(
            name=files.name,
            voice=files.voice,
            split=files.split,
            motion=motion,
            sound=files.sound,
            words=words,
            phones=phones,
            face=files.face is not None,
        )
    )
    return take, problems + more


def _skeleton(names: tuple[str, ...], settings: ImportSettings) -> SkeletonMap:
    auto = settings.skeleton == "auto"
    skeleton = find_map(names) if auto else load_map(settings.skeleton)
    if settings.rest_frame is not None:
        skeleton = replace(skeleton, rest_frame=settings.rest_frame)
    return skeleton


def with_face(motion: Motion, path: Path) -> Motion:
    """Add the face of a BEAT file to a motion and set its jaw rotation."""
    face = read_face(path, len(motion), motion.format.clock.frame_rate)
    rotations = motion.poses.rotations.copy()
    turn = np.zeros((len(motion), 3), np.float32)
    turn[:, 0] = jaw_angle(face)
    rotations[:, SMPLX_55.index("jaw")] = exp(turn)
    return replace(motion, poses=replace(motion.poses, rotations=rotations, face=face))


def _import_amass(settings: ImportSettings, data: Path, out: Path) -> None:
    paths = [
        path
        for path in sorted(data.rglob("*.npz"))
        if not path.stem.endswith(_NO_MOTION) and not path.name.startswith(".")
    ]
    jobs = [path for path in paths if _wanted(path.stem, settings)]
    if not jobs:
        raise ConfigError(f"no motions of AMASS in {data}: expected *.npz, there or below")
    (out / "clips").mkdir(parents=True, exist_ok=True)
    work = partial(_make_clip, settings=settings, data=data, out=out)
    described: list[dict[str, Any]] = []
    problems: list[Problem] = []
    totals = no_totals()
    for number, (meta, more, sums) in enumerate(in_order(work, jobs, settings.workers), 1):
        described += [meta] if meta else []
        problems += more
        totals = totals + sums if meta and meta["split"] == "train" else totals
        if number % _REPORT_EVERY == 0:
            print(f"{number} of {len(jobs)} clips", flush=True)
    for problem in problems:
        print(f"{problem.name}: {problem.text}", flush=True)
    if not described:
        raise ConfigError(f"no clip of {data} could be used; see the problems above")
    write_totals(out, totals)
    minutes = sum(meta["frames"] for meta in described) / settings.frame_rate / 60
    print(f"{len(described)} clips, {minutes:.1f} min, {len(problems)} problems")
    write_json(out / "clips.json", described)


def _make_clip(
    path: Path, settings: ImportSettings, data: Path, out: Path
) -> tuple[dict[str, Any], list[Problem], Totals]:
    name = "_".join(path.relative_to(data).with_suffix("").parts)
    try:
        clip = amass.read_amass(path)
        motion = amass.to_motion(clip, settings.frame_rate)
    except GestureError as error:
        return {}, [Problem(name, f"{error}; skipped")], no_totals()
    split = next((s for p, s in settings.held_out if fnmatch(path.stem, p)), settings.split)
    meta = {
        "name": name,
        "path": str(path.relative_to(data)),
        "actor": path.parent.name,
        "use": "motion",
        "split": split,
        "gender": clip.gender,
        "frames": len(motion),
        "fps": settings.frame_rate,
        "missing": [str(part) for part in (Missing.FACE, Missing.SOUND, Missing.WORDS)],
    }
    save_clip(out / "clips" / f"{name}.npz", motion, meta)
    problems = [Problem(name, text) for text in find_defects(measure(motion))]
    return meta, problems, totals_of(motion)
