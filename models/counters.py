"""Counters: what the engine has done since it started, for whoever watches it."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from models.request import Usage


@dataclass(frozen=True)
class Snapshot:
    """Totals so far. Seconds are sums over requests; `by_adapter` counts requests and tokens per adapter."""

    requests: int
    failed: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_seconds: float
    first_token_seconds: float
    steps: int
    mean_batch: float
    by_adapter: dict[str, dict[str, int]]
    resident_bytes: dict[str, int] = field(default_factory=dict)


class Counters:
    """Written by the engine's thread, read from any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter()
        self._adapters: dict[str, Counter[str]] = {}

    def step(self, requests: int) -> None:
        """One forward pass for so many requests."""
        with self._lock:
            self._totals.update(steps=1, company=requests)

    def failure(self) -> None:
        """One request that the model failed on."""
        with self._lock:
            self._totals["failed"] += 1

    def answer(self, adapters: tuple[str, ...], usage: Usage) -> None:
        """One answer that has ended, in whatever way."""
        with self._lock:
            self._totals.update(requests=1)
            for name in ("prompt_tokens", "cached_tokens", "completion_tokens"):
                self._totals[name] += getattr(usage, name)
            for name in ("queue_seconds", "first_token_seconds"):
                self._totals[name] += getattr(usage, name)
            for adapter in adapters:
                tokens = {"requests": 1, "completion_tokens": usage.completion_tokens}
                self._adapters.setdefault(adapter, Counter()).update(tokens)

    def snapshot(self, resident: dict[str, int]) -> Snapshot:
        """All of it at one moment, with the adapters in memory."""
        with self._lock:
            names = ("requests", "failed", "prompt_tokens", "cached_tokens", "completion_tokens", "steps")
            return Snapshot(
                **{name: self._totals[name] for name in names},
                queue_seconds=float(self._totals["queue_seconds"]),
                first_token_seconds=float(self._totals["first_token_seconds"]),
                mean_batch=self._totals["company"] / self._totals["steps"] if self._totals["steps"] else 0.0,
                by_adapter={name: dict(counts) for name, counts in self._adapters.items()},
                resident_bytes=resident,
            )
