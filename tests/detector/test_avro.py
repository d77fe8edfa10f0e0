"""Avro rows are what fastavro reads in them; whatever else their bytes are is a reject."""

from __future__ import annotations

import io
import math
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detector.errors import RegistryUnavailable
from detector.rows import Decoder, Reject, Rows, Written
from detector.rows.avro.plan import MOST_STEPS
from detector.schema import Schema
from tests.arrays import f32
from tests.messages import FakeMessage, json_message

ROOT = Path(__file__).parents[2]
NUMBER = 7
SCHEMA = Schema(("a", "b", "c"))
TEXTS = ("x", "", "é", "y" * 256)
MIXED = Schema(("a", "b", "c"), ("a",), categories={"b": TEXTS}, booleans=("c",))
GAPPY = Schema(("a", "b", "c"), ("a", "b", "c"), categories={"b": TEXTS}, booleans=("c",))
SCHEMAS = [SCHEMA, Schema(("a", "b", "c"), optional=("b",)), MIXED, GAPPY]
FIELDS = {"b": "p.b", "c": "p.q.c"}
Found = list[float] | str


def record(*fields: tuple[str, Any], name: str = "Row") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": type_} for field, type_ in fields]}


def record_bytes(schema: Any, value: Any) -> bytes:
    """A value as fastavro writes it."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def framed(body: bytes, number: int = NUMBER) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + body


def message(content: bytes, offset: int = 0, **more: Any) -> FakeMessage:
    return FakeMessage(content, ("transactions", 0, offset), **more)


def decoder(written: Any, schema: Schema = SCHEMA, **more: Any) -> Decoder:
    """A decoder whose registry has this one schema."""
    known = written if isinstance(written, Written) else Written(written)
    return Decoder(schema, "avro", registry=lambda number: known if number == NUMBER else None, **more)


def decode(written: Any, bodies: Sequence[bytes], schema: Schema = SCHEMA, **more: Any) -> tuple[Rows, list[Reject]]:
    return decoder(written, schema, **more).decode([message(framed(one), at) for at, one in enumerate(bodies)])


def only(written: Any, body: bytes, schema: Schema = SCHEMA, **more: Any) -> Found:
    """What comes of one row: its numbers, or the reason why it is none."""
    rows, rejects = decode(written, [body], schema, **more)
    assert len(rows) + len(rejects) == 1
    return rejects[0].reason if rejects else [float(number) for number in rows.matrix[0]]


def same(one: Found, other: Found) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return np.array_equal(one, other, equal_nan=True)


# --- the oracle: fastavro, and a straight reading of what it finds


def straight(row: Any, schema: Schema, paths: Mapping[str, str]) -> Found:
    """A record's float32 numbers, or the reason why it has none: feature by feature."""
    found: list[float] = []
    for name in schema.features:
        one = straight_number(row, name, paths.get(name, name).split("."), schema)
        if isinstance(one, str):
            return one
        found.append(one)
    with np.errstate(over="ignore"):
        narrow = [float(np.float32(one)) for one in found]
    if any(map(math.isinf, narrow)):
        return "not_finite"
    truths = [one for one, name in zip(narrow, schema.features, strict=True) if name in schema.booleans]
    return narrow if all(one in (0, 1) or math.isnan(one) for one in truths) else "not_a_number"


def straight_number(value: Any, name: str, path: list[str], schema: Schema) -> float | str:
    optional = name in schema.optional
    for step in path:
        if value is None and optional:
            return math.nan
        if not isinstance(value, dict):
            return "not_an_object"
        if step not in value:
            return math.nan if optional else "missing_feature"
        value = value[step]
    if value is None and optional:
        return math.nan
    if name in schema.categories:
        known = list(schema.categories[name])
        return float([*known, value].index(value)) if isinstance(value, str) else "not_a_category"
    if name in schema.booleans and isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return "not_a_number"
    # Too large for float64, too, is infinite; and a NaN that was sent is no gap.
    return float(value) if -1e308 < value < 1e308 else math.inf


PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1) | st.integers(-70, 70),
    "float": st.floats(width=32),
    "double": st.floats(),
    "string": st.sampled_from(TEXTS) | st.text(max_size=5),
    "bytes": st.binary(max_size=5),
}
KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "fixed": lambda size: {"type": "fixed", "size": size},
    "enum": lambda size: {"type": "enum", "symbols": ["x", "w", "v"][: size % 3 + 1]},
    "decimal": lambda size: {"type": "bytes", "logicalType": "decimal", "precision": 400, "scale": size},
}
# Of a list's items each takes at least a byte that fastavro misses: else a damaged count makes it read for ever.
ITEMS = st.sampled_from(["boolean", "int", "long", "float", "double", "string", "bytes", ["null", "long"]])


def types(depth: int) -> st.SearchStrategy[Any]:
    """Types without names; `named` gives them some."""
    plain = st.sampled_from(list(PRIMITIVES)) | st.builds(
        lambda kind, size: KINDS[kind](size), st.sampled_from(list(KINDS)), st.integers(0, 9)
    )
    if depth == 0:
        return plain
    inner = types(depth - 1)
    unions = st.lists(plain | records(depth - 1, ("x", "y")), min_size=1, max_size=3, unique_by=kind_of)
    return st.one_of(
        plain,
        plain.filter(lambda one: kind_of(one) != "null").map(lambda one: ["null", one]),
        unions,
        records(depth - 1, ("x", "y")),
        (ITEMS | inner.filter(takes_bytes)).map(lambda item: {"type": "array", "items": item}),
        inner.map(lambda item: {"type": "map", "values": item}),
    )


def kind_of(type_: Any) -> str:
    return str(type_["type"]) if isinstance(type_, dict) else str(type_)


def takes_bytes(type_: Any) -> bool:
    return kind_of(type_) not in ("null", "fixed", "record")


def records(depth: int, names: Sequence[str]) -> st.SearchStrategy[Any]:
    """Records of some of these fields, in any order."""
    chosen = st.dictionaries(st.sampled_from(names), types(depth), max_size=len(names))
    return chosen.map(lambda fields: record(*fields.items()))


def named(type_: Any, counter: list[int]) -> Any:
    """A type in which every record, enum and fixed has a name of its own."""
    if isinstance(type_, list):
        return [named(one, counter) for one in type_]
    if not isinstance(type_, dict):
        return type_
    counter[0] += 1
    given_ = {"name": f"T{counter[0]}"} if type_["type"] in ("record", "enum", "fixed") else {}
    inner = {key: named(type_[key], counter) for key in ("items", "values") if key in type_}
    fields = [{**field, "type": named(field["type"], counter)} for field in type_.get("fields", [])]
    return {**type_, **given_, **inner} | ({"fields": fields} if "fields" in type_ else {})


def values(type_: Any) -> st.SearchStrategy[Any]:
    """Values of a type."""
    if isinstance(type_, list):
        return st.one_of([values(one) for one in type_])
    if isinstance(type_, str):
        return PRIMITIVES[type_]
    simple: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
        "fixed": lambda: st.binary(min_size=type_["size"], max_size=type_["size"]),
        "enum": lambda: st.sampled_from(type_["symbols"]),
        "bytes": lambda: st.integers(-(10**12) + 1, 10**12 - 1).map(lambda n: Decimal(n).scaleb(-type_["scale"])),
        "array": lambda: st.lists(values(type_["items"]), max_size=3),
        "map": lambda: st.dictionaries(st.text(max_size=3), values(type_["values"]), max_size=3),
        "record": lambda: st.fixed_dictionaries({one["name"]: values(one["type"]) for one in type_["fields"]}),
    }
    return simple[type_["type"]]()


def with_nested(inner: Any, deeper: Any, optional: bool) -> Any:
    """Fields p and q of the type that a path leads through."""
    q = record(("z", "string"), ("c", deeper))
    p = record(("q", ["null", q] if optional else q), ("b", inner))
    return ["null", p] if optional else p


anything = types(2)
FITTING: dict[str, list[Any]] = {
    "number": ["double", "float", "long", "int", ["double", "string"], ["null", "long"], KINDS["decimal"](2)],
    "text": ["string", ["string", "null"], {"type": "enum", "symbols": ["x", "q", "w"]}],
    "boolean": ["boolean", ["boolean", "null"]],
}


def fitting(name: str, schema: Schema) -> st.SearchStrategy[Any]:
    """Types that a feature may have, and seldom any other."""
    kind = "text" if name in schema.categories else "boolean" if name in schema.booleans else "number"
    fit = st.sampled_from(FITTING[kind])
    return st.integers(0, 15).flatmap(lambda lot: anything if lot == 0 else fit)


