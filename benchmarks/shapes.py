"""Models with random weights in the shapes of real ones: for speed the values do not matter, the sizes do."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig
from safetensors.torch import save_file
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from models.registry import Registry

log = logging.getLogger(__name__)

RANK = 16
CONTEXT = 4096
END = 1  # the one special token


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama model with tied embeddings."""

    name: str
    title: str
    vocab: int
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    rope_theta: float

    @property
    def head(self) -> int:
        return self.hidden // self.heads

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of the linear layers of one block, by their name in transformers."""
        kv = self.kv_heads * self.head
        return {
            "self_attn.q_proj": (self.hidden, self.hidden),
            "self_attn.k_proj": (self.hidden, kv),
            "self_attn.v_proj": (self.hidden, kv),
            "self_attn.o_proj": (self.hidden, self.hidden),
            "mlp.gate_proj": (self.hidden, self.ffn),
            "mlp.up_proj": (self.hidden, self.ffn),
            "mlp.down_proj": (self.ffn, self.hidden),
        }

    @property
    def weights(self) -> int:
        """Those that one token is multiplied with: all matrices, and the embedding as the head."""
        return self.layers * sum(i * o for i, o in self.linears.values()) + self.vocab * self.hidden

    @property
    def adapter_parameters(self) -> int:
        """Of one adapter."""
        return self.layers * sum(RANK * (i + o) for i, o in self.linears.values())


LLAMA_1B = Shape("1b", "Llama-3.2-1B", 128_256, 2048, 8192, 16, 32, 8, 500_000.0)
SMOLLM_135M = Shape("135m", "SmolLM2-135M", 49_152, 576, 1536, 30, 9, 3, 100_000.0)


def make_registry(shape: Shape, folder: Path, adapters: int) -> Registry:
    """adapters.yaml in `folder`, with the model and its adapters `a0`, `a1`, ... beside it, made once."""
    model = folder / "model"
    if not model.is_dir():
        log.info("writing random weights in the shape of %s into %s", shape.title, model)
        _whole(model, lambda new: _write_model(shape, new))
    names = [f"a{number}" for number in range(adapters)]
    for number, name in enumerate(names):
        if not (folder / name).is_dir():
            _whole(folder / name, lambda new, seed=number: _write_adapter(shape, new, seed))
    lines = [f"default: {shape.name}", "bases:", f"  {shape.name}:", "    model: model"]
    lines += [f"    title: {shape.title}", f"    context: {CONTEXT}", "    adapters:"]
    lines += [f"      {name}: {{path: {name}, title: {name}, description: random}}" for name in names]
    lines += [f"limits: {{max_tokens: {CONTEXT}, active: 16, queue: 64, adapter_megabytes: 20000}}"]
    (folder / "adapters.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Registry.load(folder / "adapters.yaml")


def words(count: int, shape: Shape, seed: int) -> str:
    """A text of `count` random tokens: every word is one."""
    drawn = torch.randint(2, shape.vocab, (count,), generator=torch.Generator().manual_seed(seed))
    return " ".join(f"w{token}" for token in drawn.tolist())


def token_ids(text: str) -> list[int]:
    """What the tokenizer makes of `words`."""
    return [int(word[1:]) for word in text.split()]


def lora_tensors(shape: Shape, seed: int) -> dict[str, torch.Tensor]:
    """A and B of every linear layer, as PEFT names them."""
    drawn = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(shape.layers):
        for name, (inputs, outputs) in shape.linears.items():
            path = f"base_model.model.model.layers.{layer}.{name}"
            tensors[f"{path}.lora_A.weight"] = torch.randn(RANK, inputs, generator=drawn) * 0.02
            tensors[f"{path}.lora_B.weight"] = torch.randn(outputs, RANK, generator=drawn) * 0.02
    return tensors


def _write_model(shape: Shape, folder: Path) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,  # answers of equal length: with random weights the end would come at random
        pad_token_id=END,
        dtype="bfloat16",
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)  # float32 first would take twice the memory
    try:
        LlamaForCausalLM(config).save_pretrained(folder)
    finally:
        torch.set_default_dtype(before)
    vocab = {"<unknown>": 0, "<end>": END} | {f"w{token}": token for token in range(2, shape.vocab)}
    plain = Tokenizer(WordLevel(vocab, unk_token="<unknown>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # no special tokens: they have no text, and every token of an answer is to be seen
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain)
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }} {% endfor %}"
    tokenizer.save_pretrained(folder)


def _write_adapter(shape: Shape, folder: Path, seed: int) -> None:
    tensors = {name: tensor.bfloat16() for name, tensor in lora_tensors(shape, seed).items()}
    save_file(tensors, folder / "adapter_model.safetensors")
    targets = sorted(name.split(".")[1] for name in shape.linears)
    LoraConfig(r=RANK, lora_alpha=RANK, target_modules=targets, task_type="CAUSAL_LM").save_pretrained(folder)


def _whole(folder: Path, write) -> None:
    """A folder that is either complete or not there."""
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    write(new)
    new.rename(folder)
