"""emage-live --mic on a real PortAudio microphone: speech that is played moves the avatar."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.bundle.io import DEMO_SOUND, save_bundle
from engine.motion.pose import FrameFlag, PoseFrame
from exporters.commands import live
from exporters.websocket_client import WebSocketClient
from tests.support.tiny_bundle import tiny_bundle

pytestmark = pytest.mark.audio_device


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundle")
    save_bundle(tiny_bundle(), directory)
    return directory


def test_played_speech_moves_the_avatar(model: Path, sound_card) -> None:
    command = [sys.executable, "-m", "exporters.commands.live", "--mic", "--ws", "127.0.0.1:0"]
    command += ["--model", str(model), "--duration", "6", "--json", "--play"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = next(line for line in process.stdout if line.startswith("websocket:"))
    speech = sound_card.play(DEMO_SOUND)
    flags = []
    with WebSocketClient(line.split()[1]) as client:
        while len(flags) < 150:
            message = client.receive(10)
            assert message is not None
            if isinstance(message, PoseFrame):
                flags.append(message.flags)
        output, _ = process.communicate(timeout=30)
    speech.terminate()
    report = json.loads(output.strip().splitlines()[-1])
    assert process.returncode == 0
    assert report["frames"] == 180
    assert re.search(r"sound after motion", output)
    voiced = [flag for flag in flags if not flag & FrameFlag.IDLE]
    assert len(voiced) > 30, "the speech was not detected"


def test_list_devices(sound_card, capsys) -> None:
    assert live.main(["--list-devices"]) == 0
    assert "Hz" in capsys.readouterr().out


def test_an_unknown_device_names_those_there_are(model: Path, sound_card, capsys) -> None:
    assert live.main(["--mic", "no such thing", "--model", str(model)]) == 2
    assert "no such thing" in capsys.readouterr().err


def test_without_any_device_the_error_names_the_remedy(model: Path, sound_card, capsys) -> None:
    sound_card.stop()
    assert live.main(["--mic", "--model", str(model)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_lost_microphone_is_reported_in_one_note(model: Path, sound_card) -> None:
    command = [sys.executable, "-m", "exporters.commands.live", "--mic", "--ws", "127.0.0.1:0"]
    command += ["--model", str(model), "--duration", "5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = next(line for line in process.stdout if line.startswith("websocket:"))
    with WebSocketClient(line.split()[1]) as client:
        while not isinstance(client.receive(10), PoseFrame):
            pass
        sound_card.stop()
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.count("went away; it is tried again every second") == 1
    assert "'lost_device': 1" in output
    assert errors == ""
