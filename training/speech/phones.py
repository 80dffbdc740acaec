"""Phone tables: ARPAbet, espeak-ng names, mouth shapes; and function words.

Shapes are ARKit coefficients of clearly articulated phones; `training.composer.visemes` blends
them.
"""

from typing import Final

VOWELS: Final = frozenset(
    [
        "aa",
        "ae",
        "ah",
        "ao",
        "aw",
        "ax",
        "axr",
        "ay",
        "eh",
        "er",
        "ey",
        "ih",
        "iy",
        "ow",
        "oy",
        "uh",
        "uw",
    ],
)
CLOSED: Final = frozenset(["p", "b", "m"])
"""Bilabial closures: phones for which the lips must meet."""

ESPEAK_PHONES: Final[dict[str, str]] = {
    "@": "ax", "@2": "ax", "@5": "ax", "@-": "ax", "a#": "ax", "I2": "ih", "I#": "ih", "I": "ih",
    "@L": "el", "3": "axr", "3:": "er", "V": "ah", "E": "eh", "a": "ae", "aa": "aa", "0": "aa",
    "A:": "aa", "A@": "aa", "O:": "ao", "O2": "ao", "O@": "ao", "o@": "ao", "O": "aa", "i:": "iy",
    "i": "iy", "u:": "uw", "U": "uh", "U@": "uh", "e@": "eh", "i@": "ih", "i@3": "ih", "eI": "ey",
    "aI": "ay", "aI3": "ay", "aI@": "ay", "aU": "aw", "aU@": "aw", "oU": "ow", "OI": "oy",
    "e": "eh", "p": "p", "b": "b", "m": "m", "f": "f", "v": "v", "t": "t", "t#": "dx", "t2": "t",
    "d": "d", "n": "n", "n-": "n", "s": "s", "z": "z", "l": "l", "r": "r", "r-": "r", "S": "sh",
    "Z": "zh", "tS": "ch", "dZ": "jh", "k": "k", "g": "g", "N": "ng", "T": "th", "D": "dh",
    "h": "hh", "w": "w", "j": "y", "?": "t", "m-": "m", "l#": "l", "x": "k", "w#": "w",
}  # fmt: skip

_SMILE = ("mouthSmileLeft", "mouthSmileRight")
_STRETCH = ("mouthStretchLeft", "mouthStretchRight")
_LOWER = ("mouthLowerDownLeft", "mouthLowerDownRight")
_UPPER = ("mouthUpperUpLeft", "mouthUpperUpRight")
_PRESS = ("mouthPressLeft", "mouthPressRight")


def _shape(jaw: float, **others: float) -> dict[str, float]:
    pairs = {
        "smile": _SMILE,
        "stretch": _STRETCH,
        "lower": _LOWER,
        "upper": _UPPER,
        "press": _PRESS,
    }
    result = {"jawOpen": 1.15 * jaw}
    for name, value in others.items():
        for coefficient in pairs.get(name, (name,)):
            result[coefficient] = value
    return result


_OPEN = _shape(0.62, lower=0.35, upper=0.15, stretch=0.08)
_MID = _shape(0.36, lower=0.30, upper=0.15, stretch=0.18)
_NARROW = _shape(0.18, lower=0.32, upper=0.18, stretch=0.30, smile=0.22)
_ROUND = _shape(0.40, mouthFunnel=0.55, mouthPucker=0.18, lower=0.12)
_TIGHT = _shape(0.16, mouthFunnel=0.40, mouthPucker=0.62)
_LIPS = _shape(0.0, press=0.45, mouthRollLower=0.18, mouthRollUpper=0.12, mouthClose=0.04)
_LIP_TEETH = _shape(0.07, mouthRollLower=0.40, upper=0.22, mouthShrugUpper=0.08)
_TONGUE = _shape(0.15, lower=0.22, upper=0.10, stretch=0.06)
_TEETH = _shape(0.07, lower=0.30, upper=0.18, stretch=0.22, smile=0.08)
_HUSH = _shape(0.10, mouthFunnel=0.50, mouthPucker=0.22, lower=0.12)
_BACK = _shape(0.20, lower=0.18, upper=0.08)

