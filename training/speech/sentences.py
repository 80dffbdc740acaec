"""Text of synthetic speech: sentences from a file, and generated small talk.

A hash selects held-out text, so training and test never share a sentence, whatever the seed.
"""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_SUBJECTS = ("I", "you", "we", "they", "people", "my friends", "most of us", "nobody")
_VERBS = ("need", "want", "remember", "understand", "see", "like", "believe in", "talk about")
_THINGS = (
    *("a better plan", "this idea", "the whole story", "that question", "more time", "the music"),
    *("a simple answer", "the next step", "every detail", "the new machine", "our future"),
    *("the weather", "good coffee", "the big picture", "your letter", "a different road"),
)
_OPENERS = (
    *("", "", "", "Well, ", "However, ", "Maybe ", "I think ", "You know, ", "So, ", "But "),
    *("Honestly, ", "For example, ", "Perhaps ", "First of all, ", "Listen, ", "Now, "),
)
_TAILS = (
    *("", "", "", " right now", " together", " every single day", " in this house", " over there"),
    *(", and it is important", ", but not today", ", because it matters", " once again"),
)
_WHOLE = (
    *(
        "I really don't know what happened here.",
        "No, that is not what I said!",
        "Stop right there!",
    ),
    *("What do you think about it?", "Why would anybody do that?", "How can we help you today?"),
    *("Thank you very much for coming.", "Hello, and welcome to our little show."),
    *("Let me tell you something important.", "You and I both know the answer.", "That's great!"),
    *("I have never seen anything like this before.", "There are three good reasons for it."),
    *("On the one hand it is cheap, on the other hand it is slow.", "We did it, all of us!"),
    *("This one is mine, and that one over there is yours.", "It was absolutely enormous!"),
    *("Maybe tomorrow, maybe never, who knows?", "Please, give me just one more chance."),
    *("Look at this, it is beautiful.", "My father told me a long story about the sea."),
)


def chat(rng: np.random.Generator) -> str:
    """Generate one sentence of small talk."""
    if rng.random() < 0.35:
        return str(rng.choice(_WHOLE))
    parts = [str(rng.choice(x)) for x in (_OPENERS, _SUBJECTS, _VERBS, _THINGS, _TAILS)]
    opener, subject, verb, thing, tail = parts
    helper = str(rng.choice(["", "", " really", " never", " always", " don't", " still", " will"]))
    if subject == "nobody":
        helper, verb = "", re.sub(r"^(\w+)", r"\1s", verb)
    text = f"{opener}{subject}{helper} {verb} {thing}{tail}"
    return text[0].upper() + text[1:] + str(rng.choice([".", ".", ".", "!"]))


def held_out(text: str) -> bool:
    """True if `text` belongs to the test set: one in twelve, by its hash."""
    return zlib.crc32(text.encode()) % 12 == 0


def read_sentences(path: Path) -> list[str]:
    """Read the lines of 4 to 22 plain words, without abbreviations; removes quotation marks."""
    result = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.encode("ascii", "ignore").decode().replace('"', "").replace("--", ",").strip()
        plain = not re.search(r"[^A-Za-z,.;:?!' -]|\b[A-Za-z]\.|\b(Mr|Mrs|Dr|St)\.|[A-Z]{2}", text)
        if plain and 4 <= len(text.split()) <= 22:
            result.append(text)
    return result


def draw_text(sentences: Sequence[str], test: bool, rng: np.random.Generator) -> str:
    """Draw a sentence of the training or test set: about two of three from the file."""
    while True:
        spoken = chat(rng) if rng.random() < 0.35 else sentences[int(rng.integers(len(sentences)))]
        if held_out(spoken) == test:
            return spoken
