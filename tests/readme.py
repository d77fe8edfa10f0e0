"""The pages' tables, made from the code. `python -m tests.readme` writes them into them; a test compares them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from deploy.local.settings import Settings as DemoSettings
from detector.alerts import ModelName
from detector.client_figures import families
from detector.commands.create_topics import FOR_EVER, configs
from detector.drift import Drift, Reference
from detector.errors import EXIT_CODES
from detector.families import Families
from detector.feedback.figures import Shown
from detector.kafka import COMPACTED
from detector.log import EVENTS
from detector.metrics import Metrics
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
    dead_letters_of,
    default_text,
    flag,
)
from detector.threshold import METHODS
from detector.topics import TOPICS
from replay.backtest.settings import Settings as BacktestSettings
from replay.inject.scenarios import SCENARIOS
from replay.inject.spec import KINDS
from replay.lateness import Lateness
from replay.metrics import Figures
from replay.metrics import Metrics as ReplayMetrics
from replay.settings import Settings as ReplaySettings
from trainer.__main__ import COMMANDS as TRAINER_COMMANDS
from trainer.fetch.cache import place
from trainer.metrics import METRICS as TRAINER_METRICS
from trainer.recipes import RECIPES

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FOLDERS = ("deploy", "detector", "replay", "tests", "trainer")
PAGES = tuple(sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]))
"""Every page of the project."""

TRAINER = ROOT / "trainer" / "README.md"
MEASURED = ROOT / "tests" / "benchmarks" / "README.md"
PROTOCOLS = ROOT / "tests" / "benchmarks" / "detection" / "README.md"


def blocks() -> dict[Path, dict[str, str]]:
    """By page and marker, the text that belongs between the marker and its end."""
    detector, replay, trainer = ROOT / "detector", ROOT / "replay", ROOT / "trainer"
    return {
        README: {"figures": figures(MEASURED.read_text()), "detection": detection(PROTOCOLS.read_text())},
        detector / "README.md": _detector(),
        detector / "rows" / "README.md": {
            "reasons": table(("reason", "meaning"), quoted(REASONS)),
            "dead-letter-settings": settings_table(DeadLetterSettings, Settings, "../README.md"),
        },
        detector / "metrics.md": _metrics(),
        detector / "logs.md": {"log-events": table(("event", "level", "fields", "meaning"), _events())},
        detector / "audit" / "README.md": {"audit-settings": settings_table(AuditSettings, Settings, "../README.md")},
        detector / "feedback" / "README.md": {
            "feedback-settings": settings_table(FeedbackSettings, Settings, "../README.md")
        },
        detector / "console" / "README.md": {
            "console-settings": settings_table(ConsoleSettings, Settings, "../README.md")
        },
        replay / "README.md": {
            "replay-settings": settings_table(ReplaySettings),
            "replays": table(*_replays()),
        },
        replay / "inject" / "README.md": _inject(),
        replay / "backtest" / "README.md": {"backtest-settings": settings_table(BacktestSettings)},
        trainer / "README.md": {
            "recipes": table(("recipe", "for"), quoted({name: one.about for name, one in RECIPES.items()})),
            "thresholds": table(("method", "finds"), quoted(METHODS)),
        },
        trainer / "commands" / "README.md": {"commands": _trainer()},
        ROOT / "deploy" / "access.md": {"acls": acls_table()},
        ROOT / "deploy" / "local" / "README.md": {"demo-settings": settings_table(DemoSettings)},
    }


def _detector() -> dict[str, str]:
    return {
        "topics": table(("topic (default)", "written by", "key", "value", "kept"), _topics()),
        "detector-settings": settings_table(Settings),
        "topic-settings": settings_table(TopicSettings),
        "check-settings": settings_table(CheckSettings, Settings),
        "exit-codes": table(("code", "meaning"), ((str(code), meaning) for code, meaning in EXIT_CODES.items())),
    }


def _metrics() -> dict[str, str]:
    replayed = ReplayMetrics(lambda: Figures(0, 0, 0, 0, Lateness()))
    return {
        "metrics": metrics_table(detector_registry()),
        "client-metrics": metrics_table(Families(lambda: families({})).registry),
        "feedback-metrics": metrics_table(Families(Shown().families).registry),
        "replay-metrics": metrics_table(replayed.registry),
        "trainer-metrics": table(
            ("metric", "type", "meaning"),
            sorted((f"`trainer_{name}`", "gauge", meaning) for name, meaning in TRAINER_METRICS.items()),
        ),
    }


def _inject() -> dict[str, str]:
    return {
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
    }


def quoted(meanings: dict[str, str]) -> Iterable[Sequence[str]]:
    """Rows of a name, as code, and its meaning."""
    return ((f"`{name}`", meaning) for name, meaning in meanings.items())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *(map(escaped, row) for row in rows))]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def escaped(cell: str) -> str:
    """A cell that does not end its column."""
    return cell.replace("|", "\\|")


def settings_table(cls: type[Any], told: type[Any] | None = None, page: str = "") -> str:
    """Flag, default and meaning of each setting.

    told: a class whose settings are told on `page`; one that is the same there is named alone, below the table. Of a
    class that has them all, what is left stands in the table and nothing is named.
    """
    theirs = {f.name: f for f in fields(told)} if told else {}
    shared = [f for f in fields(cls) if f.name in theirs and _same(f, theirs[f.name])]
    found = table(("flag", "default", "meaning"), (_setting(f) for f in fields(cls) if f not in shared))
    if not told or len(shared) == len(theirs):
        return found
    names = ", ".join(f"`{flag(f)}`" for f in shared)
    return f"{found}\n\nAs [of `run`]({page}#settings): {names}."


def _same(one: Field[Any], other: Field[Any]) -> bool:
    return (default_text(one), one.metadata) == (default_text(other), other.metadata)


def _setting(f: Field[Any]) -> Sequence[str]:
    choices = " ".join(f"`{choice}`" for choice in f.metadata["choices"])
    meaning = f.metadata["meaning"] + (f" ({choices})" if choices else "")
    default = default_text(f)
    return f"`{flag(f)}`", f"`{default}`" if default not in ("", "required") else default, meaning


def _topics() -> Iterable[Sequence[str]]:
    """Every topic by its default name, with what `create-topics` has the broker keep of it."""
    rows_days, alerts_days = 1, 2
    defaults = TopicSettings(bootstrap_servers="", rows_days=rows_days, alerts_days=alerts_days)
    kept = {
        **{_days(rows_days): "`--rows-days`", _days(alerts_days): "`--alerts-days`"},
        **{str(COMPACTED): "last record of each key", str(FOR_EVER): "for ever"},
    }
    for setting, one in TOPICS.items():
        name = getattr(defaults, setting) or dead_letters_of(defaults.input_topic)
        yield f"`{name}`", one.writer, one.key, one.value, kept[str(configs(defaults)[name])]


def _days(days: int) -> str:
    return str({"retention.ms": str(days * 86_400_000)})


def _replays() -> tuple[Sequence[str], Iterable[Sequence[str]]]:
    value = "how far it came, written in the transaction of its rows; compacted, made where it is not there"
    return ("topic (default)", "key", "value"), [(f"`{ReplaySettings.resume_topic}`", "the replay's name", value)]


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


def _trainer() -> str:
    """A heading, what it does, and its arguments, of each command of the trainer."""
    parts = []
    for name, command in TRAINER_COMMANDS.items():
        parser = argparse.ArgumentParser(add_help=False)
        command.add(parser)
        about = f"{command.ABOUT[0].upper()}{command.ABOUT[1:]}."
        parts.append(f"## {name}\n\n{about}\n\n" + table(("argument", "meaning"), map(_argument, parser._actions)))
    return "\n\n".join(parts)


def _argument(action: argparse.Action) -> Sequence[str]:
    name = action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
    takes = f" {action.metavar}" if action.option_strings and isinstance(action.metavar, str) else ""
    wanted = " (required)" if action.option_strings and action.required else ""
    meaning = str(action.help).replace("%%", "%").replace(str(place("")), "the user's cache directory")
    return f"`{name}{takes}`", meaning + wanted


def figures(page: str) -> str:
    """The README's table of how fast it is, out of the tables of the page that tells all."""
    forms, name = {"packed": "packed", "json": "JSON, 800 bytes", "avro": "Avro"}, "cards-30-14-7-4"
    rates, memory = section(page, "Rows a second"), section(page, "Peak memory")
    latency = section(page, "From row to read_committed alert, ms")
    return table(
        ("", *forms.values()),
        [
            ("rows a second", *(rates[f"{form} rows, {name}"][0] for form in forms)),
            ("the bare client's loop", *(rates[f"{form} rows, {name}"][1] for form in forms)),
            ("rows a second, recipe `default`", *(rates[f"{form} rows, default"][0] for form in forms)),
            (
                "row to alert at 10,000 rows/s, median / 99 %, ms",
                *(" / ".join(latency[f"{form}, 10,000 rows/s, {p}"][0] for p in ("p50", "p99")) for form in forms),
            ),
            ("peak memory, MB", *(memory[f"{form} rows, {name}"][0] for form in forms)),
        ],
    )


