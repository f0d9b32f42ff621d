"""Figures: one line each on the screen, all of them in bench/latest.json."""

import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

LATEST = Path(__file__).with_name("latest.json")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    Attributes:
        n: samples behind it.
        relation, target: what it must be; None: nothing is demanded.
        note: what one has to know to read it.
    """

    name: str
    value: float
    unit: str
    n: int
    relation: Literal["<=", ">="] | None = None
    target: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the target is reached; None without target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.relation == "<=" else self.value >= self.target

    def __str__(self) -> str:
        line = f"{self.name} {self.value:.4g} {self.unit} n={self.n}"
        if self.target is not None:
            line += f"  (target {self.relation} {self.target:g}: {'ok' if self.ok else 'NOT REACHED'})"
        return f"{line}  [{self.note}]" if self.note else line


class Report:
    """Collects figures; a name ends up once in the file, with its latest value."""

    def __init__(self, echo: Callable[[str], None] = print) -> None:
        self.figures: list[Figure] = []
        self._echo = echo

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        n: int,
        *,
        most: float | None = None,
        least: float | None = None,
        note: str = "",
    ) -> Figure:
        """Record and print a figure that must be at *most* or at *least* something, or is for information."""
        target = most if most is not None else least
        relation: Literal["<=", ">="] | None = None
        if target is not None:
            relation = "<=" if most is not None else ">="
        figure = Figure(name, value, unit, n, relation, target, note)
        self.figures.append(figure)
        self._echo(str(figure))
        return figure

    def say(self, text: str) -> None:
        """Print something that is not a figure."""
        self._echo(text)

    def write(self, path: Path = LATEST) -> None:
        """Merge the figures into the file, so that a run of one benchmark keeps the others' figures."""
        kept: dict[str, dict[str, object]] = {}
        if path.exists():
            kept = {figure["name"]: figure for figure in json.loads(path.read_text())["figures"]}
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for figure in self.figures:
            kept[figure.name] = {**asdict(figure), "ok": figure.ok, "when": when}
        document = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "figures": [kept[name] for name in sorted(kept)],
        }
        path.write_text(json.dumps(document, indent=1) + "\n")


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample below which *share* (0 to 1) of them lie; the largest one if there are too few."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def p50(samples: Sequence[float]) -> float:
    """The median."""
    return statistics.median(samples)
