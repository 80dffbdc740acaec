from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_52
from engine.motion.pose import HandReference, Motion, PoseFormat
from engine.motion.skeleton import BodyPart
from tests.support.training_fixtures import waving
from training.data.clips import save_clip
from training.data.mirror import mirror
from training.data.windows import (
    Source,
    WindowSampler,
    generator,
    load_folder,
    load_sources,
    tensor_of,
)


@pytest.fixture
def data(tmp_path):
    for name, meta in {"b": {"split": "train"}, "deep/c": {}, "a": {"split": "test"}}.items():
        path = tmp_path / "clips" / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_clip(path, waving(len(name), 6), {"name": name, **meta})
    return tmp_path


def _named(value, length):
    """Clip whose channels are its number and the frame index."""
    return torch.stack([torch.full((length,), float(value)), torch.arange(float(length))], 1)


def test_folder_is_searched_for_one_split(data):
    assert [m["name"] for _, m in load_folder(data / "clips", "train")] == ["b", "deep/c"]
    assert [m["name"] for _, m in load_folder(data / "clips", "test")] == ["a"]


@pytest.mark.parametrize("part", list(BodyPart))
def test_part_vectors_have_their_width(part):
    assert tensor_of(part, waving(1, 3)).shape == (3, part_layout(part, 51).width)


def test_mirrored_clips_follow_the_originals(data):
    ((_, plain),) = load_sources(data, [Source("clips", mirrored=False)], BodyPart.UPPER)
    ((share, both),) = load_sources(data, [Source("clips", 0.25)], BodyPart.UPPER)
    assert share == 0.25
    assert (len(plain), len(both)) == (2, 4)
    assert torch.equal(both[0], plain[0])
    torch.testing.assert_close(both[2], tensor_of(BodyPart.UPPER, mirror(waving(1, 6))))


def test_clips_without_a_face_are_skipped_for_the_face(data):
    save_clip(data / "clips" / "z.npz", waving(4, 6), {"name": "z", "missing": ["face"]})
    counts = {
        part: len(load_sources(data, [Source("clips", mirrored=False)], part)[0][1])
        for part in BodyPart
    }
    assert counts == {"face": 2, "upper": 3, "hands": 3, "lower": 3}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"clock": FrameClock(frame_rate=15)}, set(BodyPart)),
        ({"hand_reference": HandReference.SMPLX_MEAN}, {BodyPart.HANDS}),
        ({"face": ARKIT_52}, {BodyPart.FACE}),
    ],
)
def test_clips_of_different_formats_are_refused(data, change, parts):
    motion = waving(4, 6)
    fmt = replace(PoseFormat(), **change)
    face = np.zeros((6, fmt.face.width), np.float32)
    other = Motion(fmt, replace(motion.poses, face=face))
    (data / "other").mkdir()
    save_clip(data / "other" / "z.npz", other, {"name": "z"})
    sources = [Source("clips", mirrored=False), Source("other", mirrored=False)]
    for part in BodyPart:
        if part in parts:
            with pytest.raises(ConfigError, match="alike"):
                load_sources(data, sources, part)
        else:
            assert len(load_sources(data, sources, part)) == 2


def test_windows_cover_all_clips_and_stay_within_them():
    sampler = WindowSampler([(1.0, [_named(0, 5), _named(1, 3), _named(2, 2)])], 3)
    windows = sampler.draw(200, generator(1))
    assert windows.shape == (200, 3, 2)
    assert (windows[:, :, 0] == windows[:, :1, 0]).all()
    begins = {(int(w[0, 0]), int(w[0, 1])) for w in windows}
    assert begins == {(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)}


def test_longer_clips_give_more_windows():
    windows = WindowSampler([(1.0, [_named(0, 12), _named(1, 4)])], 3).draw(1200, generator(1))
    assert (windows[:, 0, 0] == 0).float().mean() == pytest.approx(10 / 12, abs=0.04)


def test_share_of_a_source_does_not_depend_on_its_length():
    groups = [(0.3, [_named(0, 40)]), (0.9, [_named(1, 3)]), (5.0, [])]
    windows = WindowSampler(groups, 3).draw(1200, generator(1))
    assert (windows[:, 0, 0] == 1).float().mean() == pytest.approx(0.75, abs=0.04)


def test_draws_depend_on_their_own_seed_only():
    sampler = WindowSampler([(1.0, [_named(0, 30)])], 3)
    first = sampler.draw(8, generator(7))
    torch.rand(100)
    assert torch.equal(first, sampler.draw(8, generator(7)))
    assert not torch.equal(first, sampler.draw(8, generator(8)))


def test_empty_sources_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no clips"):
        WindowSampler([(1.0, [])], 3)
