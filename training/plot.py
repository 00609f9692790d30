"""loss.png: the loss while training, and the held-out loss before and after."""

from pathlib import Path
from typing import Any


def plot_losses(
    history: list[dict[str, Any]], before: float | None, after: float | None, path: Path, title: str
) -> None:
    """`history` is the trainer's log_history; losses are nats per answer token."""
    import matplotlib

    matplotlib.use("Agg")  # no display is needed to write a file
    from matplotlib import pyplot

    points = [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]
    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(*zip(*points, strict=True), label="training") if points else None
    last = points[-1][0] if points else 1
    if before is not None and after is not None:
        axes.plot([0, last], [before, after], "o--", label="held out")
    axes.set(title=title, xlabel="step", ylabel="loss (nats per answer token)")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
