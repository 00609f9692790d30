"""RESULTS.md with its plot, and results-SHAPE.json with every measurement, the machine and the versions."""

import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import matplotlib

from benchmarks.figures import Figure
from benchmarks.shapes import Shape

matplotlib.use("Agg")
from matplotlib import pyplot

_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "llama-cpp-python",
    "openai-whisper",
    "faster-whisper",
)
_NF4_BYTES = 0.5 + 2 / 64  # of a weight: four bits, and a bf16 scale for 64 of them
# Sum over an array that no cache holds, in a process of its own: this one's threads belong to the engine.
_BANDWIDTH = """
import time, torch
array, best = torch.ones(256 * 2**20 // 4), 0.0
for _ in range(20):
    begun = time.perf_counter(); array.sum(); best = max(best, array.nbytes / (time.perf_counter() - begun))
print(best)
"""


@dataclass(frozen=True)
class Machine:
    """Where it was measured; `bandwidth` is bytes per second that all cores read together."""

    processor: str
    threads: int
    bandwidth: float
    versions: dict[str, str]

    @property
    def title(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        speed = f"{self.threads} threads, {self.bandwidth / 1e9:.0f} GB/s read"
        return f"{self.processor}, {speed}; {versions}; {date.today()}."


@dataclass(frozen=True)
class Results:
    """One run; `bytes_each` is memory per parameter of a resident adapter."""

    shape: Shape
    machine: Machine
    figures: list[Figure]
    bytes_each: float

    @property
    def limit(self) -> float:
        """Tokens per second if a token cost nothing but reading the 4-bit weights once."""
        return self.machine.bandwidth / (self.shape.weights * _NF4_BYTES)


def machine(threads: int) -> Machine:
    """This one. Call it before anything else computes."""
    done = subprocess.run([sys.executable, "-c", _BANDWIDTH], capture_output=True, text=True, check=True)
    return Machine(_processor(), threads, float(done.stdout), _versions())


def line(figure: Figure) -> str:
    """One figure on the terminal."""
    low, high = figure.interval
    verdict = "holds" if figure.holds else "MISSED"
    return (
        f"{figure.title}: {_median(figure.ours)} {figure.unit} against {_median(figure.other)} "
        f"({figure.against}), ratio {figure.ratio:.2f} [{low:.2f}, {high:.2f}], bar {figure.bar}: {verdict}"
    )


def write(results: Results, out: Path) -> None:
    """RESULTS.md, the plot and the raw numbers, and the table on the terminal."""
    name = results.shape.name
    (out / f"results-{name}.json").write_text(json.dumps(_plain(results), indent=1) + "\n", encoding="utf-8")
    _draw(results, out / f"results-{name}.png")
    keep(results.shape.title, _text(results), out)


def keep(title: str, text: str, out: Path) -> None:
    """Put a part of RESULTS.md in place of the one with this title."""
    kept = out / "RESULTS.md"
    parts = dict(_parts(kept.read_text(encoding="utf-8"))) if kept.exists() else {}
    parts[title] = f"## {title}\n\n{text.strip()}\n"
    kept.write_text("\n".join([_HEAD, *(parts[name] for name in sorted(parts))]), encoding="utf-8")
    print(f"\n{text}\nwritten: {kept}")


_HEAD = """# Benchmarks

Made by `make bench` and `make bench-quick`: models with random weights in the shape of real ones, adapters of
rank 16 on all linear layers. The contenders run in processes of their own and take turns; every figure is
the ratio of medians over all pairs, with the interval of a bootstrap. llama.cpp holds one adapter and answers
one request at a time; the others have four adapters in memory.
"""


def table(figures: Sequence[Figure]) -> list[str]:
    """Lines of Markdown."""
    head = ["| figure | ours | other | against | ratio | bar | |", "|---|---|---|---|---|---|---|"]
    return head + [_row(figure) for figure in figures]


def _text(results: Results) -> str:
    rate = next(statistics.median(f.ours) for f in results.figures if f.title.startswith("one stream"))
    return "\n".join(
        [
            results.machine.title,
            "",
            *table(results.figures),
            "",
            f"One stream makes {rate:.1f} tokens/s, {rate / results.limit:.0%} of the {results.limit:.1f}",
            "that the memory allows if a token cost nothing but reading the 4-bit weights once.",
            f"A resident adapter takes {results.bytes_each:.2f} bytes per parameter (bar: 4.8).",
            "",
            f"![the figures as a plot](results-{results.shape.name}.png)",
            "",
        ]
    )


def _row(figure: Figure) -> str:
    low, high = figure.interval
    cells = (
        f"{figure.title} ({figure.unit})",
        _median(figure.ours),
        _median(figure.other),
        figure.against,
        f"{figure.ratio:.2f} [{low:.2f}, {high:.2f}]",
        figure.bar,
        "holds" if figure.holds else "**missed**",
    )
    return f"| {' | '.join(cells)} |"


def _draw(results: Results, file: Path) -> None:
    """Ratios so that longer is better: times are turned round."""
    names, values, lows, highs, bars = [], [], [], [], []
    for figure in results.figures:
        low, high = figure.interval
        value, bar = figure.ratio, float(figure.bar.split()[-1])
        if figure.unit == "s":
            value, low, high, bar = 1 / value, 1 / high, 1 / low, 1 / bar
        names.append(f"{figure.title.partition(':')[0]}\nagainst {figure.against}")
        values.append(value)
        lows.append(value - low)
        highs.append(high - value)
        bars.append(bar)
    drawing, axes = pyplot.subplots(figsize=(9, 0.6 * len(names) + 1))
    places = range(len(names))
    axes.barh(places, values, xerr=[lows, highs], color="#5b7db1", error_kw={"ecolor": "#333333"})
    # the bar of each figure
    axes.scatter(bars, places, marker="|", s=300, color="#c0392b", zorder=3, label="bar")
    axes.axvline(1, color="#999999", linewidth=0.8)
    axes.set_yticks(places, names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("times as fast (95 % interval)")
    axes.set_title(f"{results.shape.title}, {results.machine.threads} threads")
    axes.legend(loc="lower right")
    drawing.tight_layout()
    drawing.savefig(file, dpi=110)
    pyplot.close(drawing)


def _plain(results: Results) -> dict:
    return {
        "shape": results.shape.title,
        "machine": vars(results.machine),
        "limit_tokens_per_second": results.limit,
        "bytes_per_adapter_parameter": results.bytes_each,
        "figures": [
            vars(figure) | {"ratio": figure.ratio, "interval": figure.interval, "holds": figure.holds}
            for figure in results.figures
        ],
    }


def _parts(text: str) -> list[tuple[str, str]]:
    return [(part.split("\n", 1)[0], f"## {part}") for part in text.split("\n## ")[1:]]


def _median(values: list[float]) -> str:
    return f"{_middle(values):.3g}"


def _middle(values: list[float]) -> float:
    return statistics.median(values)


def _processor() -> str:
    names = [
        row.partition(":")[2].strip()
        for row in Path("/proc/cpuinfo").read_text().splitlines()
        if row.startswith("model name")
    ]
    return names[0] if names else platform.processor()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
