"""OpenAI's chat completion form: a JSON body -> Completion -> ChatRequest, and chunks -> JSON.

What this server cannot do is refused by name, never ignored: an answer that silently is not what was asked
for is worse than an error.
"""

import json
import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, from_json

from models.request import ChatRequest, Message, Sampling, Usage
from ui.api_error import ApiError

# What clients send for bookkeeping; no answer depends on it.
_HARMLESS = {
    "user",
    "metadata",
    "safety_identifier",
    "service_tier",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
}
# Parameters that are supported only where they change nothing, which some clients always send.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "store": (False,),
}


def _text(content: Any) -> Any:
    """A list of text parts is the text that they make."""
    if not isinstance(content, list):
        return content
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind != "text" or not isinstance(part.get("text"), str):
            raise ValueError(f"a part must be {{'type': 'text', 'text': '...'}}; this one is {kind!r}")
    return "\n".join(part["text"] for part in content)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _ChatMessage(_Strict):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_text)]

    def plain(self) -> Message:
        return Message(role="system" if self.role == "developer" else self.role, content=self.content)


class _StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class Completion(_Strict):
    """The body of POST /v1/chat/completions. Sampling is kept apart: its defaults are the adapter's."""

    model: str
    messages: list[_ChatMessage]
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Annotated[
        list[Annotated[str, Field(min_length=1)]],
        Field(max_length=4),
        BeforeValidator(lambda stop: [stop] if isinstance(stop, str) else stop),
    ] = []
    sampling: dict[str, Any] = {}

    @classmethod
    def parse(cls, body: bytes) -> "Completion":
        """ApiError 400 names the parameter at fault."""
        given = {name: value for name, value in _object(body).items() if value is not None}
        given = {
            name: value
            for name, value in given.items()
            if name not in _HARMLESS and value not in _NEUTRAL.get(name, ())
        }
        if "max_completion_tokens" in given:  # OpenAI's newer name for it
            given["max_tokens"] = given.pop("max_completion_tokens")
        supported = (set(cls.model_fields) - {"sampling"}) | set(Sampling.model_fields)
        for name in given.keys() - supported:
            raise ApiError(
                400,
                f"{name!r} is not supported{_only(name)}. Supported: {', '.join(sorted(supported))}.",
                param=name,
                code="unsupported_parameter",
            )
        sampling = {name: given.pop(name) for name in Sampling.model_fields if name in given}
        try:
            if isinstance(messages := given.get("messages"), list):
                given["messages"] = [_without_nulls(message) for message in messages]
            return cls.model_validate(given | {"sampling": sampling})
        except ValidationError as error:
            raise refusal(error) from None

    def request(self, adapters: dict[str, float], defaults: Sampling, most: int) -> ChatRequest:
        """What the engine is asked: `defaults` with the body's sampling over them, `most` tokens at most."""
        own = defaults.model_dump() | {"max_tokens": min(defaults.max_tokens, most)}
        try:
            sampling = Sampling.model_validate(own | self.sampling, strict=True)
        except ValidationError as error:
            raise refusal(error) from None
        if sampling.max_tokens > most:
            raise ApiError(
                400,
                f"max_tokens: {sampling.max_tokens} is more than this server gives; the most is {most}.",
                param="max_tokens",
                code="invalid_value",
            )
        messages = tuple(message.plain() for message in self.messages)
        return ChatRequest(messages, adapters, sampling, self.seed, tuple(self.stop))


@dataclass(frozen=True)
class Reply:
    """One answer on its way out: the fields that all of its JSON objects share."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, finish: str | None, usage: Usage | None) -> dict[str, Any]:
        """The object `chat.completion`."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion", [choice]) | {"usage": usage_json(usage)}

    def piece(self, delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        """An object `chat.completion.chunk` with a piece of the answer."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion.chunk", [choice])

    def cost(self, usage: Usage | None) -> dict[str, Any]:
        """The chunk that has no choices, only the usage."""
        return self._object("chat.completion.chunk", []) | {"usage": usage_json(usage)}

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        head = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return head | {"system_fingerprint": None, "choices": choices}


def usage_json(usage: Usage | None) -> dict[str, Any] | None:
    """OpenAI's three counts, with what else the engine measured beside them."""
    return usage and asdict(usage) | {"total_tokens": usage.prompt_tokens + usage.completion_tokens}


def _object(body: bytes) -> dict[str, Any]:
    try:
        # stricter than json.loads: no NaN, no half surrogates, no nesting without end
        parsed = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, f"The body is not valid JSON: {error}", code="invalid_json") from None
    if not isinstance(parsed, dict):
        raise ApiError(
            400, "The body must be a JSON object with 'model' and 'messages'.", code="invalid_json"
        )
    return parsed


def _without_nulls(message: Any) -> Any:
    """The SDK sends an answer back with `refusal`, `tool_calls` and so on, all null."""
    if not isinstance(message, dict):
        return message
    return {name: value for name, value in message.items() if value is not None}


def _only(name: str) -> str:
    if name not in _NEUTRAL:
        return ""
    return f" (only {' or '.join(json.dumps(value) for value in _NEUTRAL[name])})"


def refusal(error: ValidationError) -> ApiError:
    """The first of pydantic's errors, for whoever wrote the request."""
    first: ErrorDetails = error.errors()[0]
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])[1:]
    match first["type"]:
        case "missing":
            return ApiError(400, f"{param} is required.", param=param, code="missing_parameter")
        case "extra_forbidden":
            return ApiError(400, f"{param} is not supported.", param=param, code="unsupported_parameter")
    value = repr(first["input"])
    value = value if len(value) <= 60 else f"{value[:57]}..."
    return ApiError(400, f"{param}: {value} is not valid: {first['msg']}.", param=param, code="invalid_value")