class Case(NamedTuple):
    """The schema of features and their paths, the writer's schema, some rows."""

    schema: Schema
    fields: dict[str, str]
    written: Any
    rows: list[Any]


@st.composite
def cases(draw: st.DrawFn, most: int = 6) -> Case:
    """Any schema that has, mostly, the features of another, and among them whatever else there is."""
    schema = draw(st.sampled_from(SCHEMAS))
    a, b, c = (draw(fitting(name, schema)) for name in "abc")
    nested = draw(st.booleans())
    found = [("a", a), ("p", with_nested(b, c, draw(st.booleans())))] if nested else [("a", a), ("b", b), ("c", c)]
    found += [(name, draw(anything)) for name in draw(st.lists(st.sampled_from("defg"), unique=True, max_size=3))]
    if draw(st.integers(0, 15)) == 0:
        del found[0]
    written = named(record(*draw(st.permutations(found))), [0])
    rows = draw(st.lists(values(written), min_size=1, max_size=most))
    return Case(schema, FIELDS if nested else {}, written, rows)


@given(cases())
def test_avro_is_read_as_fastavro_reads_it(case: Case) -> None:
    """Rows of any schema give the numbers, or the reason, of a straight reading of what fastavro finds."""
    schema, fields, written, rows = case
    parsed = fastavro.parse_schema(written)
    bodies = [record_bytes(written, row) for row in rows]
    wanted = [straight(fastavro.schemaless_reader(io.BytesIO(body), parsed, None), schema, fields) for body in bodies]
    found, rejects = decode(written, bodies, schema, fields=fields)
    refused = {reject.message.offset(): reject.reason for reject in rejects}
    read = dict(zip(found.offset.tolist(), found.matrix.tolist(), strict=True))
    for place, one in enumerate(wanted):
        assert same(refused.get(place) or read[place], one)


def blind(type_: Any, wanted: Any, counter: list[int]) -> Any:
    """A type of the same bytes in which nothing is looked at that is no feature: no text, no symbol, no key."""
    if isinstance(type_, list):
        return [blind(one, wanted, counter) for one in type_]
    if kind_of(type_) == "map":
        value = blind(type_["values"], None, counter)
        counter[0] += 1
        return {"type": "array", "items": record(("key", "bytes"), ("value", value), name=f"Pair{counter[0]}")}
    if kind_of(type_) == "array":
        return {"type": "array", "items": blind(type_["items"], None, counter)}
    if kind_of(type_) == "record":
        inner = wanted if isinstance(wanted, dict) else {}
        fields = [{**one, "type": blind(one["type"], inner.get(one["name"]), counter)} for one in type_["fields"]]
        return {**type_, "fields": fields}
    unseen = {"string": "bytes", "bytes": "bytes", "enum": "int"}
    return unseen.get(kind_of(type_), type_) if wanted is None else type_


def read_by_fastavro(schema: Any, body: bytes) -> tuple[Any, bool] | None:
    """What fastavro finds in bytes, and whether it would write the same; None where it fails or leaves some."""
    parsed, stream = fastavro.parse_schema(schema), io.BytesIO(body)
    try:
        value = fastavro.schemaless_reader(stream, parsed, None)
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, value)
    except Exception:  # of any kind: it does not check what it reads
        return None
    return None if stream.read() else (value, out.getvalue() == body)


edits = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=2)


@given(cases(1), edits, st.integers(-9, 2))
@example(Case(SCHEMA, {}, record(("a", "double"), ("b", "float"), ("c", "long")), [dict.fromkeys("abc", 1)]), [], -9)
def test_damaged_avro(case: Case, edits: list[tuple[int, int]], longer: int) -> None:
    """Whatever bytes become a row, fastavro reads the same in them; what it would write just so is never refused."""
    schema, fields, written, rows = case
    body = bytearray(record_bytes(written, rows[0]))
    for place, byte in edits if body else ():
        body[place % len(body)] = byte
    damaged = bytes(body[:longer] if longer < -6 else body + bytes(max(longer, 0)))
    wanted = {"a": 1, "p": {"b": 1, "q": {"c": 1}}} if fields else dict.fromkeys("abc", 1)
    found = only(written, damaged, schema, fields=fields)
    oracle = read_by_fastavro(blind(written, wanted, [0]), damaged)
    if isinstance(found, list):
        assert oracle is not None
        assert same(found, straight(oracle[0], schema, fields))
    elif oracle is not None and oracle[1]:
        assert found == straight(oracle[0], schema, fields)


