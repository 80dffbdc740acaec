import numpy as np
import pytest

from engine.motion.face_basis import ARKIT_51, ARKIT_52, FLAME_100
from exporters.arkit import BLEND_NAMES, PERFECT_SYNC_NAMES, VRM_PRESETS, blend_map


def weights(basis=ARKIT_51, **coefficients):
    face = np.zeros(basis.width, np.float32)
    for name, value in coefficients.items():
        face[basis.coefficients.index(name)] = value
    out = np.full(len(BLEND_NAMES), np.nan, np.float32)
    blend_map(basis).weights(face, out)
    return dict(zip(BLEND_NAMES, out.tolist(), strict=True))


def vowel(result):
    return max("AIUEO", key=lambda name: result[name])


def test_names_are_those_of_the_receivers():
    assert len(PERFECT_SYNC_NAMES) == 52
    assert PERFECT_SYNC_NAMES[0] == "EyeBlinkLeft"
    assert PERFECT_SYNC_NAMES[17] == "JawOpen"
    assert PERFECT_SYNC_NAMES[-1] == "TongueOut"
    assert len(set(BLEND_NAMES)) == 64


def test_a_resting_face_is_all_zero():
    assert set(weights().values()) == {0.0}


@pytest.mark.parametrize("basis", [ARKIT_51, ARKIT_52])
def test_every_coefficient_maps_to_its_own_name(basis):
    for name in basis.coefficients:
        shown = {k: v for k, v in weights(basis, **{name: 0.25}).items() if v and k[1:] in name}
        assert shown[name[0].upper() + name[1:]] == 0.25


@pytest.mark.parametrize(
    ("expected", "coefficients"),
    [
        ("A", {"jawOpen": 0.5}),
        ("I", {"mouthStretchLeft": 0.6, "mouthStretchRight": 0.6, "jawOpen": 0.05}),
        ("U", {"mouthPucker": 0.8, "jawOpen": 0.05}),
        ("E", {"mouthStretchLeft": 0.6, "mouthStretchRight": 0.6, "jawOpen": 0.4}),
        ("O", {"mouthFunnel": 0.7, "jawOpen": 0.4}),
    ],
)
def test_vowels(expected, coefficients):
    assert vowel(weights(**coefficients)) == expected


def test_lips_closed_over_an_open_jaw_show_no_vowel():
    result = weights(jawOpen=0.4, mouthClose=0.4)
    assert all(result[name] == 0 for name in "AIUEO")


def test_a_silent_smile_shows_no_vowel():
    result = weights(mouthSmileLeft=1.0, mouthSmileRight=1.0)
    assert all(result[name] == 0 for name in "AIUEO")
    assert result["Fun"] == 1.0
    assert result["Joy"] == 0.0


def test_blink_and_the_lids_add_up_to_each_lid():
    result = weights(eyeBlinkLeft=0.75, eyeBlinkRight=0.25)
    assert result["Blink"] + result["Blink_L"] == 0.75
    assert result["Blink"] + result["Blink_R"] == 0.25


@pytest.mark.parametrize("basis", [ARKIT_51, ARKIT_52])
def test_all_stay_within_their_range(basis):
    random = np.random.default_rng(0)
    out = np.zeros(len(BLEND_NAMES), np.float32)
    mapping = blend_map(basis)
    for _ in range(500):
        mapping.weights(random.uniform(-0.5, 1.5, basis.width).astype(np.float32), out)
        assert out.min() >= 0
        assert out.max() <= 1
        # Together the vowels never open the mouth more than once.
        assert out[: len("AIUEO")].sum() <= 1 + 1e-6


def test_tongue_out_is_zero_if_the_basis_lacks_it():
    assert weights(ARKIT_51, **dict.fromkeys(ARKIT_51.coefficients, 1.0))["TongueOut"] == 0
    assert weights(ARKIT_52, tongueOut=0.5)["TongueOut"] == 0.5


def test_a_basis_without_a_map_has_none():
    assert blend_map(FLAME_100) is None
    assert VRM_PRESETS[:5] == ("A", "I", "U", "E", "O")
