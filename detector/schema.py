"""Which columns make a row, in which order, and what the others mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_UNREADABLE = re.compile(r'["\\\x00-\x1f]')
"""What JSON must escape in a name, and the fast decoder does not take."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The shape of a row.

    features: names of the model's inputs, in the order of the matrix' columns.
    optional: features that may be missing from a row (their histories had gaps); NaN in the matrix.
    key, time, label: columns of history that name the entity, the event time and the truth.
    normal: the label's value for a normal row, as text.
    """

    features: tuple[str, ...]
    optional: tuple[str, ...] = ()
    key: str | None = None
    time: str | None = None
    label: str | None = None
    normal: str = "0"

    def __post_init__(self) -> None:
        if not self.features:
            raise ValueError("a schema needs at least one feature")
        if len(set(self.features)) != len(self.features):
            raise ValueError("a schema names a feature twice")
        if odd := [name for name in self.features if _UNREADABLE.search(name)]:
            raise ValueError(f"feature {odd[0]!r}: a name without quotes, backslashes and control characters is wanted")
        if unknown := set(self.optional) - set(self.features):
            raise ValueError(f"optional features that are no features: {', '.join(sorted(unknown))}")
        if self.label in self.features:
            raise ValueError(f"the label {self.label!r} cannot be a feature")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return {
            "features": list(self.features),
            "optional": list(self.optional),
            "key": self.key,
            "time": self.time,
            "label": self.label,
            "normal": self.normal,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Schema:
        """The inverse of `to_dict`; a key that is missing or unknown is an error."""
        return cls(**{**values, "features": tuple(values["features"]), "optional": tuple(values["optional"])})
