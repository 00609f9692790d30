"""report.html: the whole report on one page that needs nothing else, wide or narrow, light or dark."""

from pathlib import Path

from jinja2 import Environment, StrictUndefined

from models.registry import BARE
from training.intervals import Estimate
from training.report import QUANTISATIONS, Report, percent

_TEMPLATE = Path(__file__).with_name("report.html")


def html(report: Report) -> str:
    """The page. Plots are inline SVG measured in per cent, so that they fit any width with readable text."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "heat": _heat, "number": _number}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        readers=[BARE, *report.loss],
        bare=BARE,
        titles=QUANTISATIONS,
        place=_Axis(report).place,
    )


class _Axis:
    """Where a value lies on the one axis that all advantages share, in per cent of its width."""

    def __init__(self, report: Report):
        all_of_them = [e for readers in report.advantage.values() for e in readers.values()]
        self._low = min([0.0, *(e.low for e in all_of_them)])
        self._high = max([0.0, *(e.high for e in all_of_them)]) or 1.0

    def place(self, value: float) -> str:
        return f"{2 + 96 * (value - self._low) / (self._high - self._low):.2f}%"


def _heat(cell: Estimate, row: dict[str, Estimate]) -> int:
    """0 for the reader that loses most on these rows, 100 for the one that loses least."""
    values = [estimate.value for estimate in row.values()]
    spread = max(values) - min(values)
    return round(100 * (max(values) - cell.value) / spread) if spread else 0


def _number(estimate: Estimate, digits: int = 2) -> str:
    """'1.23 [1.10, 1.36]'."""
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
