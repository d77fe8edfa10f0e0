"""The models that are tried: what they are called, which feature is their money, which rows they both can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detector import artifact
from detector.artifact import Artifact
from detector.errors import UsageError
from detector.schema import Schema
from replay.settings import AUTO, FORMATS, NONE

JSON, PACKED = FORMATS


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that is tried. title: for people, one of its own. amount: its feature that is money, "" for none."""

    artifact: Artifact
    title: str
    amount: str


def loaded(paths: Sequence[Path], amount: str) -> list[Subject]:
    """The artifacts, verified. UsageError where the feature asked for as money is none of one."""
    found = [artifact.load(path) for path in paths]
    return [Subject(one, title, _amount(one, amount)) for one, title in zip(found, titles(found), strict=True)]


def titles(found: Sequence[Artifact]) -> list[str]:
    """Name and version of each; its directory where these are the same."""
    named = [f"{one.name.name} version {one.name.version}" for one in found]
    if len(set(named)) == len(named):
        return named
    short = [one.path.resolve().name for one in found]
    return short if len(set(short)) == len(short) else [str(one.path) for one in found]


def _amount(found: Artifact, asked: str) -> str:
    features = found.schema.features
    if asked == NONE:
        return ""
    if asked and asked not in features:
        raise UsageError(f"setting amount has value {asked!r}, which is no feature of model {found.path}")
    known = asked or found.calibration.amount or ""
    return known if known in features else ""


def sent_as(subjects: Sequence[Subject], asked: str) -> tuple[Schema, str]:
    """What a row has to hold for all of them, and the format it is sent in. UsageError where packed rows cannot."""
    first, *others = [one.artifact.schema for one in subjects]
    alike = all(_layout(one) == _layout(first) for one in others)
    if asked == PACKED and not alike:
        raise UsageError("setting format has value 'packed', and the models have different features: json wanted")
    if alike:
        return first, PACKED if asked == AUTO else asked
    features = dict.fromkeys(name for one in (first, *others) for name in one.features)
    return Schema(tuple(features), key=first.key, time=first.time, label=first.label, normal=first.normal), JSON


def _layout(schema: Schema) -> tuple[object, ...]:
    return schema.features, dict(schema.categories), schema.booleans
