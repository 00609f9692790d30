"""Texts that the server speaks: espeak-ng's own voices, and OpenAI's form of asking for them."""

import wave
from io import BytesIO

import httpx
import pytest
from openai import OpenAI

from models.audio import RATE, decode
from models.errors import SpeechError, SpeechOptionError
from models.speaker import LONGEST, Speaker
from tests.needs import needs
from tests.server import Server


@pytest.fixture(scope="module", autouse=True)
def _program() -> None:
    needs("espeak-ng")


def test_a_text_becomes_a_wav_of_the_right_length() -> None:
    speaker = Speaker()
    assert speaker.unavailable is None and speaker.voices[0] == "en-us" and "en-gb" in speaker.voices
    assert not any("mb-" in name for name in speaker.voices)
    usual, fast = (speaker.speak("Hello there, how are you today?", speed=speed) for speed in (1.0, 2.0))
    with wave.open(BytesIO(usual)) as told:  # its header says how long it is
        seconds = told.getnframes() / told.getframerate()
    assert seconds == pytest.approx(len(decode(usual)) / RATE, abs=0.05) and 1 < seconds < 4
    assert len(fast) < 0.75 * len(usual)
    assert speaker.speak("Hello there.", "en-gb") != speaker.speak("Hello there.", "en-us")


def test_nothing_in_a_text_is_a_switch_or_a_command() -> None:
    speaker = Speaker()
    for text in (
        "-w /tmp/out.wav",
        "--help",
        "$(id)",
        "a\0b",
        "\x01200p",
        "[[h@]]",
        "<speak>a</speak>",
        "\n\n.",
        "x" * LONGEST,
    ):
        assert speaker.speak(text).startswith(b"RIFF")
    # to espeak-ng these would be a change of speed, and sounds instead of letters
    assert speaker.speak("\x01300SHello there") == speaker.speak(" 300SHello there")
    assert speaker.speak("[[h@l'oU]]") == speaker.speak("[ [h@l'oU]]")
    with pytest.raises(SpeechOptionError, match="voice: '--help' is not known. Valid choices: en-us, "):
        speaker.speak("Hello", "--help")


def test_without_the_program_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    speaker = Speaker()
    assert (
        speaker.unavailable
        == "This server has no voices: the program espeak-ng is not installed, or has none."
    )
    with pytest.raises(SpeechError, match="no voices"):
        speaker.speak("Hello")


def test_openais_client_is_spoken_to(server: Server) -> None:
    client = OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    spoken = client.audio.speech.create(
        model="espeak-ng", voice="alloy", input="Hello there.", response_format="wav", speed=1.5
    )
    assert len(decode(spoken.content)) > 0.3 * RATE and spoken.response.headers["content-type"] == "audio/wav"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input": ""}, "input: '' is not valid"),
        ({"input": "x" * (LONGEST + 1)}, "input: "),
        ({"voice": "nobody"}, "voice: 'nobody' is not known. Valid choices: en-us"),
        ({"speed": 9}, "speed: 9 is not valid"),
        ({"response_format": "mp3"}, "response_format: 'mp3' is not valid"),
        ({"instructions": "sing"}, "instructions is not supported"),
    ],
)
def test_what_cannot_be_spoken_is_refused_by_name(server: Server, changed: dict, message: str) -> None:
    answer = httpx.post(f"{server.url}/v1/audio/speech", json={"input": "Hello"} | changed)
    assert answer.status_code == 400 and message in answer.json()["error"]["message"]
