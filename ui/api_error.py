"""ApiError: everything that goes wrong on the HTTP door, in OpenAI's form. Nothing else reaches a client."""

import logging
import math
from typing import Any

from fastapi.responses import JSONResponse

from models.errors import (
    AdapterError,
    AudioError,
    Busy,
    PromptError,
    PromptTooLong,
    SpeechError,
    SpeechOptionError,
    TroupeError,
)

log = logging.getLogger(__name__)


class ApiError(Exception):
    """A status, a message for people, the parameter at fault, and a code for programs."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.headers = headers

    @classmethod
    def of(cls, error: Exception) -> "ApiError":
        """The same for any exception: what a person may read is passed on, the rest goes to the log only."""
        match error:
            case ApiError():
                return error
            case Busy():
                wait = {"Retry-After": str(math.ceil(error.retry_after))}
                return cls(429, str(error), code="queue_full", headers=wait)
            case PromptTooLong():
                return cls(400, str(error), param="messages", code="context_length_exceeded")
            case PromptError():
                return cls(400, str(error), param="messages", code="invalid_prompt")
            case AdapterError():
                # trying again, as clients do after a 503, does not mend an adapter
                again = {"x-should-retry": "false"}
                return cls(503, str(error), param="model", code="adapter_unavailable", headers=again)
            case AudioError():
                return cls(400, str(error), param="file", code="invalid_audio")
            case SpeechOptionError():
                param = "voice" if str(error).startswith("voice:") else "language"
                return cls(400, str(error), param=param, code="invalid_value")
            case SpeechError():
                again = {"x-should-retry": "false"}
                return cls(503, str(error), param="model", code="speech_unavailable", headers=again)
            case TroupeError():
                return cls(500, str(error), code="engine_error")
        log.error("a request failed", exc_info=error)
        return cls(500, "The server failed on this request. Details are in its log.", code="internal_error")

    @property
    def body(self) -> dict[str, Any]:
        kinds = {429: "rate_limit_error"} | dict.fromkeys((500, 503), "server_error")
        return {
            "error": {
                "message": str(self),
                "type": kinds.get(self.status, "invalid_request_error"),
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, headers=self.headers)
