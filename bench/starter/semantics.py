"""Semantics: gesture classes found after words that call for them.

For content words (`training.composer.discourse` has the gesture kinds), in the window after their
start. Families that also serve as beats are not counted. The base rate is how often the same
classes are found after all other content words; chance level is by permutation of kinds among the
words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.starter import Numbers
from bench.starter.gesture_classifier import Classifier, Examples, features, windows
from bench.starter.renderings import Scene, with_transcript
from training.composer.discourse import KEYWORDS, kind_of
from training.composer.plan import phrases
from training.speech.phones import FUNCTION_WORDS

AFTER_S = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Instants of a word's window, seconds; the class with the highest mean score is found."""
KINDS = tuple(KEYWORDS)


@dataclass(frozen=True)
class Verdicts:
    """Gesture kinds of content words, and the classifier's result.

    Attributes:
        kinds: kind that each word calls for `[N]`; empty for most.
        found: kinds of the class that was found `[N, K]`.
        countable: kinds with a class of their own `[K]`.

    """

    kinds: NDArray[np.str_]
    found: NDArray[np.bool_]
    countable: NDArray[np.bool_]


def serves(classifier: Classifier) -> NDArray[np.bool_]:
    """Kinds of gestures of each class `[C, K]`, without classes that beats use too."""
    rows = [
        [kind in own and not any(k.startswith("beat") for k in own) for kind in KINDS]
        for own in classifier.classes
    ]
    return np.array(rows, bool)


def judged(scenes: Sequence[Scene], classifier: Classifier) -> Verdicts:
    """Kinds called for and found after each content word of scenes with words."""
    member, kinds, found = serves(classifier), [], [np.zeros((0, len(KINDS)), bool)]
    for scene in with_transcript(scenes):
        asked = [
            (word.start, kind_of([w.text for w in words], index))
            for words in phrases(scene.part.speech)
            for index, word in enumerate(words)
            if word.text not in FUNCTION_WORDS
        ]
        if asked:
            times = np.array([start for start, _ in asked])[:, None] + np.array(AFTER_S)
            frames = np.round(times * scene.fps).astype(int)
            seen = windows(features(scene.motion.poses.rotations), frames.reshape(-1))
            scores = classifier.scores(seen).reshape(*frames.shape, -1).mean(1)
            found.append(member[scores.argmax(1)])
            kinds += [kind for _, kind in asked]
    countable = np.asarray(member.any(axis=0), bool)
    return Verdicts(np.array(kinds, np.str_), np.concatenate(found), countable)


def over_base(kinds: NDArray[np.str_], verdicts: Verdicts) -> tuple[float, float]:
    """Share of words whose class is found, and their base rate."""
    hits = base = asked = 0.0
    for column, kind in enumerate(KINDS):
        own = kinds == kind
        if verdicts.countable[column] and own.any() and not own.all():
            hits += float(verdicts.found[own, column].sum())
            base += own.sum() * float(verdicts.found[~own, column].mean())
            asked += own.sum()
    return hits / max(asked, 1.0), base / max(asked, 1.0)


def meaning_numbers(verdicts: Verdicts, how: str, rounds: int = 2000, seed: int = 0) -> Numbers:
    """Rates by name; `how`: word timing in the names, "with words" or "without words"."""
    if not len(verdicts.kinds):
        return {}
    found, base = over_base(verdicts.kinds, verdicts)
    rng = np.random.default_rng(seed)
    moved = [over_base(rng.permutation(verdicts.kinds), verdicts) for _ in range(rounds)]
    reached = sum(a - b >= found - base for a, b in moved)
    countable = {kind for kind, own in zip(KINDS, verdicts.countable, strict=True) if own}
    return {
        f"words that ask, {how}": float(np.isin(verdicts.kinds, [*countable]).sum()),
        f"family found, {how}": found,
        f"family, base rate, {how}": base,
        # Base rate of at least one word, if other words never have the class.
        f"family over base rate, {how}": found / max(base, 1.0 / max(len(verdicts.kinds), 1)),
        f"family, p, {how}": (1 + reached) / (1 + rounds),
    }


def confusion(classifier: Classifier, seen: Examples) -> tuple[list[str], NDArray[np.int64]]:
    """Names of the classes, and number of clips `[true, found]`."""
    table = np.zeros((len(classifier.classes),) * 2, int)
    scores = classifier.scores(seen.windows)
    for clip in np.unique(seen.clips):
        for label in np.unique(seen.labels[seen.clips == clip]):
            own = (seen.clips == clip) & (seen.labels == label)
            table[label, scores[own].mean(0).argmax()] += 1
    return ["/".join(sorted(own)) or "rest" for own in classifier.classes], table


def confusion_text(names: Sequence[str], counts: NDArray[np.int64]) -> str:
    """Confusions as text: a line for each class with clips."""
    lines = []
    for row, name in enumerate(names):
        if counts[row].any():
            wrong = [f"{names[c]} {n}" for c, n in enumerate(counts[row]) if n and c != row]
            right = f"{counts[row, row]} of {counts[row].sum()}"
            lines.append(f"  {name:<32} {right:>9}   {', '.join(wrong)}")
    gestures = counts[1:]
    lines.append(f"  correct gestures: {np.trace(counts[1:, 1:])} of {gestures.sum()} clips")
    return "\n".join(lines)
