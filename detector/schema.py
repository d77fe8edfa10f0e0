"""Which columns make a row, in which order, and what the others mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_UNREADABLE = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
"""What JSON must escape in a name and the fast decoder does not take, and halves of surrogates, which are no UTF-8."""

LONGEST_CATEGORY = 256
"""Characters of the longest text that is a value of its own; what is longer is "other"."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The shape of a row.

    features: names of the model's inputs, in the order of the matrix' columns.
    optional: features that may be missing from a row (their histories had gaps); NaN in the matrix.
    key, time, label: columns of history that name the entity, the event time and the truth.
    normal: the label's value for a normal row, as text.
    categories: the values of each text feature. The matrix holds a value's position, and len(values) for any other.
    booleans: features that are true or false; 1 or 0 in the matrix.
    """

    features: tuple[str, ...]
    optional: tuple[str, ...] = ()
    key: str | None = None
    time: str | None = None
    label: str | None = None
    normal: str = "0"
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    booleans: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.features:
            raise ValueError("a schema needs at least one feature")
        if len(set(self.features)) != len(self.features):
            raise ValueError("a schema names a feature twice")
        if odd := [name for name in self.features if not readable(name)]:
            raise ValueError(f"feature {odd[0]!r}: a name without quotes, backslashes and control characters is wanted")
        self._refuse_unknown(self.optional, "optional")
        self._refuse_unknown(self.categories, "text")
        self._refuse_unknown(self.booleans, "boolean")
        if both := set(self.booleans) & set(self.categories):
            raise ValueError(f"features that are both text and boolean: {', '.join(sorted(both))}")
        for name, values in self.categories.items():
            _refuse_values(name, values)
        if self.label in self.features:
            raise ValueError(f"the label {self.label!r} cannot be a feature")

    def _refuse_unknown(self, names: Iterable[str], kind: str) -> None:
        if unknown := set(names) - set(self.features):
            raise ValueError(f"{kind} features that are no features: {', '.join(sorted(unknown))}")

    def largest(self, feature: str) -> int | None:
        """The largest whole number that the matrix holds for a text or boolean feature; None for a number."""
        if feature in self.booleans:
            return 1
        values = self.categories.get(feature)
        return None if values is None else len(values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return {
            "features": list(self.features),
            "optional": list(self.optional),
            "key": self.key,
            "time": self.time,
            "label": self.label,
            "normal": self.normal,
            "categories": {name: list(values) for name, values in self.categories.items()},
            "booleans": list(self.booleans),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Schema:
        """The inverse of `to_dict`; a key that is missing or unknown is an error.

        Manifests of before there were text and boolean features have no `categories` and no `booleans`.
        """
        named = {name: tuple(texts) for name, texts in dict(values.get("categories", {})).items()}
        lists = {name: tuple(values[name]) for name in ("features", "optional")}
        booleans = tuple(values.get("booleans", ()))
        return cls(**{**values, **lists, "categories": named, "booleans": booleans})


def readable(name: str) -> bool:
    """Whether a feature can have this name."""
    return _UNREADABLE.search(name) is None


def categorical(text: str) -> bool:
    """Whether a text can be a value of its own: UTF-8, and no longer than LONGEST_CATEGORY characters."""
    return len(text) <= LONGEST_CATEGORY and not any("\ud800" <= character <= "\udfff" for character in text)


def _refuse_values(name: str, values: tuple[str, ...]) -> None:
    if not values:
        raise ValueError(f"text feature {name!r} has no values")
    if len(set(values)) != len(values):
        raise ValueError(f"text feature {name!r} has a value twice")
    if odd := [value for value in values if not (isinstance(value, str) and categorical(value))]:
        raise ValueError(f"text feature {name!r} has value {odd[0]!r:.40}, UTF-8 of 256 characters at most wanted")
