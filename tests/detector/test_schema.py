"""What a schema is, and what it refuses to be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.rows import Decoder
from detector.schema import Schema
from tests.messages import json_message

FULL = Schema(("a", "b"), ("b",), "card", "Time", "Class", "1")


@pytest.mark.parametrize("schema", [FULL, Schema(("only",))])
def test_round_trip(schema: Schema) -> None:
    """A schema comes back from its plain values, also through JSON."""
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ({"features": ()}, "at least one feature"),
        ({"features": ("a", "a")}, "twice"),
        ({"features": ("a",), "optional": ("z", "b")}, "no features: b, z"),
        ({"features": ("a", "Class"), "label": "Class"}, "label 'Class' cannot be a feature"),
        ({"features": ("a", 'say "b"')}, "without quotes"),
        ({"features": ("back\\slash",)}, "backslashes"),
        ({"features": ("line\nbreak",)}, "control characters"),
    ],
)
def test_refusals(given_: dict[str, Any], wanted: str) -> None:
    """What cannot be a row's shape is refused with a sentence that names it."""
    with pytest.raises(ValueError, match=wanted):
        Schema(**given_)


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_from_dict_is_strict(change: str) -> None:
    """Plain values that lack a key, or have one more, are no schema."""
    values = FULL.to_dict()
    if change == "missing":
        del values["features"]
    else:
        values["colour"] = "red"
    with pytest.raises((KeyError, TypeError)):
        Schema.from_dict(values)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=1, max_size=4, unique=True))
def test_every_schema_can_be_decoded(names: list[str]) -> None:
    """A schema that was accepted has a decoder, which finds each feature under its name, however odd that is."""
    try:
        schema = Schema(tuple(names))
    except ValueError:
        assert any(character in '"\\' or character < " " for name in names for character in name)
        return
    row = {name: float(place) for place, name in enumerate(names)}
    rows, rejects = Decoder(schema).decode([json_message(row)])
    assert rejects == []
    assert rows.matrix.tolist() == [list(row.values())]
