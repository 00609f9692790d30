"""Pretraining of the embedded base: rows in, a model out, resumable to the bit after a kill."""

import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from models.errors import TroupeError
from training.embedded.pack import Rows, batch


@dataclass(frozen=True)
class Settings:
    """Everything that decides what the base becomes; the seed, the data and this give the same base again."""

    seed: int = 2
    vocab: int = 6144
    hidden: int = 320
    ffn: int = 832
    layers: int = 6
    heads: int = 5
    context: int = 1024
    tokens: int = 12_500_000  # to train on in all; padding counts
    short: int = 512  # row length for most of the run
    long_share: float = 0.15  # of the tokens, at the end, in rows of `context`
    batch_tokens: int = 4096
    rate: float = 5e-3
    warmup_steps: int = 100
    decay_share: float = 0.4  # the rate falls to zero over this last part
    weight_decay: float = 0.1
    clip: float = 1.0
    save_minutes: float = 3.0
    tokenizer_conversations: int = 10_000  # made-up ones for the tokenizer, beside all public rows

    @property
    def steps(self) -> int:
        return self.tokens // self.batch_tokens

    @property
    def long_from(self) -> int:
        return round(self.steps * (1 - self.long_share))


def new_model(settings: Settings, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """A Llama with random weights; every in_features is a multiple of 64, as the 4-bit kernels want it."""
    torch.manual_seed(settings.seed)
    config = LlamaConfig(
        vocab_size=settings.vocab,
        hidden_size=settings.hidden,
        intermediate_size=settings.ffn,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=settings.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def rate_at(step: int, settings: Settings) -> float:
    """Linear up, level, linear down to zero."""
    up = min(1.0, (step + 1) / settings.warmup_steps)
    down = min(1.0, (settings.steps - step) / max(1, round(settings.steps * settings.decay_share)))
    return settings.rate * up * down


class Pretraining:
    """One run: its model, optimizer and step. `run` goes on from where the newest checkpoint stopped."""

    def __init__(
        self, settings: Settings, tokenizer: PreTrainedTokenizerBase, short: Rows, long: Rows, folder: Path
    ):
        self.settings, self.short, self.long, self.folder = settings, short, long, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = new_model(settings, tokenizer).to(self.device)
        self.half = _half_pays(self.device)
        self.optimizers = self._optimizers()
        self.step, self.seconds = 0, 0.0
        self.checkpoint, self.metrics = folder / "checkpoint.pt", folder / "metrics.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._load()

    def run(self, stop_at: int | None = None) -> LlamaForCausalLM:
        """Trains to the end (or to step `stop_at`) and returns the model; a finished run returns at once."""
        end = min(self.settings.steps, stop_at or self.settings.steps)
        self.model.train()
        began, saved = time.monotonic() - self.seconds, time.monotonic()
        while self.step < end:
            loss = self._train_step()
            self.step += 1
            self.seconds = time.monotonic() - began
            self._log(loss)
            if time.monotonic() - saved > self.settings.save_minutes * 60:
                self.save()
                saved = time.monotonic()
        self.save()
        return self.model

    def save(self) -> None:
        """Model, optimizer, step and random state in one file that is never half written."""
        state = {
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
            "random": torch.get_rng_state(),
        }
        half_written = self.checkpoint.with_suffix(".tmp")
        torch.save(state, half_written)
        os.replace(half_written, self.checkpoint)

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        """Muon for the layers' matrices (Jordan et al. 2024; steps scaled to the size of AdamW's, Liu et al.
        2025): with the few tokens that a CPU can read it learns more from each. AdamW for the rest."""
        rate, decay = self.settings.rate, self.settings.weight_decay
        matrices = [p for p in self.model.model.layers.parameters() if p.dim() > 1]
        norms = [p for p in self.model.parameters() if p.dim() < 2]
        rest = [{"params": [self.model.model.embed_tokens.weight]}, {"params": norms, "weight_decay": 0.0}]
        return [
            torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=decay, fused=True),
        ]

    def _train_step(self) -> float:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate_at(self.step, self.settings)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = self.model(**self._batch(), use_cache=False).loss
        if not math.isfinite(loss.item()):
            raise TroupeError(
                f"The loss is {loss.item()} at step {self.step}; lower `rate` ({self.settings.rate})."
            )
        loss.backward()
        clip_grad_norm_(self.model.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def _batch(self) -> dict[str, torch.Tensor]:
        settings = self.settings
        late = self.step >= settings.long_from and len(self.long) > 0
        rows, at = (self.long, self.step - settings.long_from) if late else (self.short, self.step)
        size = max(1, settings.batch_tokens // rows.ids.shape[1])
        return batch(rows, np.arange(at * size, (at + 1) * size) % len(rows), self.device)

    def _log(self, loss: float) -> None:
        row = {
            "step": self.step,
            "tokens": self.step * self.settings.batch_tokens,
            "loss": round(loss, 5),
            "rate": rate_at(self.step - 1, self.settings),
            "seconds": round(self.seconds, 1),
        }
        with self.metrics.open("a") as file:
            file.write(json.dumps(row) + "\n")
        if self.step % 50 == 0:
            speed = row["tokens"] / self.seconds
            print(
                f"step {self.step}/{self.settings.steps} loss {loss:.3f}, {speed:,.0f} tokens/s", flush=True
            )

    def _load(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        differs = {k: v for k, v in asdict(self.settings).items() if state["settings"].get(k) != v}
        # A shorter or longer run may go on: the rate depends on the step and the number of steps alone.
        differs.pop("tokens", None)
        if differs:
            raise TroupeError(
                f"{self.checkpoint} was made with other settings than {differs}; remove it to begin anew."
            )
        self.model.load_state_dict(state["model"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.step, self.seconds = state["step"], state["seconds"]
        torch.set_rng_state(state["random"].cpu())
        if self.metrics.exists():
            # Steps after the checkpoint were lost with the killed process and will be made again.
            lines = [line for line in self.metrics.read_text().splitlines() if _step(line) <= self.step]
            self.metrics.write_text("".join(f"{line}\n" for line in lines))


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:
        return math.inf  # the kill came in the middle of the line


@torch.no_grad()
def perplexity(model: LlamaForCausalLM, rows: Rows) -> float:
    """exp of the mean loss per token over all rows."""
    model.eval()
    total, count = 0.0, 0
    for start in range(0, len(rows), 4):
        inputs = batch(rows, np.arange(start, min(start + 4, len(rows))), model.device)
        tokens = int((inputs["labels"][:, 1:] != -100).sum())
        total += model(**inputs, use_cache=False).loss.item() * tokens
        count += tokens
    return math.exp(total / count)


def _half_pays(device: torch.device) -> bool:
    """Whether bf16 is faster than float32 here: a CPU may offer it without having the instructions."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()

    def seconds(kind: torch.dtype) -> float:
        a, b = torch.ones(1024, 256, dtype=kind), torch.ones(256, 640, dtype=kind)
        times = []
        for _ in range(10):
            began = time.perf_counter()
            torch.mm(a, b)
            times.append(time.perf_counter() - began)
        return min(times)

    return seconds(torch.bfloat16) < 0.7 * seconds(torch.float32)
