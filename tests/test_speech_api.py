"""The HTTP door's ears, as programs use them: a real server with a tiny Whisper, OpenAI's SDK, plain HTTP."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests.server import Server, running
from tests.sounds import encoded, noise, picture, save, spoken, tones
from tests.tiny import make_registry
from tests.tiny_whisper import make_whisper

PATH = "/v1/audio/transcriptions"
LIMITS = {"audio_seconds": 20, "audio_megabytes": 1}


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real program with the speech model `tiny`."""
    folder = tmp_path_factory.mktemp("hearing")
    path = make_registry(folder, adapters=("red",), limits=LIMITS)
    make_whisper(folder / "tiny.pt")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["speech"]["models"]["tiny"] = {"model": "tiny.pt", "title": "Tiny"}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    with running(path, tmp_path_factory.mktemp("home"), "--speech", "tiny") as server:
        yield server


@pytest.fixture(scope="module")
def http(hearing: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hearing.url, timeout=120) as http:
        yield http


@pytest.fixture(scope="module")
def clip() -> bytes:
    return spoken("What is the capital of France? Tell me a joke about a computer.")


def silence() -> bytes:
    return encoded(noise(2, 0.0)[None], "wav", 16_000)


def post(http: httpx.Client, content: bytes, name: str = "voice.wav", **fields: Any) -> httpx.Response:
    return http.post(PATH, files={"file": (name, content)}, data={"model": "whisper-1", **fields})


def refused(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    return response.json()["error"]


def test_health_names_the_speech_model(http: httpx.Client) -> None:
    assert http.get("/health").json()["speech"] == "tiny"


def test_openais_sdk_in_every_format(hearing: Server, clip: bytes) -> None:
    with openai.OpenAI(base_url=f"{hearing.url}/v1", api_key="none", max_retries=0, timeout=120) as client:

        def ask(**more: Any) -> Any:
            return client.audio.transcriptions.create(file=("voice.wav", clip), model="tiny", **more)

        text = ask().text
        assert text
        assert ask(response_format="text") == f"{text}\n"
        verbose = ask(response_format="verbose_json", timestamp_granularities=["word", "segment"])
        assert verbose.text == text and verbose.language == "en" and verbose.duration > 2
        assert "".join(segment.text for segment in verbose.segments).strip() == text
        assert verbose.words and all(
            word.start <= word.end and word.confidence <= 1 for word in verbose.words
        )
        assert ask(response_format="verbose_json").words is None
        clock = r"\d\d:\d\d:\d\d{0}\d{{3}} --> \d\d:\d\d:\d\d{0}\d{{3}}\n"
        assert re.match("1\n" + clock.format(","), ask(response_format="srt"))
        assert re.match("WEBVTT\n\n" + clock.format(r"\."), ask(response_format="vtt"))
        with pytest.raises(openai.BadRequestError, match="not known|English only"):
            ask(language="klingon")


def test_every_format_of_file_is_heard_and_equal_ones_alike(http: httpx.Client, clip: bytes) -> None:
    alone = post(http, clip).json()["text"]
    with ThreadPoolExecutor(8) as pool:
        assert {one.json()["text"] for one in pool.map(lambda _: post(http, clip), range(8))} == {alone}
    for name in ("mp3", "webm", "flac"):
        assert post(http, encoded(tones(), name), f"voice.{name}").json() == {"text": ""}


def test_silence_has_no_text(http: httpx.Client) -> None:
    assert post(http, silence()).json() == {"text": ""}
    assert post(http, silence(), response_format="srt").text == ""
    assert post(http, silence(), response_format="vtt").text == "WEBVTT\n"
    verbose = post(http, silence(), response_format="verbose_json").json()
    assert verbose["text"] == "" and verbose["segments"] == [] and verbose["duration"] == 2.0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"hello", "no recording"),
        (picture("image2pipe", "png"), "PNG image"),
        (encoded(tones(0.05), "wav"), "too short"),
        (encoded(tones(), "wav")[:9000], "cut off"),
        (encoded(noise(21)[None], "mp3", 16_000), "too long: over 0.333 minutes"),
    ],
    ids=["empty", "text", "png", "short", "cut", "long"],
)
def test_a_file_that_is_no_recording_gets_400(http: httpx.Client, content: bytes, said: str) -> None:
    error = refused(post(http, content, "voice.mp3"), 400)
    assert said in error["message"]
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        "file",
        "invalid_audio",
    )


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "whisper-9"}, 404, "model"),
        ({"response_format": "docx"}, 400, "response_format"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"temperature": "2"}, 400, "temperature"),
        ({"stream": "true"}, 400, "stream"),
        ({"colour": "red"}, 400, "colour"),
        ({"language": "de"}, 400, "language"),
    ],
)
def test_what_is_wrong_in_the_form_is_named(
    http: httpx.Client, clip: bytes, fields: dict[str, str], status: int, param: str
) -> None:
    assert refused(post(http, clip, **fields), status)["param"] == param


