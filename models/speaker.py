"""Speaker: text -> speech, by the program espeak-ng where it is installed. Small, offline, many voices."""

import logging
import shutil
import struct
import subprocess

from models.errors import SpeechError, SpeechOptionError

log = logging.getLogger(__name__)

LONGEST = 4096  # characters
_PROGRAM = "espeak-ng"
_WORDS = 165  # per minute, at speed 1
_SECONDS = 20.0  # after which a text is given up


class Speaker:
    """May be used from many threads at once."""

    def __init__(self) -> None:
        self._program = shutil.which(_PROGRAM)
        self.voices = self._voices() if self._program else ()

    @property
    def unavailable(self) -> str | None:
        """Why nothing can be spoken here."""
        if self.voices:
            return None
        return f"This server has no voices: the program {_PROGRAM} is not installed, or has none."

    def speak(self, text: str, voice: str | None = None, speed: float = 1.0) -> bytes:
        """A wav file of the text. Raises SpeechError, or SpeechOptionError for a voice that there is not."""
        if not self.voices:
            raise SpeechError(self.unavailable)
        voice = voice or self.voices[0]
        if voice not in self.voices:
            raise SpeechOptionError(
                f"voice: {voice!r} is not known. Valid choices: {', '.join(self.voices)}."
            )
        command = [self._program, "--stdin", "--stdout", "-v", voice, "-s", str(round(_WORDS * speed))]
        # control characters and [[ are commands to espeak-ng, and each line ends in a long pause
        plain = "".join(letter if letter.isprintable() else " " for letter in text).replace("[[", "[ [")
        given = " ".join(plain.split())
        try:
            done = subprocess.run(
                command, input=given.encode(), capture_output=True, check=True, timeout=_SECONDS
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise SpeechError(f"{_PROGRAM} could not speak this text: {error}") from error
        return _with_sizes(done.stdout)

    def _voices(self) -> tuple[str, ...]:
        """Names of the English voices; American English first, which most visitors will expect."""
        listed = subprocess.run(
            [self._program, "--voices=en"], capture_output=True, text=True, timeout=_SECONDS
        )
        rows = [line.split() for line in listed.stdout.splitlines()[1:]]
        # those of mbrola are listed whether or not they are installed
        names = {row[1] for row in rows if len(row) > 4 and not row[4].startswith(("mb/", "!v"))}
        return tuple(sorted(names, key=lambda name: (name != "en-us", name)))


def _with_sizes(wav: bytes) -> bytes:
    """espeak-ng writes to a pipe and cannot know how long it will speak; browsers want to."""
    if len(wav) < 44:
        raise SpeechError(f"{_PROGRAM} gave no sound.")
    return b"".join(
        [wav[:4], struct.pack("<I", len(wav) - 8), wav[8:40], struct.pack("<I", len(wav) - 44), wav[44:]]
    )
