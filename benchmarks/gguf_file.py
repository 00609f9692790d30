"""The same shape for llama.cpp: a model in Q4_0, the head too, and a LoRA adapter."""

from pathlib import Path

import gguf
import numpy as np
import torch

from benchmarks.shapes import CONTEXT, END, RANK, Shape, lora_tensors

_BLOCK_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def make(shape: Shape, folder: Path) -> None:
    """model.gguf and a0.gguf in `folder`, once."""
    for name, write in (("model", write_model), ("a0", write_adapter)):
        file = folder / f"{name}.gguf"
        if not file.exists():
            new = file.with_suffix(".new")
            write(shape, new)
            new.rename(file)


def write_model(shape: Shape, file: Path) -> None:
    """Random weights; llama.cpp takes the embedding as the head when there is no other."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_vocab_size(shape.vocab)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"w{token}" for token in range(shape.vocab)])
    writer.add_token_scores([0.0] * shape.vocab)
    kinds = [gguf.TokenType.NORMAL] * shape.vocab
    kinds[0], kinds[END] = gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL
    writer.add_token_types(kinds)
    writer.add_eos_token_id(END)
    drawn = torch.Generator().manual_seed(0)
    _add(writer, "token_embd.weight", shape.vocab, shape.hidden, drawn)
    for layer in range(shape.layers):
        for name, (inputs, outputs) in shape.linears.items():
            _add(writer, f"blk.{layer}.{_BLOCK_NAMES[name]}.weight", outputs, inputs, drawn)
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(shape.hidden, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(shape.hidden, np.float32))
    _write(writer)


def write_adapter(shape: Shape, file: Path, seed: int = 0) -> None:
    """The adapter that PEFT gets from the same seed."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    for path, tensor in lora_tensors(shape, seed).items():
        _, _, _, _, layer, *name, side, _ = path.split(".")
        ours = f"blk.{layer}.{_BLOCK_NAMES['.'.join(name)]}.weight.{side.lower()}"
        writer.add_tensor(ours, tensor.half().numpy())
    _write(writer)


def _add(writer: gguf.GGUFWriter, name: str, rows: int, columns: int, drawn: torch.Generator) -> None:
    values = (torch.randn(rows, columns, generator=drawn) * 0.02).numpy()
    q4 = gguf.GGMLQuantizationType.Q4_0
    writer.add_tensor(name, gguf.quants.quantize(values, q4), raw_dtype=q4)


def _write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
