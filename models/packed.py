"""One forward pass for pieces of many requests: all tokens in one row, attention request by request.

Everything that this leans on in transformers stands here: the registry of attention functions, the keyword
arguments that models pass on to them, and `logits_to_keep` as indices. test_packed.py fails when they move.
"""

import logging
from collections.abc import Sequence as Items
from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel

from models.lora import AdapterBank
from models.mix import Rows
from models.sequence import PAGE, Sequence

log = logging.getLogger(__name__)

_NAME = "troupe-packed"


@dataclass(frozen=True)
class Piece:
    """Tokens `start:stop` of a sequence, within one page. `logits` names those whose logits are wanted."""

    sequence: Sequence
    start: int
    stop: int
    logits: range = range(0)

    @property
    def size(self) -> int:
        return self.stop - self.start

    @property
    def ids(self) -> list[int]:
        return self.sequence.ids[self.start : self.stop]


def can_pack(model: PreTrainedModel, bank: AdapterBank) -> bool:
    """Whether `forward` gives what the model's own forward pass gives; tried out on a short text."""
    config = model.config.get_text_config()
    if reason := _own_attention(model, config):
        log.info("%s %s: its requests are answered one at a time", config.model_type, reason)
        return False
    ids = [token % config.vocab_size for token in range(3, 3 + PAGE + 8)]
    try:
        right = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0].float()
        sequence = Sequence(ids)
        pieces = [Piece(sequence, 0, PAGE, range(PAGE))]
        pieces += [Piece(sequence, i, i + 1, range(i, i + 1)) for i in range(PAGE, len(ids))]
        ours = torch.cat([forward(model, bank, [piece])[0] for piece in pieces]).float()
    except Exception:
        log.warning("%s cannot be packed; one request at a time", config.model_type, exc_info=True)
        return False
    # the two ways add up in another order, and bf16 has three digits
    close = bool((ours - right).norm() <= 0.05 * right.norm())
    if not close:
        log.warning("%s differs when packed: its requests are answered one at a time", config.model_type)
    return close


def _own_attention(model: PreTrainedModel, config: PreTrainedConfig) -> str:
    """What `_attend` would leave out, or nothing."""
    if not model._supports_attention_backend:
        return "has an attention of its own"
    for feature in ("sliding_window", "attn_logit_softcapping", "attention_chunk_size"):
        if getattr(config, feature, None):
            return f"has {feature}"
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type")
    if rope in ("dynamic", "longrope"):
        return f"turns positions by the longest text in a batch ({rope})"
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    return f"has layers of {', '.join(sorted(kinds))}" if kinds else ""


def forward(model: PreTrainedModel, bank: AdapterBank, pieces: Items[Piece]) -> list[torch.Tensor]:
    """The logits [wanted, vocabulary] of each piece; its keys and values are written into its sequence."""
    tokens: list[int] = []
    positions: list[int] = []
    wanted: list[int] = []
    rows: list[Rows] = []
    for piece in pieces:
        offset = len(tokens)
        tokens += piece.ids
        positions += range(piece.start, piece.stop)
        wanted += [offset + at - piece.start for at in piece.logits]
        rows.append(Rows(offset, offset + piece.size, piece.sequence.mix))
    bank.act(rows)
    config = model.config.get_text_config()
    usual = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        logits = model(
            input_ids=torch.tensor([tokens], device=model.device),
            position_ids=torch.tensor([positions], device=model.device),
            use_cache=False,
            # a pass that wants none still has to be given one
            logits_to_keep=torch.tensor(wanted or [0], device=model.device),
            pieces=pieces,
        ).logits[0]
    finally:
        config._attn_implementation = usual
        bank.rest()
    return list(logits[: len(wanted)].split([len(piece.logits) for piece in pieces]))


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    pieces: Items[Piece] = (),
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Attention of each piece to its own sequence, in calls of its own: no bit of it depends on the others.

    query [1, heads, tokens, head size], key and value likewise -> [1, tokens, heads, head size].
    """
    outputs, offset = [], 0
    for piece in pieces:
        rows = slice(offset, offset + piece.size)
        piece.sequence.write(module.layer_idx, piece.start, key[0, :, rows], value[0, :, rows])
        keys, values = piece.sequence.read(module.layer_idx, piece.stop)
        outputs.append(_attention(query[0, :, rows], keys, values, piece.start, scaling))
        offset = rows.stop
    return torch.cat(outputs, dim=0).unsqueeze(0), None


def _attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, start: int, scaling: float | None
) -> torch.Tensor:
    """[heads, n, size] of the tokens from `start` on, over all keys -> [n, heads, size].

    Heads that share keys (grouped-query attention) are put as rows of one head: to repeat the keys for each
    takes several times as long.
    """
    heads, count, size = query.shape
    shared = heads // keys.shape[0]
    mask = None
    if count > 1:
        mask = torch.ones(count, keys.shape[1], dtype=torch.bool, device=query.device).tril(start)
        mask = mask.repeat(shared, 1)
    out = scaled_dot_product_attention(
        query.reshape(1, -1, shared * count, size),
        keys.unsqueeze(0),
        values.unsqueeze(0),
        attn_mask=mask,
        scale=scaling,
    )
    return out.reshape(heads, count, size).transpose(0, 1)


AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, lambda *_, **__: None)
