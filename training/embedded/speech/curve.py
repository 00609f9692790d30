"""word-errors.png: word error rates on the four tests over the steps of training."""

import json
from pathlib import Path

TESTS = {
    "plain": "espeak-ng en-us and en-gb",
    "known": "all voices trained on",
    "slt": "flite slt, never trained on",
    "kal": "festival kal, never trained on",
}


def measured(metrics: Path) -> list[dict[str, float]]:
    """The steps of a run's metrics.jsonl at which word errors were counted."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if set(TESTS) <= row.keys()]


def draw(curve: list[dict[str, float]], path: Path) -> None:
    """A line for each test."""
    import matplotlib

    matplotlib.use("Agg")  # no display is needed to write a file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    for name, title in TESTS.items():
        axes.plot([row["step"] for row in curve], [100 * row[name] for row in curve], "o-", label=title)
    axes.set(title="The embedded Whisper", xlabel="steps", ylabel="word error rate (%)", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
