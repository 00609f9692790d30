"""Estimate: a measured value, its 95 % interval and how many rows or prompts stand behind it."""

from collections.abc import Callable, Sequence
from math import exp, sqrt

import numpy as np
from pydantic import BaseModel, ConfigDict

_Z = 1.959964  # 97.5 % of a normal distribution lie below
_RESAMPLES = 4000
_PART = 100  # resamples at a time: thousands of rows times all of them would fill the memory
_SEED = 20


class Estimate(BaseModel):
    """`low` and `high` bound the 95 % interval; `count` is the number of rows or prompts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float
    count: int

    def overlaps(self, other: "Estimate") -> bool:
        return self.low <= other.high and other.low <= self.high

    def mapped(self, rising: Callable[[float], float]) -> "Estimate":
        """The same on another scale; a rising function keeps the interval's ends in order."""
        return Estimate(
            value=rising(self.value), low=rising(self.low), high=rising(self.high), count=self.count
        )


def share(right: Sequence[float]) -> Estimate:
    """The mean of zeros and ones with Wilson's interval, which stays sensible near 0 and 1."""
    n = len(right)
    p = sum(right) / n
    middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    reach = _Z / (1 + _Z**2 / n) * sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    # rounding must not put the value itself outside
    return Estimate(value=p, low=min(p, max(0.0, middle - reach)), high=max(p, middle + reach), count=n)


def mean(values: Sequence[float]) -> Estimate:
    """The mean with a bootstrap interval; for a difference, hand in the differences of the pairs."""
    return ratio(values, np.ones(len(values)))


def ratio(sums: Sequence[float] | np.ndarray, weights: Sequence[float] | np.ndarray) -> Estimate:
    """sum(sums) / sum(weights), as in nats per token; the bootstrap draws rows, sum and weight together."""
    sums, weights = np.asarray(sums, dtype=float), np.asarray(weights, dtype=float)
    rng = np.random.default_rng(_SEED)
    drawn = []
    for _ in range(_RESAMPLES // _PART):
        rows = rng.integers(len(sums), size=(_PART, len(sums)))
        drawn.append(sums[rows].sum(axis=1) / weights[rows].sum(axis=1))
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    return Estimate(value=sums.sum() / weights.sum(), low=low, high=high, count=len(sums))


def perplexity(nats: Sequence[float] | np.ndarray, tokens: Sequence[float] | np.ndarray) -> Estimate:
    """exp of the mean loss per token."""
    return ratio(nats, tokens).mapped(exp)
