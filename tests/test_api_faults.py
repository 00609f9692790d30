"""The HTTP door when something behind it breaks: the routes in process, over a stage with planted faults."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from models.registry import Registry
from models.stage import Stage
from tests.tiny import make_registry
from ui.api import api_router

BODY = {"model": "red", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 6}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """`red` is sound, `blue` was cut off in a download."""
    file = make_registry(tmp_path_factory.mktemp("faults"), others=("qwen2",))
    weights = file.parent / "tiny-blue" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    stage = Stage(Registry.load(file))
    yield stage
    stage.close()


@pytest.fixture
def client(stage: Stage) -> Iterator[TestClient]:
    with TestClient(FastAPI(routes=api_router(stage).routes)) as client:
        yield client


@contextmanager
def planted(stage: Stage, sound_steps: int) -> Iterator[None]:
    """Meanwhile the model fails after so many steps."""
    steps = iter(range(sound_steps))

    def fail(*_: object) -> None:
        if next(steps, None) is None:
            raise RuntimeError("planted")

    handle = stage.engine.base.model.get_decoder().layers[1].register_forward_pre_hook(fail)
    try:
        yield
    finally:
        handle.remove()


def test_a_broken_adapter_is_listed_with_its_reason_and_refused(client: TestClient) -> None:
    base, red, blue = client.get("/v1/models").json()["data"]
    assert base["available"] and red["available"]
    assert not blue["available"] and "safetensors" in blue["reason"]
    assert client.get("/health").json()["adapters"] == ["red"]
    response = client.post("/v1/chat/completions", json=BODY | {"model": "blue"})
    assert response.status_code == 503
    assert response.headers["x-should-retry"] == "false"
    error = response.json()["error"]
    assert error["code"] == "adapter_unavailable" and blue["reason"] in error["message"]
    assert client.post("/v1/chat/completions", json=BODY).status_code == 200


def test_a_failure_of_the_model_is_a_500_without_its_trace(client: TestClient, stage: Stage) -> None:
    right = client.post("/v1/chat/completions", json=BODY).json()["choices"]
    with planted(stage, sound_steps=0):
        response = client.post("/v1/chat/completions", json=BODY)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "planted" not in response.text and "Traceback" not in response.text
    assert client.post("/v1/chat/completions", json=BODY).json()["choices"] == right


def test_a_failure_in_mid_stream_ends_it_with_an_error_and_not_done(client: TestClient, stage: Stage) -> None:
    with planted(stage, sound_steps=3):
        response = client.post("/v1/chat/completions", json=BODY | {"stream": True})
    assert response.status_code == 200
    *pieces, last = [json.loads(line[6:]) for line in response.text.split("\n\n") if line]
    assert all(piece["choices"] for piece in pieces)
    assert last["error"]["code"] == "engine_error"
    assert "planted" not in response.text


def test_what_nobody_foresaw_is_logged_and_not_told(
    client: TestClient, stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stage.engine, "base", None)
    response = client.post("/v1/chat/completions", json=BODY)
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "NoneType" not in response.text and "NoneType" in caplog.text


def test_another_base_is_served_once_it_is_on(client: TestClient, stage: Stage) -> None:
    before = client.post("/v1/chat/completions", json=BODY).json()["choices"]
    stage.switch("qwen2")
    try:
        assert client.get("/health").json()["base"] == "qwen2"
        assert client.get("/health").json()["adapters"] == ["red", "blue"]
        assert client.post("/v1/chat/completions", json=BODY).json()["choices"] != before
    finally:
        stage.switch("tiny")
    assert client.post("/v1/chat/completions", json=BODY).json()["choices"] == before
