"""A tiny real Whisper with random weights, in openai-whisper's own checkpoint form, made in a moment.

Its words are gibberish, but they depend on the sound: enough to see that nothing is mixed up on the way.
"""

from pathlib import Path
from typing import Any

import torch
from whisper.model import ModelDimensions, Whisper

ENGLISH, MULTILINGUAL = 51864, 51865  # sizes of Whisper's vocabularies
_LETTERS = 94  # the first tokens of the vocabulary are the characters of ASCII


def make_whisper(path: Path, vocabulary: int = ENGLISH, seed: int = 0) -> Path:
    """Two layers of width 64 each way, saved at `path`."""
    dims = ModelDimensions(
        n_mels=80, n_audio_ctx=1500, n_audio_state=64, n_audio_head=4, n_audio_layer=2,
        n_vocab=vocabulary, n_text_ctx=64, n_text_state=64, n_text_head=4, n_text_layer=2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Whisper(dims)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                # sharp attention, so that the text depends on single moments of the sound
                std = 0.8 if "query" in name or "key" in name else 0.4 if "conv" in name else 0.15
                torch.nn.init.normal_(weight, std=std if weight.ndim > 1 else 0.02)
            # places outweigh tokens: otherwise each token would repeat itself
            torch.nn.init.normal_(model.decoder.positional_embedding, std=2.0)
            embedding = torch.nn.init.normal_(model.decoder.token_embedding.weight, std=1.0)
            embedding[_LETTERS:] *= 0.05
            for name, weight in model.named_parameters():
                if "ln" in name and name.endswith("weight"):
                    weight.fill_(1.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint(model), path)
    return path


def checkpoint(model: Whisper) -> dict[str, Any]:
    """As openai-whisper writes it."""
    return {"dims": vars(model.dims), "model_state_dict": model.state_dict()}
