"""Synthetic voices, and clips as written by stage retarget, for tests of the bench."""

from pathlib import Path

from bench.starter.speech_set import Part
from tests.support.training_fixtures import tone_take, waving
from training.data.clips import save_clip, write_json


def voices(*_: object) -> list[Part]:
    """Two tone voices of three seconds; accepts the arguments of any voice reader."""
    return [Part(f"voice {seed}", tone_take("test", seed, 3.0).speech) for seed in (1, 2)]


def save_clips(folder: Path) -> None:
    """Write waving figures as stage retarget does."""
    (folder / "clips").mkdir(parents=True)
    listed = [
        ("idle", "", "idle", "train"),
        ("me", "Me", "gesture", "train"),
        ("no", "Negative", "gesture", "train"),
        ("stop", "Stop", "gesture", "test"),
    ]
    table = []
    for seed, (name, family, use, split) in enumerate(listed):
        save_clip(folder / "clips" / f"{name}.npz", waving(seed, 70), {})
        entry = {"name": name, "family": family, "use": use, "split": split}
        table.append(entry | {"hand": "", "actor": ""})
    write_json(folder / "clips.json", table)
