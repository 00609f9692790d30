"""The page's named endpoints, through gradio_client as programs use them."""

from collections.abc import Iterator

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.server import Server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    yield Client(server.url, verbose=False)


def test_chat_streams_and_a_role_changes_the_answer(client: Client) -> None:
    job = client.submit("Hello there", "red", api_name="/chat")
    pieces = list(job)
    assert len(pieces) >= 2 and all(b.startswith(a) for a, b in zip(pieces, pieces[1:], strict=False))
    assert client.predict(message="Hello there", role="red", api_name="/chat") == pieces[-1]
    assert client.predict(message="Hello there", role="blue", api_name="/chat") != pieces[-1]


def test_compare_gives_what_each_role_gives_alone(client: Client) -> None:
    alone = [client.predict("Hello there", role, api_name="/chat") for role in ("red", "blue")]
    assert list(client.predict("Hello there", "red", "blue", 7, api_name="/compare")) == alone


def test_a_role_that_is_not_there_is_named_with_those_that_are(client: Client) -> None:
    with pytest.raises(AppError, match="'nope'.*red, blue"):
        client.predict("Hello", "nope", api_name="/chat")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"message": None}, "message: None is no text"),
        ({"message": 7}, "message: 7 is no text"),
        ({"message": "Hi", "role": ["red"]}, "role: .* is no text"),
        ({"message": "Hi", "seed": "one"}, "seed: 'one' is no whole number"),
        ({"message": "Hi", "seed": True}, "seed: True is no whole number"),
    ],
)
def test_values_of_another_type_are_named(client: Client, given: dict[str, object], said: str) -> None:
    with pytest.raises(AppError, match=said):
        client.predict(**given, api_name="/chat")


def test_only_these_are_offered(client: Client) -> None:
    offered = client.view_api(return_format="dict", print_info=False)
    assert (
        set(offered["named_endpoints"]) == {"/chat", "/compare", "/transcribe"}
        and not offered["unnamed_endpoints"]
    )