# --- examples

PLAIN = record(("a", "double"), ("b", "double"), ("c", "double"))
ROW = struct.pack("<3d", 1, 2.5, -300)
LONG = record(("a", "long"), ("b", "double"), ("c", "double"), ("d", "string"))
UNION = record(("a", ["null", "double"]), ("b", "double"), ("c", "double"))
KINDRED = record(("a", "double"), ("b", "string"), ("c", "boolean"))
LIST = record(("l", {"type": "array", "items": "string"}), ("a", "double"), ("b", "double"), ("c", "double"))
SYMBOL = record(("a", "double"), ("b", {"type": "enum", "name": "E", "symbols": ["x", "n"]}), ("c", "boolean"))
IN_P = record(("a", "double"), ("p", ["null", record(("b", "double"), ("q", "double"), name="P")]))
NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
LINKED = record(("n", NODE), ("a", "double"), ("b", "double"), ("c", "double"))
NOTHING = record(("l", {"type": "array", "items": "null"}), ("a", "double"), ("b", "double"), ("c", "double"))
POINT_ZERO = struct.pack("<d", 0.0)

BROKEN: dict[str, tuple[Any, bytes, Schema]] = {
    "nothing": (PLAIN, b"", SCHEMA),
    "cut short": (PLAIN, ROW[:-1], SCHEMA),
    "more after it": (PLAIN, ROW + b"\0", SCHEMA),
    "a number of 11 bytes": (LONG, b"\x80" * 10 + b"\0" + ROW[8:] + b"\0", SCHEMA),
    "a number of 66 bits": (LONG, b"\x80" * 9 + b"\x04" + ROW[8:] + b"\0", SCHEMA),
    "text longer than the row": (LONG, b"\0" + ROW[8:] + b"\x04y", SCHEMA),
    "text of 2 ** 62 characters": (LONG, b"\0" + ROW[8:] + b"\x80" * 8 + b"\x80\x01", SCHEMA),
    "text of -1 characters": (LONG, b"\0" + ROW[8:] + b"\x01", SCHEMA),
    "a branch that is none": (UNION, b"\x04" + ROW, SCHEMA),
    "a branch of -1": (UNION, b"\x01" + ROW, SCHEMA),
    "a boolean of 2": (KINDRED, POINT_ZERO + b"\x02x\x02", MIXED),
    "text that is not UTF-8": (KINDRED, POINT_ZERO + b"\x02\xff\x01", MIXED),
    "a symbol that is none": (SYMBOL, POINT_ZERO + b"\x04\x01", MIXED),
    "a symbol of -1": (SYMBOL, POINT_ZERO + b"\x01\x01", MIXED),
    "a list without end": (LIST, b"\x02\x02x" + ROW, SCHEMA),
    "a list of 2 ** 40 texts": (LIST, b"\x80\x80\x80\x80\x80\x80\x01" + ROW, SCHEMA),
    "a block that tells its size wrongly": (LIST, b"\x01\x06\x02x\0" + ROW, SCHEMA),
    "a block that tells a negative size": (LIST, b"\x01\x03\x02x\0" + ROW, SCHEMA),
    "a chain of 5,000 links": (LINKED, b"\x02" * 5_000 + b"\0" + ROW, SCHEMA),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bytes_that_are_not_what_their_schema_says(name: str) -> None:
    """Such bytes are a reject, alone and between others, which are read as if it were not there."""
    written, body, schema = BROKEN[name]
    good = {SCHEMA: {"a": 1, "b": 2, "c": 3, "d": "", "l": ["x"], "n": {"next": None}}}
    fine = record_bytes(written, good.get(schema, {"a": 1, "b": "x", "c": True}))
    rows, (reject,) = decode(written, [fine, body, fine], schema)
    assert (reject.reason, reject.message.offset()) == ("not_avro", 1)
    assert reject.detail == "its bytes are not what schema 7 says"
    assert rows.matrix.tolist() == decode(written, [fine, fine], schema)[0].matrix.tolist()
    assert rows.offset.tolist() == [0, 2]


REFUSED: dict[str, tuple[str, str, Any, Any, Schema]] = {
    "no such field": ("missing_feature", "'c' is absent", record(("a", "int"), ("b", "int")), {"a": 1, "b": 2}, SCHEMA),
    "null": ("not_a_number", "'a' is null, a number", UNION, {"a": None, "b": 2, "c": 3}, SCHEMA),
    "text": (
        "not_a_number",
        "'b' is a string, a number",
        record(("a", "int"), ("b", "string"), ("c", "int")),
        {"a": 1, "b": "2", "c": 3},
        SCHEMA,
    ),
    "a symbol": (
        "not_a_number",
        "'b' is an enum, a number",
        SYMBOL,
        {"a": 1, "b": "x", "c": True},
        Schema(("a", "b"), booleans=()),
    ),
    "a list": ("not_a_number", "'l' is an array", LIST, {"a": 1, "b": 2, "c": 3, "l": ["x"]}, Schema(("l", "a"))),
    "a record": (
        "not_a_number",
        "'n' is a record",
        LINKED,
        {"n": {"next": None}, "a": 1, "b": 2, "c": 3},
        Schema(("n",)),
    ),
    "a boolean": ("not_a_number", "'c' is a boolean", KINDRED, {"a": 1, "b": "x", "c": True}, Schema(("a", "c"))),
    "a number for a text": ("not_a_category", "'b' is a double, text", PLAIN, {"a": 1, "b": 2, "c": 1}, MIXED),
    "2 for a boolean": (
        "not_a_number",
        "'c' is 2, a boolean",
        record(("a", "double"), ("b", "string"), ("c", "int")),
        {"a": 1, "b": "x", "c": 2},
        MIXED,
    ),
    "NaN": ("not_finite", "'a' is NaN, infinite", PLAIN, {"a": math.nan, "b": 2, "c": 3}, SCHEMA),
    "NaN where a gap may be": ("not_finite", "'a'", PLAIN, {"a": math.nan, "b": 2, "c": 3}, Schema(("a",), ("a",))),
    "infinity": ("not_finite", "'c'", PLAIN, {"a": 1, "b": 2, "c": -math.inf}, SCHEMA),
    "beyond float32": ("not_finite", "'b'", PLAIN, {"a": 1, "b": 1e39, "c": 3}, SCHEMA),
    "two that are wrong": ("not_finite", "'a'", PLAIN, {"a": math.inf, "b": math.nan, "c": 3}, SCHEMA),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_hold_what_is_no_feature(name: str) -> None:
    """A record that decodes and is no row for all that has the reason of its first feature that is wrong, by name."""
    why, told, written, row, schema = REFUSED[name]
    rows, (reject,) = decode(written, [record_bytes(written, row)], schema)
    assert len(rows) == 0
    assert reject.reason == why
    assert told in reject.detail


def test_the_wire_format() -> None:
    """Without a zero byte and four of a schema's number there is no row, nor with the number of no schema."""
    whole = framed(ROW)
    bad = [b"\0", whole[:4], b"\1" + whole[1:], GOOD_JSON, framed(ROW, 8)]
    rows, rejects = decoder(PLAIN).decode([message(one, at) for at, one in enumerate([*bad, whole])])
    assert rows.matrix.tolist() == [[1, 2.5, -300]]
    assert [one.reason for one in rejects] == ["not_avro"] * 4 + ["unknown_schema"]
    assert "the registry has no Avro schema 8" in rejects[-1].detail


GOOD_JSON = b'{"a": 1, "b": 2.5, "c": -3e2}'


def laughing(deep: int) -> Any:
    """A schema of a few lines that has two to this power fields."""
    inner: Any = record(("s", "string"), name="R0")
    for level in range(1, deep):
        inner = record(("x", inner), ("y", f"R{level - 1}"), name=f"R{level}")
    return record(("a", "double"), ("r", inner))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("double", "a double, a record wanted"),
        (["null", "string"], "a union, a record wanted"),
        ({"type": "record", "name": "Row", "fields": [{"name": "a", "type": "Nobody"}]}, "Nobody"),
        ({"type": "record", "name": "Row", "fields": 3}, "int"),
        ({"fields": []}, "type"),
        (7, "int"),
        (laughing(30), f"more than {MOST_STEPS}"),
    ],
)
def test_schemas_of_no_rows(written: Any, told: str) -> None:
    """A schema that is none, or none of records, has no rows, and says why in a line."""
    rows, (reject,) = decode(written, [ROW], Schema(("a",)))
    assert len(rows) == 0
    assert reject.reason == "unknown_schema"
    assert told in reject.detail
    assert len(reject.detail) <= 200


