import numpy as np
import pytest

from engine.audio.block import to_float
from engine.errors import ShapeError
from engine.events import BAD_SAMPLE, EventCounter


def test_int16_is_scaled_to_one() -> None:
    result = to_float(np.array([-32768, 0, 16384], np.int16))
    assert result.dtype == np.float32
    assert result.tolist() == [-1.0, 0.0, 0.5]


def test_non_finite_samples_become_zero_and_are_counted() -> None:
    events = EventCounter()
    sound = np.array([0.1, np.nan, np.inf, -np.inf, 1e300, -0.2])
    result = to_float(sound, events)
    np.testing.assert_allclose(result, [0.1, 0, 0, 0, 0, -0.2], rtol=1e-6)
    assert events.snapshot()[BAD_SAMPLE] == 4


def test_finite_samples_pass_unchanged() -> None:
    events = EventCounter()
    sound = np.linspace(-1, 1, 7, dtype=np.float32)
    np.testing.assert_array_equal(to_float(sound, events), sound)
    assert to_float([]).shape == (0,)
    assert events.snapshot()[BAD_SAMPLE] == 0


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 3)), np.zeros(3, np.int32), np.zeros(3, np.uint8), 0.5]
)
def test_unsupported_shapes_and_types_are_refused(samples: object) -> None:
    with pytest.raises(ShapeError, match="expected"):
        to_float(samples)
