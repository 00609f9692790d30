"""Talking to the page: a real Chromium whose microphone hears a file, real Whispers, and the real program."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from models.audio import RATE, decode
from tests.browser import Visitor, chromium
from tests.server import ROOT, Server, running
from tests.sounds import encoded, spoken
from tests.tiny import make_registry
from tests.tiny_whisper import make_whisper

# Notes what is given to the browser's voices, and has each sentence take a moment.
_VOICES = """() => {
  window.spoken = []; window.cancelled = 0;
  speechSynthesis.getVoices = () => [{ name: 'Somebody', lang: 'en' }];
  const waiting = [];
  const next = () => setTimeout(() => { waiting.shift()?.onend?.(); if (waiting.length) next(); }, 50);
  speechSynthesis.speak = (one) => {
    window.spoken.push(one.text); waiting.push(one);
    if (waiting.length === 1) next();
  };
  speechSynthesis.cancel = () => { window.cancelled += waiting.length; waiting.length = 0; };
}"""


def recording(file: Path, *parts: float | str) -> Path:
    """A wav of sentences and of pauses in seconds between them."""
    sounds = [
        decode(spoken(part)) if isinstance(part, str) else np.zeros(int(part * RATE), np.float32)
        for part in parts
    ]
    file.write_bytes(encoded(np.concatenate(sounds)[None], "wav", RATE))
    return file


@contextmanager
def talking(server: Server, file: Path, role: str = "", voices: str = _VOICES) -> Iterator[Visitor]:
    """The page in a browser whose microphone hears `file` once."""
    switches = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}%noloop",
    )
    with chromium(*switches) as browser:
        visitor = Visitor(browser, server.url)
        visitor.page.evaluate(voices)
        if role:
            visitor.role(role)
        yield visitor
        assert (visitor.foreign, visitor.errors) == ([], [])
        visitor.leave()


def plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z']+", text.lower()))


def wait_for(visitor: Visitor, condition: str) -> None:
    visitor.page.wait_for_function(f"() => {condition}")


def wait_until_spoken(visitor: Visitor, text: str) -> None:
    """Sentence by sentence, it was given to the browser's voices."""
    for _ in range(100):
        if plain(text) in plain(" ".join(visitor.page.evaluate("window.spoken"))):
            return
        visitor.page.wait_for_timeout(100)
    pytest.fail(f"{visitor.page.evaluate('window.spoken')} was spoken, not {text!r}")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """What ships: the embedded base, its adapters, and the embedded Whisper."""
    with running(ROOT / "adapters.yaml", tmp_path_factory.mktemp("home")) as started:
        yield started


