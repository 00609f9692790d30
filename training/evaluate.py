"""Evaluation of a base and its adapters: held-out loss at home and away, and the roles' oracles.

Losses are means per answer token in nats, with the weights as they are served (4-bit base, bf16 compute).
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import torch

from models.base import LoadedBase, load_base
from models.engine import Engine
from models.lora import AdapterBank
from models.prompt import encode_example
from models.registry import BARE, Registry
from models.request import ChatRequest, Sampling
from training.data import read_split
from training.forms import Conversation
from training.oracles import Oracle, oracles
from training.recipe import Recipe


@dataclass(frozen=True)
class Figure:
    """How often an oracle found the answers right, with the adapter and without."""

    role: str
    title: str
    probes: int
    adapter: float
    base: float


def evaluate(registry: Registry, base: str, count: int, out: Path) -> None:
    """Prints the report and writes it to `out` as JSON, with at most `count` rows or probes per figure."""
    losses = _matrix(registry, base, count)
    figures = []
    engine = Engine(load_base(registry, base), registry)
    try:
        for oracle in oracles(base, count):
            figures.append(_figure(engine, oracle))
            print(_line(figures[-1]), flush=True)
    finally:
        engine.close()
    report = {"base": base, "held_out_loss": losses, "oracles": [asdict(figure) for figure in figures]}
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _matrix(registry: Registry, name: str, count: int) -> dict[str, dict[str, float]]:
    """loss[role whose rows are read][adapter that reads them], `base` among the adapters."""
    base = load_base(registry, name)
    bank = AdapterBank(base)
    roles = [role for role, status in bank.load_all(registry).items() if status.available]
    losses: dict[str, dict[str, float]] = {}
    print("held-out loss; a row per role's test rows, a column per adapter")
    print(" " * 10 + "".join(f"{reader:>10}" for reader in (BARE, *roles)))
    for role in roles:
        rows = _test_rows(base, role, count)
        losses[role] = {reader: _loss(base, bank, reader, rows) for reader in (BARE, *roles)}
        print(f"{role:<10}" + "".join(f"{loss:>10.3f}" for loss in losses[role].values()), flush=True)
    return losses


def _test_rows(base: LoadedBase, role: str, count: int) -> list[Conversation]:
    recipe = Recipe.load(role).on(base.name)
    rows = read_split(recipe).test
    return Random(0).sample(rows, min(count, len(rows)))


def _loss(base: LoadedBase, bank: AdapterBank, reader: str, rows: list[Conversation]) -> float:
    total, tokens = 0.0, 0
    with torch.inference_mode():
        model = bank.apply(None if reader == BARE else reader)
        for row in rows:
            example = encode_example(base.tokenizer, row.messages)
            ids = torch.tensor([example.ids[: base.context]], device=base.device)
            learn = torch.tensor(example.mask[1 : base.context], dtype=torch.bool, device=base.device)
            scores = model(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
            chosen = scores.gather(1, ids[0, 1:, None])[learn]
            total, tokens = total - float(chosen.sum()), tokens + int(learn.sum())
    return total / tokens


def _figure(engine: Engine, oracle: Oracle) -> Figure:
    shares = [_share_right(engine, oracle, adapter) for adapter in (oracle.role, None)]
    return Figure(oracle.role, oracle.title, len(oracle.probes), *shares)


def _share_right(engine: Engine, oracle: Oracle, adapter: str | None) -> float:
    sampling = Sampling(temperature=0, max_tokens=engine.adapters[oracle.role].spec.sampling.max_tokens)
    right = 0
    for probe, answer in zip(oracle.probes, _answers(engine, oracle, adapter, sampling), strict=True):
        right += probe.right(answer)
    return right / len(oracle.probes)


def _answers(engine: Engine, oracle: Oracle, adapter: str | None, sampling: Sampling) -> Iterator[str]:
    """In the oracle's order; a few are in the engine at a time."""
    waiting = [engine.stream(ChatRequest(probe.messages, adapter, sampling)) for probe in oracle.probes[:8]]
    for index in range(len(oracle.probes)):
        yield "".join(chunk.text for chunk in waiting[index])
        if index + 8 < len(oracle.probes):
            waiting.append(engine.stream(ChatRequest(oracle.probes[index + 8].messages, adapter, sampling)))


def _line(figure: Figure) -> str:
    return (
        f"{figure.role:<10}{figure.adapter:>6.0%} (base {figure.base:.0%}) of {figure.probes}: {figure.title}"
    )
