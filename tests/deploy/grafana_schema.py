"""Grafana's schema of dashboards, as its own library has it: which keys there may be, and of which type.

The library's classes are generated from the schemas that Grafana publishes for a version. They build JSON and check
nothing; what they say of types is in their annotations, by which it is checked here.
"""

from __future__ import annotations

import enum
import importlib
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import dashboard, prometheus

BESIDE = {dashboard.AnnotationQuery: {"step", "titleFormat", "textFormat", "tagKeys"}}
"""Keys that the published schema leaves to the kind of data source, by class: those of Prometheus' annotations."""

OPTIONS = {dashboard.Panel: "options", dashboard.FieldConfig: "custom"}
"""Where the type depends on the kind of panel."""


def faults(data: Mapping[str, Any]) -> list[str]:
    """What Grafana's schema does not know of a dashboard: place, value, and what was wanted."""
    return list(_of_class(dashboard.Dashboard, data, "dashboard", ""))


def _of(wanted: Any, data: Any, place: str, kind: str) -> Iterator[str]:
    """kind: of the panel around it."""
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        tried = [list(_of(one, data, place, kind)) for one in inner if not (one is types.NoneType and data is not None)]
        yield from min(tried, key=len)
    elif origin is list:
        yield from _each(inner[0], dict(enumerate(data)) if isinstance(data, list) else None, place, kind)
    elif origin is dict:
        yield from _each(inner[1], data if isinstance(data, dict) else None, place, kind)
    elif origin is typing.Literal:
        yield from [] if data in inner else [f"{place}: {data!r}, one of {inner} wanted"]
    elif wanted is variants.Dataquery:
        yield from _of_class(prometheus.Dataquery, data, place, kind)
    elif hasattr(wanted, "to_json"):
        yield from _of_class(wanted, data, place, kind)
    elif not _fits(wanted, data):
        yield f"{place}: {data!r}, {wanted} wanted"


def _fits(wanted: Any, data: Any) -> bool:
    if wanted in (object, Any):
        return True
    if issubclass(wanted, enum.Enum):
        return data in [one.value for one in wanted]
    numbers = (int, float) if wanted is float else wanted
    return isinstance(data, numbers) and not (isinstance(data, bool) and wanted is not bool)


def _each(wanted: Any, data: Mapping[Any, Any] | None, place: str, kind: str) -> Iterator[str]:
    if data is None:
        yield f"{place}: a collection wanted"
    for key, one in (data or {}).items():
        yield from _of(wanted, one, f"{place}.{key}", kind)


def _of_class(cls: Any, data: Any, place: str, kind: str) -> Iterator[str]:
    if not isinstance(data, dict):
        yield f"{place}: {data!r}, {cls.__name__} wanted"
        return
    kind = data["type"].replace("-", "") if cls is dashboard.Panel else kind
    known = _keys(cls)
    for key, one in data.items():
        if key in known:
            special = OPTIONS.get(cls) == key
            yield from _of(_of_kind(kind, cls) if special else known[key], one, f"{place}.{key}", kind)
        elif key not in BESIDE.get(cls, ()):
            yield f"{place}.{key}: {cls.__name__} has no such key"
    for key in known.keys() - data.keys():
        if types.NoneType not in typing.get_args(known[key]):
            yield f"{place}.{key}: missing"


def _of_kind(kind: str, cls: Any) -> Any:
    """The class of a kind's own options, or of how it shows a field; a kind has one, both or neither."""
    module = importlib.import_module(f"grafana_foundation_sdk.models.{kind}")
    return getattr(module, "Options" if cls is dashboard.Panel else "FieldConfig", object)


@cache
def _keys(cls: Any) -> dict[str, Any]:
    """The keys of a class' JSON and their types: each attribute is followed into the JSON that the class writes."""
    hints = typing.get_type_hints(cls)
    follow = cls.__new__(cls)
    for name in hints:
        setattr(follow, name, name)
    return {key: hints[name] for key, name in follow.to_json().items()}
