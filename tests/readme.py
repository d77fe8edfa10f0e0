"""The pages' tables, made from the code. `python -m tests.readme` writes them into them; a test compares them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from detector.alerts import ModelName
from detector.client_figures import families
from detector.drift import Drift, Reference
from detector.errors import EXIT_CODES
from detector.feedback.figures import Shown
from detector.log import EVENTS
from detector.metrics import Families, Metrics
from detector.preflight import needed
from detector.rows import REASONS
from detector.settings import (
    AuditSettings,
    CheckSettings,
    ConsoleSettings,
    DeadLetterSettings,
    FeedbackSettings,
    Settings,
    TopicSettings,
    default_text,
    flag,
)
from detector.threshold import METHODS
from replay.backtest.settings import Settings as BacktestSettings
from replay.inject.scenarios import SCENARIOS
from replay.inject.spec import KINDS
from replay.lateness import Lateness
from replay.metrics import Figures
from replay.metrics import Metrics as ReplayMetrics
from replay.settings import Settings as ReplaySettings
from trainer.recipes import RECIPES

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TRAINER = ROOT / "trainer" / "README.md"
ACCESS = ROOT / "deploy" / "access.md"
PAGES = (README, TRAINER, ACCESS)


def blocks() -> dict[Path, dict[str, str]]:
    """By page and marker, the text that belongs between the marker and its end."""
    return {README: _main(), TRAINER: _trainer(), ACCESS: {"acls": acls_table()}}


def _trainer() -> dict[str, str]:
    return {
        "recipes": table(("recipe", "for"), ((f"`{name}`", one.about) for name, one in RECIPES.items())),
        "thresholds": table(("method", "finds"), ((f"`{name}`", meaning) for name, meaning in METHODS.items())),
    }


def _main() -> dict[str, str]:
    return {
        "reasons": table(("reason", "meaning"), ((f"`{name}`", meaning) for name, meaning in REASONS.items())),
        "detector-settings": settings_table(Settings),
        "topic-settings": settings_table(TopicSettings),
        "check-settings": settings_table(CheckSettings, beside=Settings),
        "audit-settings": settings_table(AuditSettings),
        "dead-letter-settings": settings_table(DeadLetterSettings),
        "feedback-settings": settings_table(FeedbackSettings),
        "console-settings": settings_table(ConsoleSettings),
        "replay-settings": settings_table(ReplaySettings),
        "injections": table(
            ("spec", "does", "example"),
            ((f"`{name}{kind.form}`", kind.meaning, f"`{kind.example}`") for name, kind in KINDS.items()),
        ),
        "scenarios": table(
            ("name", "stands for", "injects", "the detector's answer"),
            (
                (f"`{name}`", one.about, " ".join(f"`{spec}`" for spec in one.specs), one.expect)
                for name, one in SCENARIOS.items()
            ),
        ),
        "backtest-settings": settings_table(BacktestSettings),
        "metrics": metrics_table(detector_registry()),
        "client-metrics": metrics_table(Families(lambda: families({})).registry),
        "log-events": table(("event", "level", "fields", "meaning"), _events()),
        "feedback-metrics": metrics_table(Families(Shown().families).registry),
        "replay-metrics": metrics_table(ReplayMetrics(lambda: Figures(0, 0, 0, 0, Lateness())).registry),
        "exit-codes": table(("code", "meaning"), ((str(code), meaning) for code, meaning in EXIT_CODES.items())),
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *(map(escaped, row) for row in rows))]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def escaped(cell: str) -> str:
    """A cell that does not end its column."""
    return cell.replace("|", "\\|")


def settings_table(cls: type[Any], beside: type[Any] | None = None) -> str:
    """Flag, default and meaning of each setting. beside: a class whose settings are told elsewhere."""
    rows = []
    elsewhere = {f.name for f in fields(beside)} if beside else set()
    for f in fields(cls):
        if f.name in elsewhere:
            continue
        choices = " ".join(f"`{choice}`" for choice in f.metadata["choices"])
        meaning = f.metadata["meaning"] + (f" ({choices})" if choices else "")
        default = default_text(f)
        rows.append((f"`{flag(f)}`", f"`{default}`" if default not in ("", "required") else default, meaning))
    return table(("flag", "default", "meaning"), rows)


def acls_table() -> str:
    """What a detector of default settings must be allowed."""
    rows = []
    for one in needed(Settings(bootstrap_servers="", model=Path())):
        name = f"those that begin with `{one.name}`" if one.prefixed else f"`{one.name}`"
        rows.append((one.resource, name, f"`{one.operation}`"))
    return table(("resource", "name", "operation"), rows)


def _events() -> Iterable[Sequence[str]]:
    for name, event in EVENTS.items():
        yield f"`{name}`", event.level, " ".join(f"`{field}`" for field in event.fields.split()), event.meaning


def detector_registry() -> CollectorRegistry:
    """The metrics of a detector that has done nothing yet, with a model of one feature."""
    nothing = Reference.of([np.zeros(1, np.float32)] * 2)
    return Metrics(1.0, ModelName("", "", ""), Drift(nothing, ["feature"])).registry


def metrics_table(registry: Any) -> str:
    """Name, type and meaning of each metric of a registry, as Prometheus shows them."""
    suffix = {"counter": "_total", "info": "_info"}
    found = sorted((m.name + suffix.get(m.type, ""), m.type, m.documentation) for m in registry.collect())
    return table(("metric", "type", "meaning"), ((f"`{name}`", kind, meaning) for name, kind, meaning in found))


def filled(page: Path) -> str:
    """A page with every table made anew."""
    text = page.read_text()
    for name, content in blocks()[page].items():
        pattern = re.compile(rf"<!-- {name} -->\n.*?<!-- /{name} -->", re.DOTALL)
        assert pattern.search(text), f"{page} has no block {name}"
        text = pattern.sub(lambda _, n=name, c=content: f"<!-- {n} -->\n{c}\n<!-- /{n} -->", text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    for one in PAGES:
        one.write_text(filled(one))
