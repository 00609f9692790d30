"""Corpus -> tokenizer -> pretraining -> models/embedded/base, each step kept so that a killed run goes on."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from hashlib import sha256
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from models.errors import TroupeError
from training.embedded import corpus, real, tokenizer
from training.embedded.chat import Conversation
from training.embedded.curve import draw
from training.embedded.folder import data_folder
from training.embedded.pack import Rows, pack
from training.embedded.pretrain import Pretraining, Settings, perplexity

_TEST_TOKENS = 100_000  # of made-up conversations, for the second perplexity; fewer after a short run


def make_base(
    out: Path, runs: Path, data: Path | None = None, settings: Settings | None = None
) -> dict[str, Any]:
    """Trains the embedded base into `out`, with corpus, checkpoints and metrics in `runs`; returns a report.

    `data` is a folder with copies of the public data sets (default: TROUPE_DATA). A run that was killed goes
    on where its last checkpoint stopped.
    """
    data, settings = data_folder(data, corpus.FILES), settings or Settings()
    runs.mkdir(parents=True, exist_ok=True)
    _check_same(runs, data, settings)
    words = _tokenizer(runs, data, settings)
    short, long = _rows(runs, data, words, settings)
    training = Pretraining(settings, words, short, long, runs)
    model = training.run()
    report = {
        "parameters": model.num_parameters(),
        "tokens": settings.steps * settings.batch_tokens,
        "minutes": round(training.seconds / 60, 1),
        "perplexity": _perplexities(model, data, words, settings),
        "settings": asdict(settings),
        "data": _data_hashes(data),
    }
    _save(out, model, words, report)
    draw(training.metrics, out / "loss.png")
    return report


def encoded(words: PreTrainedTokenizerBase, talks: Iterable[Conversation]) -> Iterator[list[int]]:
    """Token ids of each conversation, as `models.prompt.encode_example` gives them, but many at a time."""
    talks = iter(talks)
    while some := list(islice(talks, 500)):
        plain = [[{"role": m.role, "content": m.content.strip()} for m in talk] for talk in some]
        texts = words.apply_chat_template(plain, tokenize=False)
        yield from words(texts, add_special_tokens=False, verbose=False)["input_ids"]


def _check_same(runs: Path, data: Path, settings: Settings) -> None:
    """The tokenizer and the corpus in `runs` are kept: they must come from these settings, data and code."""
    sources = sorted(Path(__file__).parent.rglob("*.py")) + sorted(Path(__file__).parent.rglob("*.yaml"))
    now = {
        "settings": asdict(settings),
        "data": _data_hashes(data),
        "code": {file.name: _hash(file) for file in sources},
    }
    kept = runs / "made-from.json"
    if not kept.exists():
        kept.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")
        return
    before = json.loads(kept.read_text(encoding="utf-8"))
    if changed := [part for part in now if now[part] != before.get(part)]:
        raise TroupeError(
            f"{runs} was begun with other {' and '.join(changed)}; remove that folder to begin anew."
        )


def _data_hashes(data: Path) -> dict[str, str]:
    return {name: _hash(data / name) for name in corpus.FILES if (data / name).exists()}


def _tokenizer(runs: Path, data: Path, settings: Settings) -> PreTrainedTokenizerBase:
    kept = runs / "tokenizer"
    if not kept.exists():
        texts = _texts(data, settings)
        made = tokenizer.train(texts, corpus.pictures(data), settings.vocab, settings.context)
        made.save_pretrained(runs / "tokenizer.tmp")
        os.replace(runs / "tokenizer.tmp", kept)
    return AutoTokenizer.from_pretrained(kept)


def _texts(data: Path, settings: Settings) -> Iterator[str]:
    # The public rows for their richer words; the made-up ones without emoji, as a space would be merged with
    # the emoji behind it.
    rng = Random(settings.seed)
    made = [corpus.conversation(rng, [], 500) for _ in range(settings.tokenizer_conversations)]
    for talk in real.split(data)[0] + made:
        yield from (message.content for message in talk)


def _rows(runs: Path, data: Path, words: PreTrainedTokenizerBase, settings: Settings) -> tuple[Rows, Rows]:
    """Rows of `short` and of `context` tokens, enough for every step; the few more are for rounding."""
    kept = runs / "corpus.npz"
    if not kept.exists():
        shown = corpus.pictures(data)
        tail = int(settings.tokens * settings.long_share) // settings.context
        body = (settings.tokens - tail * settings.context) // settings.short
        talks = corpus.stream(settings.seed, data, shown)
        short = pack(encoded(words, talks), settings.short, body + 8, words.pad_token_id)
        talks = corpus.stream(settings.seed + 1, data, shown, longest=3400)
        long = pack(encoded(words, talks), settings.context, tail + 8, words.pad_token_id)
        half_written = runs / "corpus.tmp.npz"
        np.savez(half_written, ids=short.ids, part=short.part, long_ids=long.ids, long_part=long.part)
        os.replace(half_written, kept)
    with np.load(kept) as file:
        return Rows(file["ids"], file["part"]), Rows(file["long_ids"], file["long_part"])


def _perplexities(
    model: LlamaForCausalLM, data: Path, words: PreTrainedTokenizerBase, settings: Settings
) -> dict[str, float]:
    """On all tokens of held-out public rows, and of made-up conversations of another seed."""
    public = real.split(data)[1]
    made = corpus.stream(settings.seed + 1000, data, corpus.pictures(data), public=False)
    pad, length = words.pad_token_id, settings.context
    tokens = min(_TEST_TOKENS, settings.tokens // 10)
    sides = {
        "public rows, held out": pack(encoded(words, public), length, len(public), pad),
        "made-up conversations": pack(encoded(words, made), length, 1 + tokens // length, pad),
    }
    return {name: round(perplexity(model, rows), 2) for name, rows in sides.items() if len(rows)}


def _save(out: Path, model: LlamaForCausalLM, words: PreTrainedTokenizerBase, report: dict[str, Any]) -> None:
    """Writes a whole new folder beside `out`, then puts it in its place."""
    new = out.with_name(f"{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    model.generation_config = GenerationConfig(
        eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id, do_sample=False
    )
    model.to(torch.bfloat16).save_pretrained(new, max_shard_size="9MB")  # the Hub refuses more without LFS
    words.save_pretrained(new)
    (new / "training.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    os.replace(new, out)


def _hash(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()
