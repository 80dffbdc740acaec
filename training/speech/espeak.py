"""Speech from espeak-ng in a worker process, so that the same text always sounds the same.

Converts replies of `training.speech.espeak_worker` to `Speech`. A worker that exceeds the timeout
is killed.
"""

import json
import os
import re
import select
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.errors import ConfigError
from engine.motion.pose import FloatArray
from training.speech.phones import ESPEAK_PHONES, VOWELS
from training.speech.speech import Phone, Speech, SpokenWord, resample

_WORKER = Path(__file__).with_name("espeak_worker.py")
_TIMEOUT_S = 20.0
_WORD, _PHONEME = 1, 7
_TEMPO = 165  # words per minute at tempo 1
_EVENT_LATE_S = 0.025  # delay of events relative to the sound, from energy against phones


class EspeakProcess:
    """A worker process; ConfigError on an error reply or a timeout."""

    def __init__(self, command: list[str], timeout_s: float = _TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._rest = b""

    def request(self, job: dict[str, Any]) -> tuple[dict[str, Any], FloatArray]:
        """Send a job; return the reply and samples `[S]` at the reply's rate."""
        deadline = time.monotonic() + self._timeout_s
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its last reply holds the reason
        line = self._until(deadline, lambda: self._rest.find(b"\n") + 1)
        answer = json.loads(line)
        if "error" in answer:
            raise ConfigError(answer["error"])
        size = 2 * int(answer["samples"])
        raw = self._until(deadline, lambda: size if len(self._rest) >= size else 0)
        return answer, (np.frombuffer(raw, "<i2") / np.float32(32768)).astype(np.float32)

    def _until(self, deadline: float, complete: Any) -> bytes:
        """Read until `complete()` returns the size of a message, in bytes; return the message."""
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        while not (size := complete()):
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([handle], [], [], left)[0]
            block = os.read(handle, 1 << 16) if ready else b""
            if not block:
                self.close()
                raise ConfigError(
                    f"expected espeak-ng to speak within {self._timeout_s:.0f} s, it did not; "
                    "try the text with the program espeak-ng"
                )
            self._rest += block
        result, self._rest = self._rest[:size], self._rest[size:]
        return result

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()


@lru_cache(maxsize=1)
def _process_of(process: int) -> EspeakProcess:
    # Keyed by process id: a fork must not share the pipes of its parent.
    return EspeakProcess([sys.executable, "-I", "-S", str(_WORKER)])


def speak(text: str, name: str, tempo: float) -> Speech:
    """Synthesise `text` by the voice `name` (en-us+f3, ...); ConfigError if that fails."""
    plain = text.encode("ascii", "ignore").decode()
    words = sorted({word.strip("'").lower() for word in re.findall(r"[\w']+", plain)})
    job = {"text": plain, "voice": name, "rate": round(_TEMPO * tempo), "words": words}
    try:
        answer, native = _process_of(os.getpid()).request(job)
    except ConfigError:
        _process_of.cache_clear()
        raise
    samples = resample(native, round(len(native) * SAMPLE_RATE / answer["rate"]))
    return _assemble(samples, plain, answer)


def _assemble(samples: FloatArray, text: str, answer: dict[str, Any]) -> Speech:
    end = len(samples) / SAMPLE_RATE
    sounds = [
        (kind, position, max(0.0, sample / answer["rate"] - _EVENT_LATE_S), name)
        for kind, position, sample, name in answer["events"]
        if kind in (_WORD, _PHONEME)
    ]
    phones: list[Phone] = []
    groups: list[tuple[str, int, list[Phone]]] = []
    starts = [at for kind, _, at, _ in sounds if kind == _PHONEME] + [end]
    for kind, position, _, name in sounds:
        if kind == _WORD:
            match = re.match(r"[\w']+", text[position - 1 :])
            word = match[0].strip("'").lower() if match else ""
            if not groups or groups[-1][1] != position:
                groups.append((word, position, []))
            continue
        count = len(phones)
        phone = Phone(ESPEAK_PHONES.get(name, "pau"), starts[count], starts[count + 1])
        phones.append(phone)
        if phone.name != "pau" and groups:
            groups[-1][2].append(phone)
    spelled = answer["spelled"]
    words = [_word(word, spelled.get(word, ""), members) for word, _, members in groups if members]
    if not phones or phones[0].start > 0:
        phones.insert(0, Phone("pau", 0.0, phones[0].start if phones else end))
    return Speech(samples, tuple(phones), tuple(words))


def _word(text: str, spelled: str, phones: list[Phone]) -> SpokenWord:
    vowels = [p for p in phones if p.name in VOWELS] or phones
    vowel = vowels[min(stressed_vowel(spelled), len(vowels) - 1)]
    return SpokenWord(text, phones[0].start, phones[-1].end, vowel.start, vowel.end)


def stressed_vowel(spelled: str) -> int:
    """Index of the vowel with the primary stress in a word's espeak-ng phonemes."""
    before = 0
    for name in spelled.split("_"):
        if name.startswith("'"):
            return before
        before += ESPEAK_PHONES.get(name.lstrip(",%="), "pau") in VOWELS
    return 0