def test_types_that_are_numbers() -> None:
    """Whole numbers of any length, floats, decimals and times are numbers; each is rounded to float32 once."""
    decimal = {"type": "fixed", "name": "D", "size": 9, "logicalType": "decimal", "precision": 20, "scale": 5}
    written = record(("a", {"type": "long", "logicalType": "timestamp-micros"}), ("b", decimal), ("c", "float"))
    plain = record(("a", "long"), ("b", decimal), ("c", "float"))
    for whole in (0, -1, 63, 64, -65, 2**31, 2**53 + 1, -(2**63), 2**63 - 1):
        exact = Decimal(whole).scaleb(-5)
        body = record_bytes(plain, {"a": whole, "b": exact, "c": 0.1})
        assert same(only(written, body), [float(np.float32(one)) for one in (whole, float(exact), 0.1)])


def test_decimals_are_exact_and_huge_ones_infinite() -> None:
    """A decimal of more digits than float64 has is rounded once; one beyond float64 is not finite."""
    written = record(("a", {"type": "bytes", "logicalType": "decimal", "precision": 400, "scale": 2}))
    schema = Schema(("a",))
    digits = 2**24 * 10**30 + 10**30 + 1  # above the middle of two float32, by the last digit alone
    body = record_bytes(written, {"a": Decimal(digits).scaleb(-2)})
    assert only(written, body, schema) == [float(np.float32(digits / 100))]
    assert only(written, b"\x90\x03" + b"\x7f" * 200, schema) == "not_finite"
    assert only(written, b"\0", schema) == [0]  # no bytes at all


