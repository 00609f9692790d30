"""loss.png: the loss of pretraining over the tokens seen."""

import json
from pathlib import Path

_SMOOTH = 25  # steps that a point of the line is the mean of


def draw(metrics: Path, path: Path) -> None:
    """`metrics` is the run's metrics.jsonl; losses are nats per token."""
    import matplotlib

    matplotlib.use("Agg")  # no display is needed to write a file
    from matplotlib import pyplot

    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    groups = [rows[i : i + _SMOOTH] for i in range(0, len(rows), _SMOOTH)]
    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(
        [group[-1]["tokens"] / 1e6 for group in groups],
        [sum(row["loss"] for row in group) / len(group) for group in groups],
    )
    axes.set(
        title="Pretraining of the embedded base", xlabel="million tokens seen", ylabel="loss (nats per token)"
    )
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
