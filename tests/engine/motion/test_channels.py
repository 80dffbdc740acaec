import numpy as np
import pytest
import torch

from engine.errors import ShapeError
from engine.motion.channels import (
    LOCAL_MOTION,
    MOTION,
    MOTION_TOKENS,
    Layout,
    joint_channels,
    part_layout,
)
from engine.motion.skeleton import PART_JOINTS, BodyPart

LAYOUTS = [
    *(MOTION, *(part_layout(part, 51) for part in BodyPart)),
    *(part_layout(BodyPart.FACE, 100), LOCAL_MOTION),
]


@pytest.mark.parametrize(
    ("layout", "width"), list(zip(LAYOUTS, (337, 57, 78, 180, 61, 106, 334), strict=True))
)
def test_layouts_have_the_expected_widths(layout: Layout, width: int) -> None:
    assert layout.width == width


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_channel_belongs_to_one_field(layout: Layout) -> None:
    channels = [c for field in layout.fields for c in layout.channels(field.name)]
    assert channels == list(range(layout.width))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_pack_inverts_unpack(layout: Layout) -> None:
    vector = np.random.default_rng(0).standard_normal((2, 5, layout.width))
    np.testing.assert_array_equal(layout.pack(layout.unpack(vector)), vector)
    tensor = torch.from_numpy(vector)
    assert torch.equal(layout.pack(layout.unpack(tensor)), tensor)


def test_packing_follows_the_order_of_the_layout() -> None:
    fields = MOTION.unpack(np.arange(337.0))
    np.testing.assert_array_equal(MOTION.pack(dict(reversed(fields.items()))), np.arange(337.0))
    np.testing.assert_array_equal(fields["translation"], [330, 331, 332])
    np.testing.assert_array_equal(fields["contact"], [333, 334, 335, 336])


def test_packing_requires_exactly_the_fields_of_the_layout() -> None:
    fields = MOTION.unpack(np.zeros(337))
    for wrong in (
        {k: v for k, v in fields.items() if k != "contact"},
        fields | {"face": np.zeros(51)},
    ):
        with pytest.raises(ShapeError, match="motion is packed from"):
            MOTION.pack(wrong)


def test_wrong_widths_are_refused() -> None:
    fields = MOTION.unpack(np.zeros(337))
    with pytest.raises(ShapeError, match=r"motion\.contact must end in 4 channels, got shape \(5,"):
        MOTION.pack(fields | {"contact": np.zeros(5)})
    with pytest.raises(ShapeError, match=r"motion has 337 channels, got shape \(2, 336\)"):
        MOTION.unpack(np.zeros((2, 336)))
    with pytest.raises(ShapeError, match="motion has no field 'face'"):
        MOTION.slice("face")


def test_part_rotations_cover_the_motion_except_the_eyes() -> None:
    channels = [c for part in BodyPart for c in joint_channels(PART_JOINTS[part])]
    eyes = joint_channels((23, 24))
    assert sorted(channels + eyes) == MOTION.channels("rot6d")
    for part in BodyPart:
        layout = part_layout(part, 51)
        assert len(layout.channels("rot6d")) == len(joint_channels(PART_JOINTS[part]))


def test_token_boundaries_match_the_fields_of_the_motion() -> None:
    ends = np.cumsum(MOTION_TOKENS).tolist()
    assert ends[-1] == MOTION.width
    assert [MOTION.slice(field.name).stop for field in MOTION.fields] == ends[-3:]
    assert set(MOTION_TOKENS[:55]) == {6}
