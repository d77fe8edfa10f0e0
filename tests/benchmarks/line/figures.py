"""Figures: medians, percentiles, goals, knees, and the tables that they stand in. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Cell = str | int | float | None
"""What stands in a table; None for nothing."""

FLAT = 1.2
"""A cost is flat as long as it stays below so many times the least before it; beyond lies the knee."""

COMPARED = ("", "detector", "bare loop", "ratio", "goal", "met")


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that a figure is to keep. of_ratio: the figure's ratio to the bare loop's is meant."""

    least: float = -math.inf
    most: float = math.inf
    of_ratio: bool = False

    def met(self, figure: float) -> bool:
        """Whether it keeps the bound."""
        return self.least <= figure <= self.most

    def text(self) -> str:
        """The bound for a person."""
        sign, bound = ("≥", self.least) if self.least > -math.inf else ("≤", self.most)
        return f"ratio {sign} {bound:g}" if self.of_ratio else f"{sign} {bound:g}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a title; its first column is text. notes: what a reader must know, a sentence each."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """What a part found. raw: every figure, for a program."""

    name: str
    tables: list[Table]
    raw: Any = field(default_factory=dict)


def median(figures: Sequence[float]) -> float:
    """The middle one."""
    return float(statistics.median(figures))


def percentile(figures: Sequence[float], percent: float) -> float:
    """The least figure that so many percent of all do not exceed (nearest rank); ValueError where there is none."""
    if not figures:
        raise ValueError("no figures, so no percentile of them")
    ranked = sorted(figures)
    return ranked[max(math.ceil(percent / 100 * len(ranked)), 1) - 1]


def judged(figure: float, goal: Goal | None) -> tuple[str, str]:
    """A goal, and whether it is met, as cells."""
    return (goal.text(), "yes" if goal.met(figure) else "NO") if goal else ("", "")


def compared(what: str, detector: Sequence[float], bare: Sequence[float], goal: Goal | None = None) -> list[Cell]:
    """A row of COMPARED: the medians of both, their ratio, and the goal."""
    ours, theirs = median(detector), median(bare) if bare else None
    ratio = ours / theirs if theirs else None
    judgement = judged((ratio or 0.0) if goal and goal.of_ratio else ours, goal)
    return [what, ours, theirs, ratio, *judgement]


def knee(places: Sequence[float], costs: Sequence[float]) -> float | None:
    """The first place whose cost is FLAT times the least before it; None where the curve is flat or falls."""
    for i in range(1, len(costs)):
        if costs[i] > FLAT * min(costs[:i]):
            return places[i]
    return None


def named_knee(what: str, places: Sequence[float], costs: Sequence[float]) -> str:
    """The knee in words."""
    found = knee(places, costs)
    if found is None:
        return f"{what}: no knee; the cost stays below {FLAT:g} times its least before."
    return f"{what}: knee at {found:,.0f}, where the cost first exceeds {FLAT:g} times the least before."


def slope(places: Sequence[float], figures: Sequence[float]) -> float:
    """The least-squares slope; 0 where there are fewer than two places."""
    if len(set(places)) < 2:
        return 0.0
    return float(statistics.linear_regression(places, figures).slope)


def stage_table(rows: int, seconds: float, stages: dict[str, float]) -> dict[str, float]:
    """Microseconds a row of each stage, of what is between them, and of all."""
    told = {name: spent / rows * 1e6 for name, spent in stages.items()}
    everything = seconds / rows * 1e6
    return {**told, "between": everything - sum(told.values()), "all": everything}
