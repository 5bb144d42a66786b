"""The loop's figures as tables: what was measured, and whether it is within the targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_BASE = "pycromanager, next event when processed"
# Most ms over bare pycromanager: (median, 95 % point); None: not promised.
_TARGETS: Mapping[str, tuple[float, float | None]] = {
    "inscoper_mm, null script, thread": (1.0, 5.0),
    "inscoper_mm, null script, worker": (3.0, 5.0),
    "inscoper_mm, provider skips, worker": (0.3, None),
    "inscoper_mm, provider skips, thread": (0.3, None),
}


@dataclass(frozen=True)
class Cost:
    """Periods of one contestant: the least of the rounds' medians, 95 % points and means."""

    name: str
    median_ms: float
    p95_ms: float
    mean_ms: float


@dataclass(frozen=True)
class Check:
    """A figure that has a target."""

    what: str
    value: float
    most: float
    unit: str

    @property
    def row(self) -> str:
        """The table's row."""
        verdict = "yes" if self.value <= self.most else "**no**"
        return f"| {self.what} | {self.value:.2f} {self.unit} | {self.most:g} {self.unit} | {verdict} |"


def loop_table(costs: Sequence[Cost]) -> str:
    """Periods and differences to bare pycromanager."""
    base = next(cost for cost in costs if cost.name == _BASE)
    lines = [
        "| loop | median ms | p95 ms | mean ms | median - bare | p95 - bare | target |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for cost in costs:
        over, over_p95 = cost.median_ms - base.median_ms, cost.p95_ms - base.p95_ms
        lines.append(
            f"| {cost.name} | {cost.median_ms:.2f} | {cost.p95_ms:.2f} | {cost.mean_ms:.2f} "
            f"| {over:+.2f} | {over_p95:+.2f} | {_verdict(cost.name, over, over_p95)} |"
        )
    return "\n".join(lines)


def _verdict(name: str, over_ms: float, over_p95_ms: float) -> str:
    if name not in _TARGETS:
        return ""
    most, most_p95 = _TARGETS[name]
    text = f"at most +{most:g}" + (f", p95 +{most_p95:g}" if most_p95 is not None else "")
    met = over_ms <= most and (most_p95 is None or over_p95_ms <= most_p95)
    return f"{text}: {'yes' if met else '**no**'}"


def check_table(checks: Sequence[Check]) -> str:
    """Figures with one target each."""
    return "\n".join(
        ["| what | measured | at most | within |", "|---|---|---|---|", *(check.row for check in checks)]
    )


def bound_table(rows: Sequence[tuple[str, str, str, bool]]) -> str:
    """What, the figure, what is asked for, and whether it is met."""
    lines = [
        f"| {what} | {value} | {bound} | {'yes' if met else '**no**'} |" for what, value, bound, met in rows
    ]
    return "\n".join(["| what | measured | asked for | met |", "|---|---:|---:|---|", *lines])
