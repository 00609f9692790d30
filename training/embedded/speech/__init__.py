"""How models/embedded/whisper is made from nothing: `make_whisper`."""

from training.embedded.speech.make import make_whisper

__all__ = ["make_whisper"]