def detection(page: str) -> str:
    """The README's table of how well it detects: AUROC / average precision, out of the page of the protocols."""
    data = {"P1": "credit cards", "P2": "heartbeats", "P3": "Handbook", "P4": "Twitter"}
    methods = {
        "default": "`default`, one recipe for all",
        "iforest": "PyOD's IForest",
        "knn": "PyOD's KNN",
        "autoencoder": "PyOD's AutoEncoder",
        "hist-gradient-boosting": "with labels: scikit-learn's gradient boosting",
    }
    found = [section(page, protocol) for protocol in data]
    rows = ((told, *(_judged(one, method) for one in found)) for method, told in methods.items())
    return table(("method", *data.values()), rows)


def _judged(found: dict[str, list[str]], method: str) -> str:
    return " / ".join(found[method][found["method"].index(name)].split(" ")[0] for name in ("AUROC", "AP"))


def section(page: str, heading: str) -> dict[str, list[str]]:
    """The first table below a heading that begins so: by each line's first cell the others, the head's among them."""
    part = re.search(rf"^#+ {re.escape(heading)}.*?$(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert part, heading
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part[1].splitlines() if line[:1] == "|"]
    return {first: rest for first, *rest in lines}


def filled(page: Path) -> str:
    """A page with every table made anew."""
    text = page.read_text()
    for name, content in blocks().get(page, {}).items():
        pattern = re.compile(rf"<!-- {name} -->\n.*?<!-- /{name} -->", re.DOTALL)
        assert pattern.search(text), f"{page} has no block {name}"
        text = pattern.sub(lambda _, n=name, c=content: f"<!-- {n} -->\n{c}\n<!-- /{n} -->", text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    for one in blocks():
        one.write_text(filled(one))
