"""VoiceDetector: where somebody speaks. Whisper makes up words for silence and noise, so it never hears them.

The network is Silero's (MIT, the weights come with the package `silero-vad`), run here on all frames at once.
The package itself is not imported: at import it sets the threads of the whole process to one.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from models.audio import RATE

FRAME = 512  # samples, 32 ms
_CONTEXT = 64  # samples of the frame before, which the network sees again
_STRIDES = (1, 2, 2, 1)  # of the four convolutions between spectrum and LSTM
_BLOCK = 2048  # frames at once, so that an hour needs no more memory than a minute
_BEGINS, _GOES_ON = 0.5, 0.35  # probabilities: a voice that is heard is followed further down
_SHORTEST = 0.16  # seconds of voice; a click or a knock is shorter than "yes"
_PAUSE = 0.3  # seconds; a shorter gap is inside of a sentence
_MARGIN = 0.3  # seconds kept around a voice: words begin and end softly


@dataclass(frozen=True)
class Span:
    """A stretch of a recording, in samples."""

    start: int
    end: int


class VoiceDetector:
    """Loads in a few milliseconds; may be used from many threads at once."""

    def __init__(self) -> None:
        # not the package's safetensors: those are other weights than the released network's
        weights = torch.jit.load(weights_file(), map_location="cpu").state_dict()
        self._spectrum = weights["_model.stft.forward_basis_buffer"]
        self._encoder = [
            (
                weights[f"_model.encoder.{i}.reparam_conv.weight"],
                weights[f"_model.encoder.{i}.reparam_conv.bias"],
            )
            for i in range(len(_STRIDES))
        ]
        self._last = (weights["_model.decoder.decoder.2.weight"], weights["_model.decoder.decoder.2.bias"])
        self._lstm = torch.nn.LSTM(128, 128)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self._lstm.load_state_dict({f"{name}_l0": weights[f"_model.decoder.rnn.{name}"] for name in names})

    @torch.inference_mode()
    def probabilities(self, audio: np.ndarray) -> np.ndarray:
        """The probability of a voice in each frame, [n / 512 rounded up], of 16 kHz samples [n]."""
        count = -(-len(audio) // FRAME)
        padded = F.pad(torch.from_numpy(audio), (_CONTEXT, count * FRAME - len(audio)))
        frames = padded.unfold(0, FRAME + _CONTEXT, FRAME)
        state, found = None, []
        for block in frames.split(_BLOCK):
            hidden, state = self._lstm(self._features(block)[:, None], state)
            last = F.conv1d(hidden[:, 0, :, None].relu(), *self._last)
            found.append(last.sigmoid().flatten())
        return torch.cat(found).numpy()

    def spans(self, audio: np.ndarray, longest: int, gap: float = 0.0) -> list[Span]:
        """Where somebody speaks, with a margin, in order and apart from each other.

        None has more than `longest` samples: a longer one is cut where a voice is least likely. Those no more
        than `gap` seconds apart are one, where that is short enough.
        """
        probabilities = self.probabilities(audio)
        frames = longest // FRAME
        voiced = _joined(_voiced(probabilities), _frames(_PAUSE))
        kept = [(start, end) for start, end in voiced if end - start >= _frames(_SHORTEST)]
        margin, count = _frames(_MARGIN), len(probabilities)
        wide = _joined([(max(0, start - margin), min(end + margin, count)) for start, end in kept], 0)
        short = [piece for span in wide for piece in _pieces(*span, probabilities, frames)]
        together = _joined(short, _frames(gap), frames) if gap else short
        return [Span(start * FRAME, min(end * FRAME, len(audio))) for start, end in together]

    def _features(self, frames: torch.Tensor) -> torch.Tensor:
        """[frames, 576] -> [frames, 128]."""
        x = F.pad(frames, (0, 64), "reflect")[:, None]
        x = F.conv1d(x, self._spectrum, stride=128)
        x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
        for (weight, bias), stride in zip(self._encoder, _STRIDES, strict=True):
            x = F.conv1d(x, weight, bias, stride=stride, padding=1).relu()
        return x.squeeze(-1)


def weights_file() -> Path:
    """Silero's released network, inside of the installed package."""
    return Path(find_spec("silero_vad").submodule_search_locations[0]) / "data" / "silero_vad.jit"


def _voiced(probabilities: np.ndarray) -> list[tuple[int, int]]:
    """[start, end) of the frames with a voice."""
    spans, start = [], None
    for at, probability in enumerate(probabilities):
        if start is None and probability >= _BEGINS:
            start = at
        elif start is not None and probability < _GOES_ON:
            spans.append((start, at))
            start = None
    return spans if start is None else [*spans, (start, len(probabilities))]


def _joined(spans: list[tuple[int, int]], gap: int, longest: int | None = None) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        near = joined and start - joined[-1][1] <= gap
        if near and (longest is None or end - joined[-1][0] <= longest):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _pieces(start: int, end: int, probabilities: np.ndarray, longest: int) -> list[tuple[int, int]]:
    """The span, cut in the last third of each stretch of `longest` frames."""
    pieces = []
    while end - start > longest:
        from_, to = start + longest * 2 // 3, start + longest
        cut = from_ + int(probabilities[from_:to].argmin())
        pieces.append((start, cut))
        start = cut
    return [*pieces, (start, end)]


def _frames(seconds: float) -> int:
    return round(seconds * RATE / FRAME)