def test_texts_and_symbols() -> None:
    """A string or symbol is its position, one never seen their count; false is 0; gaps are NaN."""
    bodies = [record_bytes(KINDRED, {"a": 1, "b": text, "c": True}) for text in (*TEXTS, "never seen", "y" * 257)]
    rows, rejects = decode(KINDRED, bodies, MIXED)
    assert rejects == []
    assert rows.matrix[:, 1].tolist() == [0, 1, 2, 3, 4, 4]
    bodies = [record_bytes(SYMBOL, {"a": 1, "b": text, "c": False}) for text in ("x", "n")]
    assert decode(SYMBOL, bodies, MIXED)[0].matrix.tolist() == [[1, 0, 0], [1, 4, 0]]
    gaps = record(("b", ["null", "string"]), ("c", ["boolean", "null"]))
    rows, rejects = decode(gaps, [record_bytes(gaps, {"b": None, "c": None})], GAPPY)
    assert rejects == []
    assert np.isnan(rows.matrix).all()


def test_fields_known_by_an_older_name() -> None:
    """A field is found by its alias, but for one that has the name itself."""
    renamed = record(("a", "double"), ("amount", "double"), ("c", "double"))
    renamed["fields"][1]["aliases"] = ["b", "a"]
    assert only(renamed, ROW) == [1, 2.5, -300]


def test_a_default_that_does_not_fit_its_type() -> None:
    """A default is for readers that lack the field: whatever a schema says there, its rows are read."""
    odd = record(("a", "double"), ("b", ["double", "null"]), ("c", "double"))
    odd["fields"][1]["default"] = None
    assert only(odd, ROW[:8] + b"\0" + ROW[8:]) == [1, 2.5, -300]


def test_types_given_by_name() -> None:
    """A type that was defined in the schema, or in one that it refers to, stands where its name does."""
    money = record(("b", "double"), ("c", "double"), name="shop.Money")
    row = record(("old", ["null", money]), ("a", "double"), ("p", "shop.Money"))
    paths = {"b": "p.b", "c": "p.c"}
    body = struct.pack("<b2d", 2, 8, 9) + ROW
    assert only(row, body, fields=paths) == [1, 2.5, -300]
    elsewhere = record(("old", ["null", "shop.Money"]), ("a", "double"), ("p", "shop.Money"))
    assert only(Written(elsewhere, (money,)), body, fields=paths) == [1, 2.5, -300]


