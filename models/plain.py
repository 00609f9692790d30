"""The path of architectures that cannot be packed (BLOOM): each piece in a forward pass of its own."""

from collections.abc import Sequence as Items

import torch
from transformers import DynamicCache, PreTrainedModel

from models.lora import AdapterBank
from models.mix import Rows
from models.packed import Piece


def forward(model: PreTrainedModel, bank: AdapterBank, pieces: Items[Piece]) -> list[torch.Tensor]:
    """As `packed.forward`, with transformers' own cache of each sequence."""
    return [_one(model, bank, piece) for piece in pieces]


def _one(model: PreTrainedModel, bank: AdapterBank, piece: Piece) -> torch.Tensor:
    sequence = piece.sequence
    if sequence.cache is None:
        sequence.cache = DynamicCache(config=model.config)
    # an architecture with a memory of its own kind (RWKV) reads the whole text again: slow, but right
    start = 0 if sequence.rereads else piece.start
    ids = sequence.ids[start : piece.stop]
    bank.act([Rows(0, len(ids), sequence.mix)])
    try:
        output = model(
            input_ids=torch.tensor([ids], device=model.device), past_key_values=sequence.cache, use_cache=True
        )
    finally:
        bank.rest()
    sequence.rereads = getattr(output, "past_key_values", None) is None
    return output.logits[0, [at - start for at in piece.logits]]