@pytest.fixture(scope="module")
def gibberish(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A tiny base, and a Whisper of random weights: its words are never sure."""
    folder = tmp_path_factory.mktemp("gibberish")
    path = make_registry(folder)
    unsure = torch.load(make_whisper(folder / "sure.pt"), weights_only=True)
    unsure["model_state_dict"]["decoder.ln.weight"] *= 0.4
    torch.save(unsure, folder / "tiny.pt")
    content = yaml.safe_load(path.read_text())
    content["speech"] = {"default": "tiny", "models": {"tiny": {"model": "tiny.pt", "title": "Gibberish"}}}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with running(path, folder / "home") as started:
        yield started


def test_what_is_said_is_written_while_it_is_said_sent_answered_and_spoken(
    embedded: Server, tmp_path: Path
) -> None:
    file = recording(tmp_path / "q.wav", 1.0, "What does the red heart emoji mean?", 30.0)
    with talking(embedded, file, role="Emoji") as visitor:
        page = visitor.page
        page.click("#speak")
        page.click("#talk")
        wait_for(visitor, "document.querySelector('#message textarea').value.length > 4")
        assert page.get_attribute("#talk", "aria-pressed") == "true"  # words came while it still listened
        wait_for(visitor, "/mean/i.test(document.querySelector('#message textarea').value)")
        page.click("#talk")
        wait_for(visitor, "!/Listening|Writing/.test(document.querySelector('#heard').innerText)")
        assert plain(visitor.box()) == "what does the red heart emoji mean"
        page.press("#message textarea", "Enter")
        visitor.wait(1)
        assert visitor.footers()[0].startswith("Emoji")
        wait_until_spoken(visitor, visitor.answers()[0])


def test_hands_free_over_two_turns(embedded: Server, tmp_path: Path) -> None:
    file = recording(
        tmp_path / "two.wav", 1.5, "Tell me a joke about a cat.", 9.0, "What is the capital of France?", 60.0
    )
    with talking(embedded, file) as visitor:
        visitor.page.click("#hands-free")
        visitor.wait(2)
        assert [plain(text) for text in visitor.questions()] == [
            "tell me a joke about a cat",
            "what is the capital of france",
        ]
        for answer in visitor.answers():
            wait_until_spoken(visitor, answer)
        wait_for(visitor, "document.querySelector('#heard').innerText === 'Listening…'")
        assert visitor.box() == ""


def test_speaking_interrupts_the_answer(embedded: Server, tmp_path: Path) -> None:
    file = recording(tmp_path / "barge.wav", 1.0, "Tell me a story about a dog.", 6.0, "Please stop.", 60.0)
    slow = _VOICES.replace(", 50)", ", 60000)")
    with talking(embedded, file, voices=slow) as visitor:
        visitor.page.click("#hands-free")
        wait_for(visitor, "window.spoken.some(Boolean)")
        wait_for(visitor, "window.cancelled > 0")
        visitor.wait(2)
        assert "stop" in visitor.questions()[1].lower()


def test_the_server_speaks_where_the_browser_has_no_voices(gibberish: Server, tmp_path: Path) -> None:
    with talking(gibberish, recording(tmp_path / "nothing.wav", 1.0), voices="() => {}") as visitor:
        visitor.page.click("#speak")
        with visitor.page.expect_response(
            lambda answer: answer.url.endswith("/v1/audio/speech")
        ) as spoken_by:
            visitor.ask("Hello")
        assert spoken_by.value.status == 200 and spoken_by.value.headers["content-type"] == "audio/wav"


def test_unsure_words_are_marked_and_lead_to_their_place(gibberish: Server, tmp_path: Path) -> None:
    file = recording(tmp_path / "q.wav", 0.5, "Tell me a joke about a cat.", 30.0)
    with talking(gibberish, file) as visitor:
        visitor.page.click("#talk")
        wait_for(visitor, "document.querySelector('#message textarea').value.length > 0")
        visitor.page.click("#talk")
        visitor.page.locator("#heard .unsure").first.wait_for()
        word = visitor.page.locator("#heard .unsure").first.inner_text()
        visitor.page.locator("#heard .unsure").first.click()
        assert visitor.page.evaluate("getSelection().toString()") == word


def test_silence_is_told(gibberish: Server, tmp_path: Path) -> None:
    with talking(gibberish, recording(tmp_path / "nothing.wav", 30.0)) as visitor:
        visitor.page.click("#talk")
        wait_for(visitor, "document.querySelector('#heard').innerText.startsWith('Listening')")
        visitor.page.wait_for_timeout(1500)
        visitor.page.click("#talk")
        wait_for(visitor, "document.querySelector('#heard').innerText === 'No speech was heard.'")
        assert visitor.box() == ""


def test_a_recording_is_uploaded(gibberish: Server, tmp_path: Path) -> None:
    file = recording(tmp_path / "q.wav", 0.3, "Tell me a joke about a cat.", 0.3)
    silent = recording(tmp_path / "nothing.wav", 2.0)
    with talking(gibberish, silent) as visitor:
        page = visitor.page
        page.fill("#message textarea", "Before")
        page.set_input_files("#recording input[type=file]", str(file))
        wait_for(visitor, "/^Before .+/.test(document.querySelector('#message textarea').value)")
        page.set_input_files("#recording input[type=file]", str(silent))
        page.get_by_text("No speech was heard in this recording.").wait_for()
        picture = tmp_path / "picture.mp3"
        picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
        page.set_input_files("#recording input[type=file]", str(picture))
        page.get_by_text("This is no recording but a PNG image.").wait_for()
        assert visitor.box().startswith("Before ")


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        ("() => {}", "The browser refuses the microphone"),
        ("() => { delete Navigator.prototype.mediaDevices }", "https:// or localhost only"),
        (
            "() => { MediaDevices.prototype.getUserMedia = () => Promise.reject({name: 'NotFoundError'}) }",
            "No microphone was found",
        ),
    ],
)
def test_a_microphone_that_cannot_be_had_is_told(gibberish: Server, prepare: str, told: str) -> None:
    with chromium("--deny-permission-prompts", "--use-fake-device-for-media-stream") as browser:
        visitor = Visitor(browser, gibberish.url)
        visitor.page.evaluate(prepare)
        visitor.page.click("#talk")
        visitor.page.locator("#heard", has_text=told).wait_for()
        assert visitor.page.get_attribute("#talk", "aria-pressed") == "false"


def test_without_a_speech_model_the_page_says_so(server: Server) -> None:
    with chromium() as browser:
        visitor = Visitor(browser, server.url)
        assert visitor.page.is_disabled("#talk") and visitor.page.is_disabled("#hands-free")
        assert "Talking is not possible here" in visitor.page.inner_text("#heard")