def test_what_is_passed_over() -> None:
    """Lists and maps in blocks of any kind are passed over, and records that hold themselves."""
    assert only(LIST, b"\x02\x02x\x02\x02y\0" + ROW) == [1, 2.5, -300]  # two blocks
    assert only(LIST, b"\x03\x08\x02x\x02y\0" + ROW) == [1, 2.5, -300]  # one of two items in 4 bytes
    assert only(LINKED, b"\x02" * 100 + b"\0" + ROW) == [1, 2.5, -300]
    mapped = record(("m", {"type": "map", "values": LIST["fields"][0]["type"]}), ("a", "double"))
    body = record_bytes(mapped, {"m": {"x": ["y", "z"], "": []}, "a": 1})
    assert only(mapped, body, Schema(("a",))) == [1]
    twice = record(
        ("x", {"type": "array", "items": record(("f", {"type": "fixed", "name": "F", "size": 3}), name="X")})
    )
    twice["fields"] += [{"name": "y", "type": {"type": "array", "items": "X"}}, {"name": "a", "type": "double"}]
    assert only(twice, record_bytes(twice, {"x": [{"f": b"123"}] * 2, "y": [], "a": 4}), Schema(("a",))) == [4]


def test_a_list_of_nothing_takes_no_time() -> None:
    """A list of 2 ** 62 nulls is a few bytes, and is passed over as such."""
    assert only(NOTHING, b"\x80" * 8 + b"\x80\x01" + b"\0" + ROW) == [1, 2.5, -300]


def test_paths_lead_through_records() -> None:
    """A path leads through records, also optional ones; where there is none, the feature is missing or refused."""
    paths = {"b": "p.b"}
    schema, gappy = Schema(("a", "b")), Schema(("a", "b"), ("b",))
    bodies = [record_bytes(IN_P, {"a": 1, "p": {"b": 2, "q": 3}}), record_bytes(IN_P, {"a": 1, "p": None})]
    rows, (reject,) = decode(IN_P, bodies, schema, fields=paths)
    assert rows.matrix.tolist() == [[1, 2]]
    assert (reject.reason, reject.detail) == ("not_an_object", "feature 'b': 'p' is null, an object wanted")
    rows, rejects = decode(IN_P, bodies, gappy, fields=paths)
    assert rejects == []
    wanted: list[list[float]] = [[1, 2], [1, math.nan]]
    assert np.array_equal(rows.matrix, f32(wanted), equal_nan=True)
    _, (absent, _) = decode(IN_P, bodies, schema, fields={"b": "p.z"})
    assert (absent.reason, absent.detail) == ("missing_feature", "feature 'b' is absent: no 'p.z'")
    assert decode(PLAIN, [ROW], schema, fields=paths)[1][0].detail == "feature 'b' is absent: no 'p.b'"
    assert decode(PLAIN, [ROW], schema, fields={"b": "c.b"})[1][0].reason == "not_an_object"
    assert decode(PLAIN, [ROW], gappy, fields={"b": "c.b"})[1][0].reason == "not_an_object"


def test_a_union_of_records() -> None:
    """A schema may be of several records: each row is one of them, or null, which is no object."""
    other = record(("c", "double"), ("a", "double"), ("b", "double"), name="Other")
    written = ["null", PLAIN, other]
    rows, (reject,) = decode(written, [b"\x02" + ROW, b"\0", b"\x04" + ROW])
    assert rows.matrix.tolist() == [[1, 2.5, -300], [2.5, -300, 1]]
    assert reject.detail == "feature 'a': the value is null, an object wanted"


def test_schemas_side_by_side() -> None:
    """Rows of many schemas, good and bad, come out in the batch's order, each as it would alone."""
    swapped = record(("c", "double"), ("b", "double"), ("a", "double"))
    known = {1: Written(PLAIN), 2: Written(swapped), 3: Written("string"), 5: Written(UNION)}
    found = Decoder(SCHEMA, "avro", registry=known.get)
    contents = [
        framed(ROW, 2),
        framed(ROW, 1),
        framed(ROW, 4),
        framed(ROW[1:], 2),
        framed(ROW, 3),
        framed(b"\x02" + ROW, 5),
        framed(b"\0" + ROW[8:], 5),
        framed(ROW, 1),
        GOOD_JSON,
    ]
    batch = [message(one, at) for at, one in enumerate(contents)]
    rows, rejects = found.decode(batch)
    assert rows.matrix.tolist() == [[-300, 2.5, 1], [1, 2.5, -300], [1, 2.5, -300], [1, 2.5, -300]]
    assert rows.offset.tolist() == [0, 1, 5, 7]
    wanted = ["unknown_schema", "not_avro", "unknown_schema", "not_a_number", "not_avro"]
    assert [one.reason for one in rejects] == wanted
    alone = [found.decode([one]) for one in batch]
    assert [len(one) for one, _ in alone] == [1, 1, 0, 0, 0, 1, 0, 1, 0]
    assert [(one.reason, one.detail) for _, some in alone for one in some] == [(r.reason, r.detail) for r in rejects]


