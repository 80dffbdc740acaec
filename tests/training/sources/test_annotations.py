"""Words of recognisers and faces of BEAT, and other JSON files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ClipError, TranscriptError
from engine.motion.face_basis import ARKIT_51
from training.sources.annotations import is_face, read_face, read_json_words, read_speech


def saved(path: Path, message: Any) -> Path:
    path.write_text(message if isinstance(message, str) else json.dumps(message))
    return path


RECOGNISED = [
    {
        "alternatives": [
            {
                "transcript": "deep learning",
                "words": [
                    {"start_time": "0.400s", "end_time": "0.8s", "word": "deep"},
                    {"start_time": "0.8s", "end_time": "1.300s", "word": "learning."},
                ],
            },
            {"words": [{"start_time": "0.4s", "end_time": "1.3s", "word": "deplaning"}]},
        ],
        "language_code": "en-us",
    },
    {"alternatives": []},
    {"alternatives": [{"words": [{"startTime": "2s", "endTime": "2.5s", "word": "It"}]}]},
]


def test_a_recognisers_words(tmp_path: Path) -> None:
    words, phones = read_speech(saved(tmp_path / "a.json", RECOGNISED))
    assert [(w.text, w.start_s, w.end_s) for w in words] == [
        ("deep", 0.4, 0.8), ("learning.", 0.8, 1.3), ("It", 2.0, 2.5),
    ]  # fmt: skip
    assert phones == []


def test_our_own_words(tmp_path: Path) -> None:
    message = {"words": [{"word": "hello", "start": 0.1, "end": 0.4}]}
    (word,) = read_json_words(saved(tmp_path / "a.json", message))
    assert (word.text, word.end_s) == ("hello", 0.4)


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        {"names": [], "frames": []},
        [{"results": []}],
        [{"alternatives": [{"words": [{"word": "a"}]}]}],
        [{"alternatives": [{"words": [{"word": "a", "start_time": "x", "end_time": "1s"}]}]}],
        [{"alternatives": [{"words": [{"word": "a", "start_time": "2s", "end_time": "1s"}]}]}],
    ],
)
def test_other_json_holds_no_words(tmp_path: Path, message: Any) -> None:
    with pytest.raises(TranscriptError, match=r"a\.json"):
        read_json_words(saved(tmp_path / "a.json", message))


def face(frames: int = 5, names: list[str] | None = None) -> dict[str, Any]:
    """Coefficients in another order than ours, 60 frames a second: jawOpen rises, all else is 0."""
    names = names or [*reversed(ARKIT_51.coefficients), "tongueOut"]
    rows = [
        {
            "weights": [0.25 * t if name == "jawOpen" else 0.0 for name in names],
            "time": t / 60,
            "rotation": [],
        }
        for t in range(frames)
    ]
    return {"names": names, "frames": rows}


def test_a_face_by_name_and_time(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.json", face())
    found = read_face(path, 5, 30)
    jaw = ARKIT_51.coefficients.index("jawOpen")
    # After the last frame, at 67 ms, it stays.
    np.testing.assert_allclose(found[:, jaw], [0, 0.5, 1, 1, 1], atol=1e-6)
    assert not np.delete(found, jaw, 1).any()
    assert (found.shape, found.dtype) == ((5, 51), np.float32)
    np.testing.assert_allclose(read_face(path, 9, 120)[:4, jaw], [0, 0.125, 0.25, 0.375], atol=1e-6)


def test_faces_are_distinguished_from_words(tmp_path: Path) -> None:
    assert is_face(saved(tmp_path / "a.json", face()))
    assert is_face(saved(tmp_path / "b.json", '{"frames": [], "names": []}'))
    assert not is_face(saved(tmp_path / "c.json", RECOGNISED))
    assert not is_face(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("[", "expected a face as BEAT"),
        ({"names": ["a"]}, "'frames'"),
        ({**face(), "frames": []}, "52 names"),
        (face(2, ["jawOpen"]), "expected the coefficient 'browDownLeft' of arkit51"),
        ({**face(), "names": ["jawOpen"]}, "1 names"),
        ({"names": ["a"], "frames": [{"weights": [float("nan")], "time": 0}]}, "NaN"),
        ({"names": ["a"], "frames": [{"weights": [1]}]}, "'time'"),
    ],
)
def test_mistakes_in_faces_are_named(tmp_path: Path, message: Any, says: str) -> None:
    with pytest.raises(ClipError, match=rf"a\.json: .*{says}"):
        read_face(saved(tmp_path / "a.json", message), 3, 30)
