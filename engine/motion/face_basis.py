"""Face bases: the meaning of a pose's face coefficients, by name.

`arkit51` is the set of BEAT2's captures (alphabetical, without tongueOut), `arkit52` the full ARKit
set in Live Link order, `flame100` the 100 FLAME expression coefficients (the jaw is joint 22).
"""

from dataclasses import dataclass
from typing import Final

from engine.errors import ConfigError

_EYE: Final = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")

ARKIT_52_NAMES: Final[tuple[str, ...]] = (
    *(f"eye{name}Left" for name in _EYE),
    *(f"eye{name}Right" for name in _EYE),
    *("jawForward", "jawLeft", "jawRight", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp"),
    *("browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *("noseSneerLeft", "noseSneerRight", "tongueOut"),
)


@dataclass(frozen=True)
class FaceBasis:
    """A named, ordered set of face coefficients."""

    name: str
    coefficients: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of coefficients, the letter E in shapes."""
        return len(self.coefficients)


ARKIT_52: Final = FaceBasis("arkit52", ARKIT_52_NAMES)
ARKIT_51: Final = FaceBasis("arkit51", tuple(sorted(set(ARKIT_52_NAMES) - {"tongueOut"})))
FLAME_100: Final = FaceBasis("flame100", tuple(f"expression{i}" for i in range(100)))

_BASES: Final = {basis.name: basis for basis in (ARKIT_51, ARKIT_52, FLAME_100)}


def face_basis(name: str) -> FaceBasis:
    """The basis called `name`; raises ConfigError for an unknown one."""
    if name not in _BASES:
        raise ConfigError(f"unknown face basis {name!r}; expected one of {', '.join(_BASES)}")
    return _BASES[name]