def test_forms_that_are_none(http: httpx.Client, clip: bytes) -> None:
    assert refused(http.post(PATH, data={"model": "tiny"}, files={"other": b"x"}), 400)["param"] == "file"
    assert refused(http.post(PATH, json={}), 415)["code"] == "unsupported_media"
    broken = {"content-type": "multipart/form-data"}
    assert refused(http.post(PATH, content=b"x", headers=broken), 400)["code"] == "invalid_form"
    assert refused(post(http, bytes(1_100_000)), 413)["code"] == "body_too_large"
    foreign = {"origin": "https://elsewhere.example"}
    answer = http.post(PATH, files={"file": clip}, data={"model": "tiny"}, headers=foreign)
    assert refused(answer, 403)["code"] == "foreign_origin"
    own = {"origin": f"http://{http.base_url.netloc.decode()}"}
    assert http.post(PATH, files={"file": clip}, headers=own).status_code == 200


def test_translations(http: httpx.Client, clip: bytes) -> None:
    answer = http.post("/v1/audio/translations", files={"file": clip}, data={"model": "tiny"})
    assert "English only" in refused(answer, 400)["message"]


def test_the_gradio_endpoint(hearing: Server, http: httpx.Client, clip: bytes, tmp_path: Path) -> None:
    client = Client(hearing.url, verbose=False)
    file = handle_file(save(tmp_path, "voice.wav", clip))
    heard = client.predict(file, api_name="/transcribe")
    assert heard["text"] == post(http, clip).json()["text"] and heard["language"] == "en"
    assert heard["words"] and heard["seconds"] == heard["duration"]
    with pytest.raises(AppError, match="no recording"):
        client.predict(handle_file(save(tmp_path, "voice.mp3", b"hello")), api_name="/transcribe")
    with pytest.raises(AppError, match="is no file"):
        client.predict("/etc/passwd", api_name="/transcribe")


@pytest.mark.parametrize("meta", [{"meta": {"_type": "gradio.FileData"}}, {}])
def test_no_file_of_the_server_can_be_named(
    http: httpx.Client, hearing: Server, meta: dict[str, Any]
) -> None:
    wav = save(hearing.registry.parent, "secret.wav", encoded(tones(), "wav"))
    data = {"data": [{"path": str(wav), **meta}, None, False]}
    call = http.post("/gradio_api/call/transcribe", json=data).json()["event_id"]
    said = http.get(f"/gradio_api/call/transcribe/{call}").text
    assert "event: error" in said and "seconds" not in said


def test_without_a_model_the_rest_works_and_the_answer_says_why(server: Server, clip: bytes) -> None:
    with httpx.Client(base_url=server.url, timeout=120) as http:
        error = refused(post(http, clip), 503)
        assert error["code"] == "speech_unavailable" and "'base' was never downloaded" in error["message"]
        health = http.get("/health").json()
        assert health["status"] == "ok" and health["speech"] is None
        body = {"model": "red", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
        assert http.post("/v1/chat/completions", json=body).status_code == 200
