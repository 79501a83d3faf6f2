"""The course of a reinforcement: a line a round as CSV, and its rewards as a picture."""

import csv
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anabranch.errors import BackendError

FIELDS = (
    "round", "seconds", "drawing_seconds", "step_seconds", "plans", "distinct", "no_plan", "left_out", "reward",
    "recall", "f1", "last_f1", "steps", "passages", "gradient", "kl", "replay_loss", "tune_reward", "tune_recall",
    "tune_f1", "tune_last_f1", "tune_steps", "tune_passages", "request_reward", "request_no_plan",
    "tune_request_reward", "tune_request_no_plan",
)  # fmt: skip
"""The columns; what a round does not have stays empty."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 60, 20, 34, 44
_LINES = (("reward", "#9bb7d4", "drawn plans"), ("tune_reward", "#c2410c", "tuning questions, greedy"))

Row = Mapping[str, float]


def write_curve(folder: Path, rows: Sequence[Row], best: int) -> None:
    """Writes `curve.csv` and `curve.svg`.

    Args:
        folder: where to.
        rows: a mapping of columns for each round, round 0 for the first adapter.
        best: the round that was chosen.

    Raises:
        BackendError: a file cannot be written.
    """
    try:
        with (folder / "curve.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
        (folder / "curve.svg").write_text(picture(rows, best) + "\n", encoding="utf-8")
    except OSError as error:
        raise BackendError(f"cannot write to {folder}: {error}; make room and run again to go on") from error


def picture(rows: Sequence[Row], best: int) -> str:
    """Mean rewards against rounds, as SVG."""
    lines = [[(row["round"], row[name]) for row in rows if name in row] for name, _, _ in _LINES]
    values = [value for line in lines for _, value in line] or [0.0]
    low, high = min(values), max(values)
    step = _step(high - low)
    low, high = math.floor(low / step) * step, max(math.ceil(high / step), math.floor(low / step) + 1) * step
    last = max(1.0, *(row["round"] for row in rows)) if rows else 1.0

    def place(number: float, value: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * number / last
        return across, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    box: dict[str, Any] = {
        "viewBox": f"0 0 {WIDTH} {HEIGHT}",
        "width": WIDTH,
        "font-family": "sans-serif",
        "font-size": 12,
    }
    drawing = _element(None, "svg", xmlns="http://www.w3.org/2000/svg", fill="#333", **box)
    _element(drawing, "rect", width=WIDTH, height=HEIGHT, fill="white")
    for count in range(round((high - low) / step) + 1):
        value = low + count * step
        y = place(0, value)[1]
        _element(drawing, "line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, stroke="#e5e5e5")
        _element(drawing, "text", f"{value:.3g}", x=LEFT - 8, y=y, dy="0.35em", **{"text-anchor": "end"})
    middle = {"text-anchor": "middle"}
    for count in range(6):
        number = round(last * count / 5)
        _element(drawing, "text", str(number), x=place(number, low)[0], y=HEIGHT - BOTTOM + 20, **middle)
    x = place(best, low)[0]
    _element(drawing, "line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, stroke="#999", **{"stroke-dasharray": "4 3"})
    for number, (line, (_, colour, title)) in enumerate(zip(lines, _LINES, strict=True)):
        points = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in line)
        _element(drawing, "polyline", points=points, fill="none", stroke=colour, **{"stroke-width": "2"})
        legend: dict[str, Any] = {"x": LEFT + 10 + 150 * number, "y": TOP - 14, "fill": colour, "font-weight": "bold"}
        _element(drawing, "text", title, **legend)
    _element(drawing, "text", "round (dashed: chosen)", x=WIDTH / 2, y=HEIGHT - 8, **middle)
    return ET.tostring(drawing, encoding="unicode")


def _element(parent: ET.Element | None, name: str, text: str = "", **attributes: Any) -> ET.Element:
    given = {key: f"{value:.1f}" if isinstance(value, float) else str(value) for key, value in attributes.items()}
    made = ET.Element(name, given) if parent is None else ET.SubElement(parent, name, given)
    made.text = text or None
    return made


def _step(span: float) -> float:
    """A round number of which four to ten make up the span."""
    if span <= 0:
        return 0.1
    unit = 10.0 ** math.floor(math.log10(span / 4))
    return next((factor * unit for factor in (1, 2, 5) if span / (factor * unit) <= 8), 10 * unit)
