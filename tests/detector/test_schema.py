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
MIXED = Schema(("a", "b", "c"), categories={"b": ("x", "", "é\n"), "a": ("y",)}, booleans=("c",))


@pytest.mark.parametrize("schema", [FULL, Schema(("only",)), MIXED])
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
        ({"features": ("half \ud800",)}, "control characters"),
        ({"features": ("a",), "categories": {"z": ("x",)}}, "text features that are no features: z"),
        ({"features": ("a",), "booleans": ("z",)}, "boolean features that are no features: z"),
        ({"features": ("a",), "booleans": ("a",), "categories": {"a": ("x",)}}, "both text and boolean: a"),
        ({"features": ("a",), "categories": {"a": ()}}, "text feature 'a' has no values"),
        ({"features": ("a",), "categories": {"a": ("x", "x")}}, "text feature 'a' has a value twice"),
        ({"features": ("a",), "categories": {"a": ("x", 7)}}, "text feature 'a' has value 7, UTF-8"),
        ({"features": ("a",), "categories": {"a": ("x" * 257,)}}, "of 256 characters at most wanted"),
        ({"features": ("a",), "categories": {"a": ("\udfff",)}}, "UTF-8 of 256 characters"),
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


def test_older_manifests() -> None:
    """Plain values of before there were text and boolean features are a schema without any."""
    values = FULL.to_dict()
    del values["categories"], values["booleans"]
    assert Schema.from_dict(values) == FULL


def test_largest() -> None:
    """The matrix holds 1 at most for a boolean, the count of its values for a text; a number has no largest."""
    assert [MIXED.largest(name) for name in MIXED.features] == [1, 3, 1]
    assert FULL.largest("a") is None


def test_schemas_are_hashable() -> None:
    """A schema can be looked up by what it is."""
    assert {MIXED: 1}[Schema.from_dict(MIXED.to_dict())] == 1


@given(st.lists(st.text(max_size=5), min_size=1, max_size=8, unique=True))
def test_every_text_finds_its_place(texts: list[str]) -> None:
    """Any texts that a schema accepts are decoded to their places, as they are and in escapes."""
    try:
        schema = Schema(("a",), categories={"a": tuple(texts)})
    except ValueError:
        assert any("\ud800" <= character <= "\udfff" for text in texts for character in text)
        return
    rows, rejects = Decoder(schema).decode([json_message({"a": text}) for text in texts])
    assert rejects == []
    assert rows.matrix[:, 0].tolist() == list(range(len(texts)))


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
