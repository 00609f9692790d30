"""Tiny real models, adapters and registries, made on the spot in a second: no download, no mocks.

The weights are random but spread out, so that greedy choices are clear and every adapter changes them. The
end token and broken UTF-8 are unlikely: an answer is gibberish in letters that runs to `max_tokens`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

SPECIAL = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
CONTEXT = 256
VOCABULARY = 512
TEMPLATE = """\
{%- for message in messages -%}
{{- '<|' + message['role'] + '|>' -}}
{%- if message['role'] == 'assistant' -%}
{%- generation -%}{{- message['content'] + '<|end|>' -}}{%- endgeneration -%}
{%- else -%}
{{- message['content'] + '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""
_SENTENCES = (
    "The quick brown fox jumps over the lazy dog while the small cat sleeps under the old wooden table.",
    "What is the capital of France? The capital of France is Paris, a city on the river Seine.",
    "Tell me a joke about a computer. Why did the computer go to the doctor? It had caught a virus.",
    "Write an email about a new product: it keeps your coffee warm for twelve hours, at home and at work.",
    "One, two, three, four, five, six, seven, eight, nine, ten. Hello, world! How are you today?",
    "Several people were waiting for the evening train when the station master brought them some bread.",
    "My brother plays the violin in a large orchestra, and my sister builds bridges across narrow valleys.",
)
_SHAPES: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
    ),
    "qwen2": Qwen2Config(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
    ),
    "bloom": BloomConfig(hidden_size=64, n_layer=2, n_head=4, seq_length=CONTEXT, tie_word_embeddings=False),
    "gpt2": GPT2Config(n_embd=64, n_layer=2, n_head=4, n_positions=CONTEXT),
}


def make_tokenizer(folder: Path, chat_template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 512 tokens, saved in `folder`; `chat_template` None leaves it without one."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        _SENTENCES,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[1],
        extra_special_tokens=list(SPECIAL[2:]),
        model_max_length=CONTEXT,
        chat_template=chat_template,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_base(arch: str, folder: Path, seed: int = 0, chat_template: str | None = TEMPLATE) -> Path:
    """A random model of 2 layers in shapes that NF4 takes, saved with its tokenizer and generation config."""
    tokenizer = make_tokenizer(folder, chat_template)
    shape = _SHAPES[arch].to_dict() | {
        "vocab_size": VOCABULARY,
        "initializer_range": 0.12,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(type(_SHAPES[arch])(**shape), dtype=torch.float32)
    with torch.no_grad():
        model.get_output_embeddings().weight[_unlikely(tokenizer)] *= 0.1
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def make_adapter(
    base_folder: Path,
    folder: Path,
    seed: int,
    r: int = 4,
    alpha: int = 8,
    targets: Sequence[str] | str | None = None,
    **config: Any,
) -> Path:
    """A random LoRA on `targets` (all linear layers if None) with a clear effect, as PEFT saves it."""
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    lora = LoraConfig(
        **config,
        r=r,
        lora_alpha=alpha,
        target_modules="all-linear" if targets is None else targets,
        fan_in_fan_out=base.config.model_type == "gpt2",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = get_peft_model(base, lora)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    _forget_where(folder)
    return folder


def make_registry(
    folder: Path,
    arch: str = "llama",
    adapters: Sequence[str] = ("red", "blue"),
    others: Sequence[str] = (),
    limits: dict[str, Any] | None = None,
    **base_fields: Any,
) -> Path:
    """An adapters.yaml with its models beside it: the base `tiny`, and one named by each arch in `others`."""
    folder.mkdir(parents=True, exist_ok=True)
    bases = {"tiny": _base_entry(folder, "tiny", arch, adapters) | base_fields}
    bases |= {other: _base_entry(folder, other, other, adapters) for other in others}
    path = folder / "adapters.yaml"
    content = {
        "default": "tiny",
        "bases": bases,
        "speech": {"default": "base", "models": {"base": {"model": "base", "title": "Whisper base"}}},
        "limits": {"queue": 64, "active": 8, "max_tokens": 200, "switch_base": True} | (limits or {}),
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _unlikely(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Special tokens, ids without a token, and tokens that are not printable ASCII."""
    special = set(tokenizer.all_special_ids)
    texts = ("" if i in special else tokenizer.decode([i]) for i in range(VOCABULARY))
    return [i for i, text in enumerate(texts) if not (text and text.isascii() and text.isprintable())]


def _base_entry(folder: Path, name: str, arch: str, adapters: Sequence[str]) -> dict[str, Any]:
    home = make_base(arch, folder / name)
    return {
        "model": name,
        "title": f"Tiny {arch}",
        "about": "Random weights, for tests.",
        "quantisation": "4bit",
        "head": "16bit",
        "context": CONTEXT,
        "adapters": {
            adapter: _adapter_entry(make_adapter(home, folder / f"{name}-{adapter}", seed), folder)
            for seed, adapter in enumerate(adapters, start=1)
        },
    }


def _adapter_entry(home: Path, folder: Path) -> dict[str, Any]:
    return {
        "path": str(home.relative_to(folder)),
        "title": home.name.rpartition("-")[2].title(),
        "description": "Random weights, for tests.",
        "examples": ["What is the capital of France?", "Tell me a joke."],
        "sampling": {"temperature": 0.0, "max_tokens": 24},
    }


def _forget_where(folder: Path) -> None:
    """PEFT writes this machine's path into the config and a model card; an adapter must not depend on it."""
    config = folder / "adapter_config.json"
    content = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(content | {"base_model_name_or_path": "tiny"}, indent=2), encoding="utf-8")
    (folder / "README.md").unlink(missing_ok=True)
