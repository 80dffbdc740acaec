"""espeak-ng worker process: synthesises every utterance from the same initial state.

In one process an utterance depends on the previous one, and the library cannot be initialised
twice. This program initialises it once and forks for each utterance. It runs as a file, without
other packages of the project.

Standard input: JSON lines with text, voice, rate (words per minute) and words. Standard output, for
each: a JSON line with error, or with rate (Hz), samples (count), events (kind, position, sample,
name) and spelled (phonemes by word), then the samples as int16.
"""

import ctypes as c
import json
import os
import sys
from typing import Any

LIBRARY = "libespeak-ng.so.1"
_SYNCHRONOUS, _PHONEME_EVENTS, _UTF8, _END = 2, 1, 1, 0
_RATE_PARAMETER = 1


class _EventId(c.Union):
    _fields_ = (("number", c.c_int), ("string", c.c_char * 8))


class _Event(c.Structure):
    _fields_ = (
        ("type", c.c_int),
        ("unique", c.c_uint),
        ("position", c.c_int),
        ("length", c.c_int),
        ("milliseconds", c.c_int),
        ("sample", c.c_int),
        ("user", c.c_void_p),
        ("id", _EventId),
    )


def utter(library: Any, rate: int, job: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Synthesise one utterance; returns the reply and the samples."""
    blocks: list[bytes] = []
    events: list[tuple[int, int, int, str]] = []

    def take(wave: Any, count: int, found: Any) -> int:
        if wave and count:
            blocks.append(c.string_at(wave, 2 * count))
        index = 0
        while found[index].type != _END:
            event = found[index]
            name = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "ignore")
            events.append((event.type, event.position, event.sample, name))
            index += 1
        return 0

    kind = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(_Event))
    callback = kind(take)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(job["voice"].encode()) != 0:
        return {"error": f"expected an espeak-ng voice such as en-us+f3, got {job['voice']!r}"}, b""
    library.espeak_SetParameter(_RATE_PARAMETER, job["rate"], 0)
    c.CDLL(None).srand(1)
    raw = job["text"].encode("ascii", "ignore")
    library.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, _UTF8, None, None)
    samples = b"".join(blocks)
    names = {word: spelled(library, word) for word in job["words"]}
    answer = {"rate": rate, "samples": len(samples) // 2, "events": events, "spelled": names}
    return answer, samples


def spelled(library: Any, word: str) -> str:
    """Phonemes of a word in espeak-ng notation, separated by _ and with stress marks."""
    pointer = c.c_char_p(word.encode())
    return (library.espeak_TextToPhonemes(c.byref(pointer), _UTF8, ord("_") << 8) or b"").decode(
        "utf-8", "ignore"
    )


def _answer(library: Any, rate: int, line: bytes) -> None:
    """Synthesise in a fork, so that the state of this process is unchanged."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            answer, samples = utter(library, rate, json.loads(line))
            send(answer, samples)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status != 0:
        send({"error": f"espeak-ng ended with status {status}"}, b"")


def send(answer: dict[str, Any], samples: bytes) -> None:
    """Write one reply."""
    out = sys.stdout.buffer
    out.write(json.dumps(answer).encode() + b"\n" + samples)
    out.flush()


def main() -> int:
    """Serve jobs until the input ends."""
    try:
        library = c.CDLL(LIBRARY)
    except OSError as error:
        send({"error": f"expected the library {LIBRARY}, got {error}; install espeak-ng"}, b"")
        return 1
    library.espeak_TextToPhonemes.restype = c.c_char_p
    rate = int(library.espeak_Initialize(_SYNCHRONOUS, 500, None, _PHONEME_EVENTS))
    if rate <= 0:
        send({"error": "espeak-ng does not start; install espeak-ng-data"}, b"")
        return 1
    for line in sys.stdin.buffer:
        _answer(library, rate, line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