def test_the_header_says_avro() -> None:
    """The header `format` wins over the default both ways, and one batch may hold every format."""
    mark = [("format", b"avro")]
    found = Decoder(SCHEMA, registry={NUMBER: Written(PLAIN)}.get)
    packed = message(struct.pack("<3f", 1, 2, 3), 2, marks=[("format", b"packed")])
    rows, rejects = found.decode([message(framed(ROW), marks=mark), message(GOOD_JSON, 1), packed])
    assert rejects == []
    assert rows.matrix.tolist() == [[1, 2.5, -300], [1, 2.5, -300], [1, 2, 3]]
    rows, rejects = found.decode([message(framed(ROW), marks=mark)] * 2)
    assert rows.matrix.tolist() == [[1, 2.5, -300]] * 2
    assert decoder(PLAIN).decode([json_message({"a": 1, "b": 2, "c": 3}, marks=[("format", b"json")])])[1] == []


def test_no_registry() -> None:
    """Without a registry Avro is no default, and a row that says it is Avro is told what is missing."""
    with pytest.raises(ValueError, match="format 'avro' needs a schema registry, and none is configured"):
        Decoder(SCHEMA, "avro")
    for batch in (
        [message(framed(ROW), marks=[("format", b"avro")])],
        [message(GOOD_JSON, marks=[("format", b"xml")])],
    ):
        _, (reject,) = Decoder(SCHEMA).decode(batch)
        assert reject.reason == "unknown_format"
        assert ("needs a schema registry" in reject.detail) == (batch[0].marks == [("format", b"avro")])


def test_a_registry_that_is_away_makes_no_rejects() -> None:
    """What the registry raises leaves the decoder as it is: the batch can be decoded again; known schemas need none."""
    known: dict[int, Written] = {}
    asked: list[int] = []

    def registry(number: int) -> Written | None:
        asked.append(number)
        if number not in known:
            raise RegistryUnavailable("away")
        return known[number]

    found = Decoder(SCHEMA, "avro", registry=registry)
    for _ in range(2):
        with pytest.raises(RegistryUnavailable):
            found.decode([message(framed(ROW))])
    known[NUMBER] = Written(PLAIN)
    assert len(found.decode([message(framed(ROW))])[0]) == 1
    known.clear()
    assert len(found.decode([message(framed(ROW))] * 3)[0]) == 3
    assert asked == [NUMBER] * 3


def test_a_schema_that_becomes_known() -> None:
    """A number is asked for once for all its rows, and again with the next batch while it is unknown."""
    known: dict[int, Written] = {}
    asked: list[int] = []

    def registry(number: int) -> Written | None:
        asked.append(number)
        return known.get(number)

    found = Decoder(SCHEMA, "avro", registry=registry)
    _, rejects = found.decode([message(framed(ROW))] * 50)
    assert [one.reason for one in rejects] == ["unknown_schema"] * 50
    assert len(asked) <= 2  # the batch whole, and its messages
    known[NUMBER] = Written(PLAIN)
    assert len(found.decode([message(framed(ROW))])[0]) == 1


def test_empty_batch() -> None:
    """No messages give no rows, of the schema's width."""
    rows, rejects = decoder(PLAIN).decode([])
    assert rows.matrix.shape == (0, 3)
    assert rejects == []


def test_nothing_of_avro_is_imported_before_it_is_used() -> None:
    """A detector that is told of no registry has neither fastavro nor the registry's client in it."""
    look = (
        "import sys, detector.__main__, detector.service; from detector.rows import Decoder; "
        "from detector.schema import Schema; Decoder(Schema(('a',)));"
        "print([name for name in ('fastavro', 'confluent_kafka.schema_registry') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
    assert ran.stdout == "[]\n"
