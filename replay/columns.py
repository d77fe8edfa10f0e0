"""Which columns of history are what: as asked, as a model has them, or found by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from detector import table
from detector.errors import DataRefused, UsageError
from detector.schema import Schema
from replay.settings import ORIGINAL, Settings


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of history are what. features: those that make a row, in order; empty for all there are.

    normal: empty for what is found in the label. categories, booleans: the model's text and boolean features.
    """

    features: tuple[str, ...]
    key: str | None
    time: str | None
    label: str | None
    normal: str
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    booleans: tuple[str, ...] = ()

    @property
    def needed(self) -> list[str]:
        """All columns that are read, each once."""
        return list(dict.fromkeys(name for name in (*self.features, self.key, self.time, self.label) if name))

    def told(self) -> dict[str, str]:
        """What decides the rows, as text by name."""
        roles = {"key": self.key, "time": self.time, "label": self.label, "normal": self.normal}
        coded = [f"{name}={list(texts)!r}" for name, texts in sorted(self.categories.items())] + list(self.booleans)
        return {name: value or "" for name, value in roles.items()} | {
            "features": repr(list(self.features)),
            "categories": repr(coded),
        }


def asked(chosen: Settings, schema: Schema | None) -> Columns:
    """What the person asked for, else what the model's history had."""
    made = table.ACCOUNT_FEATURES if chosen.accounts else ()
    return Columns(
        features=chosen.feature_names or made or (schema.features if schema else ()),
        key=chosen.key or (schema.key if schema else None),
        time=chosen.time or (schema.time if schema else None),
        label=chosen.label or (schema.label if schema else None),
        normal=chosen.normal or (schema.normal if schema else ""),
        categories=schema.categories if schema else {},
        booleans=schema.booleans if schema else (),
    )


def resolved(frame: pd.DataFrame, wanted: Columns, format_: str) -> Columns:
    """Columns that are in the table: those asked for, else those with known names. frame: the table, or its head."""
    label = table.label_column(frame, wanted.label)
    time = table.time_column(frame, wanted.time, leave_out=(label,))
    key = table.key_column(frame, wanted.key, leave_out=(label, time))
    features = wanted.features or _all_but_the_label(frame, label, time, key, format_)
    table.require(frame, features, "feature")
    if not features:
        raise DataRefused(f"no column is left to make a {format_} row of")
    if label and label in (*features, key):
        raise UsageError(f"label column {label!r} would travel in the row; --label none says that it is no label")
    normal = wanted.normal or ("" if label is None else table.normal_value(frame[label]))
    return replace(wanted, features=features, key=key, time=time, label=label, normal=normal)


def _all_but_the_label(
    frame: pd.DataFrame, label: str | None, time: str | None, key: str | None, format_: str
) -> tuple[str, ...]:
    if format_ == "packed":
        return tuple(table.numeric_columns(frame, (label, time, key)))
    return tuple(name for name in frame.columns if name != label)


def refuse_without_time(chosen: Settings) -> None:
    """UsageError where the settings stand on event times, which the data has not; signals make some of their own."""
    needs = "needs event times, and the data has no time column: name it by --time"
    if chosen.pace.by_event and not chosen.as_signal:
        raise UsageError(f"speed {chosen.speed!r} {needs}")
    if chosen.timestamps == ORIGINAL:
        raise UsageError(f"timestamps {ORIGINAL!r} {needs}")
    if chosen.between:
        raise UsageError(f"setting between {needs}")
    if chosen.label_delay and not chosen.as_signal:
        raise UsageError(f"label_delay {chosen.label_delay!r} {needs}")
