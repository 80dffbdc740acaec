"""QuietSound: drops the lines of sound libraries, passes everything else on."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, threading
from exporters.commands.quiet import QuietSound
before = threading.active_count()
with QuietSound():
    os.write(2, b"Expression 'ret' failed in 'pa_linux_alsa.c', line: 1736\\n")
    print("error: one of ours", file=sys.stderr)
    os.write(2, b"ALSA lib pcm.c:2664:(snd_pcm_open_noupdate) Unknown PCM x\\n")
    os.write(2, b"no end of line")
os.write(2, b" behind\\n")
assert threading.active_count() == before
"""


def test_only_the_lines_of_sound_libraries_are_dropped(root: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == "error: one of ours\nno end of line behind\n"


@pytest.mark.posix
def test_a_closed_standard_error(root: Path) -> None:
    program = "from exporters.commands.quiet import QuietSound\nwith QuietSound(): print('ok')"
    result = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, program],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "ok\n")
