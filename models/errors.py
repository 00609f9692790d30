"""The one family of errors that a person is meant to read: page, API and command line show the text."""


class TroupeError(Exception):
    """Something a person can mend: the message names the value at fault and the valid choices."""


class RegistryError(TroupeError):
    """adapters.yaml cannot be read, or names something that does not exist."""


class AdapterError(TroupeError):
    """An adapter that cannot be served on this base; the message says why."""


class BaseError(TroupeError):
    """A base model that cannot be loaded."""


class PromptError(TroupeError):
    """A conversation that cannot be turned into tokens."""


class PromptTooLong(PromptError):
    """A conversation that does not fit the context, even without its older turns."""


class Busy(TroupeError):
    """The queue is full. `retry_after` is a guess in seconds."""

    def __init__(self, waiting: int, retry_after: float):
        super().__init__(f"Busy: {waiting} requests are waiting. Try again in {retry_after:.0f} s.")
        self.retry_after = retry_after


class EngineError(TroupeError):
    """The model failed on one request (details are in the log) or the engine is shutting down."""


class AudioError(TroupeError):
    """A file or recording that cannot be listened to; the message says what is wrong with it."""


class SpeechError(TroupeError):
    """No speech model is there, it cannot be loaded, or it failed on one recording (details in the log)."""


class SpeechOptionError(TroupeError):
    """A language or a task that the speech model cannot do; the message names the valid choices."""
