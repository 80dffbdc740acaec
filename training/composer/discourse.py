"""Discourse rules: map words to kinds of gestures, head movements and brow movements.

Covers pronouns, negation, contrast, lists, pointing, doubt, size, inclusion and thought. Text only;
`training.composer.plan` combines the result with stress.
"""

from collections.abc import Sequence
from dataclasses import dataclass

KEYWORDS: dict[str, tuple[str, ...]] = {
    "me": ("i", "me", "my", "mine", "myself", "i'm", "i've", "i'll", "i'd"),
    "you": ("you", "your", "yours", "yourself", "you're", "you've", "you'll", "you'd"),
    "we": ("we", "us", "our", "ours", "ourselves", "we're", "we'll", "we've", "let's"),
    "negative": (
        *("no", "not", "never", "nothing", "none", "nobody", "cannot", "don't", "didn't", "can't"),
        *("won't", "isn't", "wasn't", "doesn't", "couldn't", "wouldn't", "without", "refused"),
        *("nowhere", "neither", "nor", "aren't", "weren't", "hasn't", "haven't", "hadn't"),
        *("impossible", "wrong", "shouldn't", "hardly"),
    ),
    "contrast": (
        *("but", "however", "although", "though", "yet", "besides", "otherwise", "instead"),
        *("rather", "whereas", "except", "despite", "still", "nevertheless", "other"),
    ),
    "point": ("this", "that", "these", "those", "such", "same", "itself"),
    "here": ("here", "now", "today", "tonight", "right-here", "right-now"),
    "left": ("left", "there", "beyond", "away", "far", "yesterday", "ago", "before"),
    "right": ("right", "tomorrow", "forward", "after", "later", "next", "future"),
    "think": (
        *("think", "thought", "remember", "believe", "idea", "understand", "imagine", "dream"),
        *("memory", "mind", "know", "knew", "consider", "learn"),
    ),
    "doubt": (
        *("maybe", "perhaps", "probably", "wonder", "guess", "suppose", "might", "somehow"),
        *("possibly", "doubt", "whatever", "seems", "seemed", "unless", "don't-know", "who-knows"),
        *("not-sure", "no-idea"),
    ),
    "question": ("what", "why", "how", "who", "where", "which", "when", "whom", "whose"),
    "stop": ("stop", "stopped", "wait", "end", "enough", "against", "halt", "finished", "ended"),
    "big": (
        *("big", "great", "large", "huge", "enormous", "long", "high", "wide", "vast", "more"),
        *("many", "much", "greater", "larger", "bigger", "most", "immense", "grew", "growing"),
    ),
    "small": (
        *("small", "little", "tiny", "short", "thin", "narrow", "less", "few", "single", "only"),
        *("exactly", "simple", "precisely", "smaller", "least"),
    ),
    "all": (
        *("all", "whole", "every", "everything", "everyone", "everybody", "world", "together"),
        *("always", "entire", "entirely", "everywhere", "complete", "completely", "people"),
    ),
    "list": (
        *("example", "instance", "first", "second", "third", "because", "so", "therefore"),
        *("finally", "then", "also", "one", "two", "three", "four", "five", "several", "thus"),
    ),
    "offer": (
        *("please", "give", "gave", "given", "welcome", "thank", "thanks", "offer", "take"),
        *("look", "see", "show", "course", "well", "hello"),
    ),
}
"""Keywords of each kind of gesture; a hyphen joins consecutive words."""

WEIGHTS: dict[str, float] = {
    "me": 0.5, "you": 0.55, "we": 0.65, "negative": 0.8, "contrast": 0.6, "point": 0.45,
    "here": 0.6, "left": 0.5, "right": 0.5, "think": 0.6, "doubt": 0.75, "question": 0.5,
    "stop": 0.75, "big": 0.7, "small": 0.65, "all": 0.7, "list": 0.45, "offer": 0.6,
}  # fmt: skip
"""Probability that a stress with such a keyword gets the gesture."""

STRONG = frozenset(
    [
        *("very", "really", "absolutely", "extremely", "too", "ever", "truly", "indeed", "best"),
        *("entirely", "quite", "deeply", "certainly", "terrible", "wonderful", "greatest"),
    ]
)
"""Words that increase the amplitude of the gesture."""

YES = frozenset(
    ["yes", "yeah", "sure", "course", "exactly", "indeed", "certainly", "right", "true"]
)

_OTHER_SIDE = {"left": "right", "right": "left"}
_REACH = 2  # maximum distance of a keyword before its stress, words


@dataclass(frozen=True)
class Sense:
    """Body movements that a word calls for.

    Attributes:
        kind: kind of gesture; empty for none.
        hand: left, right or both; empty for no preference.
        head: shake, nod, tilt, up or turn; empty for none.
        brows: above 0 raised, below 0 drawn together.

    """

    kind: str
    hand: str = ""
    head: str = ""
    brows: float = 0.0


_MANNERS: dict[str, tuple[str, str, float]] = {
    "negative": ("", "shake", -0.5), "doubt": ("both", "tilt", 0.6), "question": ("", "tilt", 0.7),
    "think": ("", "up", 0.3), "big": ("both", "", 0.6), "small": ("both", "", -0.3),
    "all": ("both", "turn", 0.4), "we": ("both", "", 0.2), "contrast": ("", "tilt", 0.2),
    "stop": ("", "shake", -0.4), "offer": ("", "nod", 0.3), "you": ("", "nod", 0.3),
    "left": ("left", "", 0.0), "right": ("right", "", 0.0),
}  # fmt: skip


def _kinds() -> dict[str, str]:
    """Kind of each keyword; a word of two kinds gets the one with fewer keywords."""
    result: dict[str, str] = {}
    for kind, words in sorted(KEYWORDS.items(), key=lambda pair: -len(pair[1])):
        result |= dict.fromkeys(words, kind)
    return result


_KIND_OF = _kinds()


def kind_of(words: Sequence[str], index: int) -> str:
    """Look up the kind of gesture of a word in a sentence; empty for most words."""
    if index + 1 < len(words):
        joined = _KIND_OF.get(f"{words[index]}-{words[index + 1]}")
        if joined:
            return joined
    return _KIND_OF.get(words[index], "")


def senses(words: Sequence[str]) -> list[Sense | None]:
    """Return the sense of each word of a phrase; contrasts and lists alternate the hands."""
    result: list[Sense | None] = []
    side = "left" if sum(map(len, words)) % 2 else "right"
    for index, word in enumerate(words):
        kind = kind_of(words, index)
        if not kind:
            result.append(Sense("", head="nod") if word in YES else None)
            continue
        hand, head, brows = _MANNERS.get(kind, ("", "", 0.0))
        if kind in ("contrast", "list"):
            hand, side = side, _OTHER_SIDE[side]
        result.append(Sense(kind, hand, head, brows))
    return result


def sense_at(found: Sequence[Sense | None], index: int) -> Sense | None:
    """Return the gesture sense of the word at `index` or of a keyword shortly before it."""
    for back in range(_REACH + 1):
        if index - back >= 0 and (sense := found[index - back]) is not None and sense.kind:
            return sense
    return None
