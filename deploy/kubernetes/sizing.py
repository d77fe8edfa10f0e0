"""`python -m deploy.kubernetes.sizing`: how far behind fleets of several sizes fall; writes the table of sizing.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from deploy.kubernetes.simulation import Course, Faults, Floats, Load, Scaler, Scenario, simulate

MEASURED = Path(__file__).with_name("service_times.json")
"""Microseconds a row, step by step, by form: `python -m tests.benchmarks.service_times` measures them."""

PAGE = Path(__file__).with_name("sizing.md")
HOUR = 3600.0
SEEDS = range(3)

SCENARIOS = [
    Scenario("1,000 rows/s, calm", "json", Load(rate=1e3, partitions=4), Scaler(least=1, most=1)),
    Scenario(
        "1,000 rows/s, one member that dies",
        "json",
        Load(rate=1e3, partitions=4),
        Scaler(least=1, most=1),
        Faults(between=600),
    ),
    Scenario(
        "1,000 rows/s, two members, one dies",
        "json",
        Load(rate=1e3, partitions=4),
        Scaler(least=2, most=2),
        Faults(between=600),
    ),
    Scenario("100,000 rows/s, calm", "json", Load(rate=1e5, partitions=12), Scaler(least=2, most=12)),
    Scenario(
        "100,000 rows/s, bursts x 10, deaths",
        "json",
        Load(rate=1e5, partitions=12, burst=10),
        Scaler(least=2, most=12),
        Faults(between=600),
    ),
    Scenario(
        "the same, four members at least",
        "json",
        Load(rate=1e5, partitions=12, burst=10),
        Scaler(least=4, most=12),
        Faults(between=600),
    ),
    Scenario(
        "the same, not scaled",
        "json",
        Load(rate=1e5, partitions=12, burst=10),
        Scaler(least=2, most=2),
        Faults(between=600),
    ),
    Scenario(
        "10,000,000 rows/s, bursts x 2, deaths",
        "packed",
        Load(rate=1e7, partitions=96, burst=2),
        Scaler(least=32, most=96, threshold=1_000_000),
        Faults(between=300),
    ),
    Scenario(
        "the same, one partition twice as full",
        "packed",
        Load(rate=1e7, partitions=96, burst=2, skew=2),
        Scaler(least=32, most=96, threshold=1_000_000),
        Faults(between=300),
    ),
]
HEAD = ("scenario", "members", "on average", "p50", "p95", "p99", "worst, s behind", "most rows behind")


def measured() -> dict[str, Floats]:
    """Seconds a row by form."""
    found = json.loads(MEASURED.read_text())["microseconds_a_row"]
    return {form: np.array(samples) / 1e6 for form, samples in found.items()}


def row(scenario: Scenario, courses: list[Course]) -> tuple[str, ...]:
    """A line of the table, over all courses of a scenario."""
    behind, rows, members = (
        np.concatenate([getattr(one, name) for one in courses]) for name in ("seconds", "rows", "members")
    )
    p50, p95, p99 = np.percentile(behind, (50, 95, 99))
    least, most = scenario.scaler.least, int(members.max())
    figures = (f"{value:.1f}" for value in (p50, p95, p99, behind.max()))
    told = f"{least} to {most}" if most > least else str(least)
    return scenario.name, told, f"{members.mean():.1f}", *figures, f"{rows.max():,.0f}"


def table(scenarios: list[Scenario], seconds: float = HOUR) -> str:
    """An hour of each scenario, three times, as Markdown."""
    times = measured()
    lines = [row(one, [simulate(one, times[one.form], seconds, seed) for seed in SEEDS]) for one in scenarios]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (HEAD, ("---",) * len(HEAD), *lines))


def filled(page: str, made: str) -> str:
    """The page with its table made anew."""
    begin, end = (f"<!-- {mark}simulation -->" for mark in ("", "/"))
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{made}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    told = table(SCENARIOS)
    PAGE.write_text(filled(PAGE.read_text(), told))
    print(told)
