"""TextStream: tokens of one answer -> text that may be shown, cut at the first stop string."""

from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase


class TextStream:
    """Holds back what is not certain yet: half an emoji, or what may become a stop string."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, before: list[int], stop: tuple[str, ...] = ()):
        # `before` (the prompt's last ids) lets a tokenizer that writes spaces in front of words keep them
        self._decoder = DecodeStream(ids=before, skip_special_tokens=True)
        self._tokenizer = tokenizer.backend_tokenizer
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """The text that this token sets free, possibly none. `stopped` tells that a stop string came."""
        self._held += self._decoder.step(self._tokenizer, token) or ""
        found = [at for text in self._stop if (at := self._held.find(text)) >= 0]
        if found:
            self.stopped = True
            free, self._held = self._held[: min(found)], ""
            return free
        keep = max((_overlap(self._held, text) for text in self._stop), default=0)
        free = self._held[: len(self._held) - keep]
        self._held = self._held[len(free) :]
        return free

    def rest(self) -> str:
        """What is still held back when the answer ends otherwise."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
