"""espeak-ng worker as a file: one reply per line, also after an unknown voice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from training.speech import espeak_worker as espeak_child


@pytest.mark.synthesis
def test_it_answers_jobs_and_ends_with_its_input() -> None:
    good = {"text": "One two.", "voice": "en-us", "rate": 160, "words": ["one"]}
    jobs = [good, {**good, "voice": "nobody"}, good]
    result = subprocess.run(
        [sys.executable, "-I", "-S", str(Path(espeak_child.__file__))],
        input="".join(json.dumps(job) + "\n" for job in jobs).encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    rest, answers = result.stdout, []
    for _ in jobs:
        line, _, rest = rest.partition(b"\n")
        answer = json.loads(line)
        size = 2 * answer.get("samples", 0)
        answers.append((answer, rest[:size]))
        rest = rest[size:]
    assert rest == b""
    assert answers[0] == answers[2]
    assert answers[0][0]["samples"] > 5000
    assert answers[0][0]["spelled"]["one"].startswith("w")
    assert "nobody" in answers[1][0]["error"]
