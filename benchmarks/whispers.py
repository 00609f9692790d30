"""Whispers in the shapes of real ones that write the same few words, whatever they hear.

For speed the values of weights do not matter, but how many tokens are written does: these write a token for
each place and then stop, in every library alike.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import get_tokenizer

TOKENS = 24  # that are written for each window
_VOCABULARY = 51_865


@dataclass(frozen=True)
class Shape:
    """`width` of both halves, `layers` in each."""

    name: str
    width: int
    layers: int

    @property
    def dims(self) -> ModelDimensions:
        """Heads are 64 wide in all of openai's models."""
        heads = self.width // 64
        return ModelDimensions(
            n_mels=80, n_audio_ctx=1500, n_audio_state=self.width, n_audio_head=heads,
            n_audio_layer=self.layers, n_vocab=_VOCABULARY, n_text_ctx=448, n_text_state=self.width,
            n_text_head=heads, n_text_layer=self.layers,
        )  # fmt: skip


TINY, BASE = Shape("tiny", 384, 4), Shape("base", 512, 6)


def make(shape: Shape, folder: Path) -> Path:
    """openai-whisper's checkpoint of the shape in `folder`, made once."""
    file = folder / f"{shape.name}.pt"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        model = _model(shape)
        torch.save({"dims": vars(model.dims), "model_state_dict": model.state_dict()}, file)
    return file


@torch.no_grad()
def _model(shape: Shape) -> Whisper:
    torch.manual_seed(0)
    model = Whisper(shape.dims)
    tokenizer = get_tokenizer(True, num_languages=99, language="en", task="transcribe")
    places, embedding = model.decoder.positional_embedding, model.decoder.token_embedding.weight
    directions = torch.linalg.qr(torch.randn(shape.width, TOKENS + 3)).Q.t()
    mark, end, ways = directions[0], directions[1], directions[2:]
    torch.nn.init.normal_(embedding, std=0.01)
    torch.nn.init.normal_(places, std=0.01)
    words = [i for i in range(1000, 4000) if tokenizer.decode([i]).strip().isalpha()]
    # <|startoftranscript|><|en|><|transcribe|> are given, and a time mark has to come first
    for place in range(len(places)):
        number = place - 3
        if number >= TOKENS:
            places[place] = 40 * end
        elif number >= 0:
            places[place] = 40 * ways[number]
            embedding[words[37 * number]] = 2 * ways[number]
    embedding[tokenizer.eot] = 2 * end
    embedding[tokenizer.timestamp_begin :] -= 0.2 * mark
    places += 10 * mark
    return model


def hugging_face(file: Path, folder: Path) -> Path:
    """The same weights as transformers names them, with a tokenizer: what a converter takes."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    checkpoint = torch.load(file, weights_only=True)
    dims = ModelDimensions(**checkpoint["dims"])
    config = WhisperConfig(
        vocab_size=dims.n_vocab, num_mel_bins=80, d_model=dims.n_audio_state,
        encoder_layers=dims.n_audio_layer, decoder_layers=dims.n_text_layer,
        encoder_attention_heads=dims.n_audio_head, decoder_attention_heads=dims.n_text_head,
        encoder_ffn_dim=4 * dims.n_audio_state, decoder_ffn_dim=4 * dims.n_text_state,
        max_source_positions=dims.n_audio_ctx, max_target_positions=dims.n_text_ctx,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    weights = {_renamed(name): weight for name, weight in checkpoint["model_state_dict"].items()}
    weights["proj_out.weight"] = weights["model.decoder.embed_tokens.weight"]
    model.load_state_dict(weights)
    model.save_pretrained(folder)
    _write_tokenizer(folder / "tokenizer.json")
    return folder


_NAMES = {
    "blocks": "layers",
    "cross_attn_ln": "encoder_attn_layer_norm",
    "attn_ln": "self_attn_layer_norm",
    "cross_attn": "encoder_attn",
    ".attn.": ".self_attn.",
    "mlp_ln": "final_layer_norm",
    "mlp.0": "fc1",
    "mlp.2": "fc2",
    ".query": ".q_proj",
    ".key": ".k_proj",
    ".value": ".v_proj",
    ".out.": ".out_proj.",
    "decoder.ln.": "decoder.layer_norm.",
    "encoder.ln_post.": "encoder.layer_norm.",
    "token_embedding": "embed_tokens",
    "positional_embedding": "embed_positions.weight",
}


def _renamed(name: str) -> str:
    for ours, theirs in _NAMES.items():
        name = name.replace(ours, theirs)
    return f"model.{name}"


def _write_tokenizer(file: Path) -> None:
    import whisper
    from tokenizers import AddedToken
    from transformers.convert_slow_tokenizer import TikTokenConverter

    ranks = Path(whisper.__file__).parent / "assets" / "multilingual.tiktoken"
    special = get_tokenizer(True, num_languages=99).encoding._special_tokens
    converted = TikTokenConverter(vocab_file=str(ranks)).converted()
    converted.add_tokens([AddedToken(name, special=True) for name in sorted(special, key=special.get)])
    converted.save(str(file))