SHAPES: Final[dict[str, tuple[dict[str, float], dict[str, float]]]] = {
    **{p: (s, s) for p, s in {
        "aa": _OPEN, "ae": _shape(0.52, lower=0.38, upper=0.20, stretch=0.24), "ah": _MID,
        "ao": _shape(0.48, mouthFunnel=0.45, lower=0.15), "ax": _shape(0.24, lower=0.22, upper=0.1),
        "axr": _shape(0.20, mouthFunnel=0.28, mouthPucker=0.10), "eh": _shape(
            0.40, lower=0.34, upper=0.18, stretch=0.22, smile=0.06
        ), "er": _shape(0.22, mouthFunnel=0.34, mouthPucker=0.12), "ih": _shape(
            0.24, lower=0.30, upper=0.16, stretch=0.22, smile=0.12
        ), "iy": _NARROW, "uh": _shape(0.24, mouthFunnel=0.40, mouthPucker=0.25), "uw": _TIGHT,
        "p": _LIPS, "b": _LIPS, "m": _LIPS, "f": _LIP_TEETH, "v": _LIP_TEETH, "th": _shape(
            0.16, lower=0.30, upper=0.14
        ), "dh": _shape(0.15, lower=0.28, upper=0.12), "t": _TONGUE, "d": _TONGUE, "dx": _TONGUE,
        "n": _TONGUE, "nx": _TONGUE, "en": _TONGUE, "s": _TEETH, "z": _TEETH, "l": _shape(
            0.20, lower=0.24, upper=0.12
        ), "el": _shape(0.20, lower=0.22, upper=0.10), "r": _shape(
            0.16, mouthFunnel=0.36, mouthPucker=0.20
        ), "sh": _HUSH, "zh": _HUSH, "ch": _HUSH, "jh": _HUSH, "k": _BACK, "g": _BACK, "ng": _BACK,
        "hh": _shape(0.26, lower=0.20, upper=0.10), "w": _TIGHT, "y": _NARROW,
        "em": _LIPS,
    }.items()},
    "aw": (_OPEN, _TIGHT),
    "ay": (_OPEN, _NARROW),
    "ey": (_shape(0.38, lower=0.34, upper=0.18, stretch=0.24, smile=0.08), _NARROW),
    "ow": (_ROUND, _TIGHT),
    "oy": (_ROUND, _NARROW),
    "pau": ({}, {}),
}  # fmt: skip
"""Start and end shape of every phone; they differ for diphthongs only."""

FUNCTION_WORDS: Final = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "but",
        "nor",
        "so",
        "yet",
        "if",
        "then",
        "than",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "into",
        "of",
        "off",
        "on",
        "onto",
        "out",
        "over",
        "to",
        "up",
        "upon",
        "with",
        "within",
        "without",
        "about",
        "after",
        "against",
        "along",
        "among",
        "around",
        "before",
        "behind",
        "below",
        "beneath",
        "beside",
        "between",
        "beyond",
        "down",
        "during",
        "inside",
        "near",
        "since",
        "through",
        "throughout",
        "till",
        "toward",
        "under",
        "until",
        "via",
        "while",
        "because",
        "though",
        "although",
        "unless",
        "whether",
        "i",
        "me",
        "my",
        "mine",
        "we",
        "us",
        "our",
        "ours",
        "you",
        "your",
        "yours",
        "he",
        "him",
        "his",
        "she",
        "her",
        "hers",
        "it",
        "its",
        "they",
        "them",
        "their",
        "theirs",
        "this",
        "that",
        "these",
        "those",
        "who",
        "whom",
        "whose",
        "which",
        "what",
        "there",
        "here",
        "am",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "do",
        "does",
        "did",
        "doing",
        "done",
        "have",
        "has",
        "had",
        "having",
        "will",
        "would",
        "shall",
        "should",
        "can",
        "could",
        "may",
        "might",
        "must",
        "ought",
        "i'm",
        "i've",
        "i'll",
        "i'd",
        "we're",
        "we've",
        "we'll",
        "you're",
        "you've",
        "you'll",
        "he's",
        "she's",
        "it's",
        "they're",
        "they've",
        "they'll",
        "that's",
        "there's",
        "let's",
        "also",
        "some",
        "any",
        "each",
        "every",
        "such",
        "same",
        "other",
        "s",
        "t",
        "just",
        "mr",
        "mrs",
        "dr",
        "sir",
        "one",
        "not",
    ]
)
"""Words that are seldom stressed. Negations such as `never` and `don't` count as content words."""
