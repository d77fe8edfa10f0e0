"""Messages become rows exactly as a straight reading of them says; whatever else they hold is a reject."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detector import table
from detector.records import dead_letter
from detector.rows import (
    MAX_NAME_BYTES,
    REASONS,
    Decoder,
    Message,
    Reject,
    Rows,
    Written,
    encode_json,
    encode_packed,
    header,
    text,
    to_float32,
)
from detector.schema import Schema
from tests.arrays import f32
from tests.conftest import real
from tests.messages import FakeMessage, json_message
from tests.straight_reading import Found, straight

SCHEMA = Schema(("a", "b", "c"))
GAPPY = Schema(("a", "b", "c"), optional=("b",))
TEXTS = ("x", "", 'é\n"\\', "y" * 256)
MIXED = Schema(("a", "b", "c"), categories={"b": TEXTS}, booleans=("c",))
MIXED_GAPPY = Schema(("c", "a", "b"), ("a", "b", "c"), categories={"b": TEXTS}, booleans=("c",))
SCHEMAS = [SCHEMA, GAPPY, MIXED, MIXED_GAPPY]
LARGEST = float(np.finfo(np.float32).max)
Fields = Mapping[str, str]


def message(content: bytes | None, offset: int = 0, **more: Any) -> FakeMessage:
    return FakeMessage(content, ("transactions", 0, offset), **more)


def decode(
    content: bytes | None, schema: Schema = SCHEMA, fields: Fields | None = None, **more: Any
) -> tuple[Rows, list[Reject]]:
    return Decoder(schema, fields=fields).decode([message(content, **more)])


def reason(content: bytes | None, schema: Schema = SCHEMA, **more: Any) -> str:
    rows, rejects = decode(content, schema, **more)
    assert len(rows) == 0
    assert rejects[0].detail
    return rejects[0].reason


def found_by(decoder: Decoder, content: bytes) -> Found:
    rows, rejects = decoder.decode([message(content)])
    assert len(rows) + len(rejects) == 1
    return rejects[0].reason if rejects else [float(number) for number in rows.matrix[0]]


def same(one: Found, other: Found) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return np.array_equal(one, other, equal_nan=True)


numbers = st.one_of(st.floats(), st.integers(), st.integers(-(10**400), 10**400))
texts = st.sampled_from(TEXTS) | st.text(max_size=4) | st.just("y" * 257)
values = st.one_of(numbers, st.none(), st.booleans(), texts, st.lists(numbers, max_size=2))
objects = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "é"]), values)
rows_of_numbers = st.fixed_dictionaries({"a": numbers, "b": numbers, "c": numbers}, optional={"d": values})
truths = st.booleans() | st.sampled_from([0, 1, 0.0, 1.0, -0.0, 2, 0.5, 1e39])
mixed_rows = st.fixed_dictionaries({"a": numbers, "b": texts, "c": truths}, optional={"d": values})


@given(st.one_of(rows_of_numbers, mixed_rows, objects, values), st.sampled_from(SCHEMAS))
def test_json_is_read_as_json_reads_it(row: Any, schema: Schema) -> None:
    """Any JSON value gives the numbers, or the reason, of a straight reading with the json module."""
    content = json.dumps(row, ensure_ascii=False).encode("utf-8")
    assert same(found_by(Decoder(schema), content), straight(content, schema))


@given(mixed_rows, st.sampled_from([MIXED, MIXED_GAPPY]))
def test_escaped_text_is_read_as_json_reads_it(row: Any, schema: Schema) -> None:
    """The same for text that is written in escapes, halves of surrogates among them."""
    row["b"] += "\ud800" * (len(row["b"]) % 2)
    content = json.dumps(row, ensure_ascii=True).encode("utf-8")
    assert same(found_by(Decoder(schema), content), straight(content, schema))


@given(rows_of_numbers | mixed_rows, st.integers(0, 200), st.integers(0, 255), st.sampled_from(SCHEMAS))
def test_damaged_json_is_read_as_json_reads_it(row: Any, place: int, byte: int, schema: Schema) -> None:
    """One byte of a row changed: still the very numbers, or the very reason, of the straight reading."""
    content = bytearray(json.dumps(row).encode())
    content[place % len(content)] = byte
    assert same(found_by(Decoder(schema), bytes(content)), straight(bytes(content), schema))


ODD = [
    b"NaN",
    b"-Infinity",
    b"Infinity",
    b"1e999",
    b"-1E+400",
    b"null",
    b"[]",
    b'"',
    b"\\",
    b"\\ud800",
    b"{",
    b"}x",
    b",",
]


@given(mixed_rows, st.integers(0, 200), st.sampled_from(ODD), st.booleans(), st.sampled_from(SCHEMAS))
@example({"a": 1.0, "b": "x", "c": True}, 6, b"NaN", True, SCHEMA)
@example({"a": 1.0, "b": "x", "c": True}, 6, b"NaN", True, GAPPY)
@example({"a": 1.0, "b": "null [] NaN", "c": True}, 6, b"-Infinity", True, MIXED)
@example({"a": 1.0, "b": "x", "d": [1]}, 6, b"NaN", True, SCHEMA)
@example({"NaN": 1.0, "a": 1, "b": "\\"}, 6, b"Infinity", True, Schema(("a", "NaN")))
def test_odd_json_is_read_as_json_reads_it(row: Any, place: int, odd: bytes, instead: bool, schema: Schema) -> None:
    """Something odd put into a row, or in a number's place: the numbers, or the reason, of the straight reading."""
    content = json.dumps(row).encode()
    if instead:
        start = content.index(b":", place % len(content)) + 1 if b":" in content[place % len(content) :] else 1
        end = next(at for at in range(start, len(content)) if content[at : at + 1] in b",}")
        content = content[:start] + odd + content[end:]
    else:
        content = content[: place % len(content)] + odd + content[place % len(content) :]
    assert same(found_by(Decoder(schema), content), straight(content, schema))


@pytest.mark.parametrize(
    "content", [b"NaN", b"-Infinity", b"Infinity", b"1e999", b"[NaN]", b'"NaN', b"NaNNaN", b" NaN "]
)
def test_what_json_takes_for_a_number_is_no_object(content: bytes) -> None:
    """NaN alone, too, is what the json module says it is."""
    assert reason(content) == straight(content, SCHEMA)


escapes = st.lists(
    st.sampled_from([r"\ud800", r"\udc00", r"\uD83D\uDE00", r"\\", r"\n", r"\u0061", r"\ud8", "ud800", "a", "c"]),
    max_size=5,
).map(lambda some: f'"{"".join(some)}"')


@given(st.lists(st.tuples(escapes | st.sampled_from(['"a"', '"b"', '"c"']), escapes | st.just("1")), max_size=6))
@example([('"a"', "1"), ('"b"', r'"\ud800"'), ('"c"', "1")])
@example([('"a"', "1"), ('"b"', "1"), ('"c"', "1"), ('"d"', r'"\\\ud800"')])
@example([('"a"', "1"), (r'"\ud83d\ude00"', "1"), ('"c"', r'"\udc00"')])
@example([(r'"\\\ud800"', r'"\\ud800\udc00"'), (r'"\\ud83d"', r'"x"')])
def test_halves_of_surrogates_anywhere(pairs: list[tuple[str, str]]) -> None:
    """Whatever escapes are in names and texts, halves of surrogates among them, a row is read as json reads it."""
    content = f"{{{','.join(f'{name}:{value}' for name, value in pairs)}}}".encode()
    for schema in (SCHEMA, MIXED, Schema(("a", "c", "😀")), Schema(("a",), ("a",))):
        assert same(found_by(Decoder(schema), content), straight(content, schema))


pieces = st.sampled_from([*"[[[[]], \n{}1", '"a]"', '"["', '{"a":', "NaN", "-", '"', r'"\ud800"', "é"])


def json_says(content: bytes) -> tuple[str, str]:
    """The reason and the sentence for a list, by the json module alone."""
    try:
        json.loads(content.decode("utf-8"), parse_int=float)
    except (ValueError, RecursionError) as error:
        return "not_json", str(error)
    return "not_an_object", "a JSON list, an object wanted"


@given(
    st.sampled_from(["[", "[ ", "[\n", "[[ "]), st.integers(0, 390), st.lists(pieces, max_size=9), st.integers(0, 800)
)
@example("[", 390, [], 0)
@example("[", 390, [], 390)
@example("[", 390, [], 389)
@example("[\n", 300, ["1", ",", "\n", "NaN", " "], 2)
def test_lists_in_lists(opening: str, count: int, inside: list[str], closed: int) -> None:
    """What begins as a list, however deep and wherever it ends, is refused in the very words that json has for it."""
    content = ("[" + opening * count + "".join(inside) + "]" * min(closed, count)).encode()
    _, (reject,) = decode(content)
    assert (reject.reason, reject.detail) == json_says(content)


@pytest.mark.parametrize("depth", [700, 5_000, 100_000])
def test_deep_lists(depth: int) -> None:
    """The same for lists that are deeper than the stack, closed or not."""
    for content in (b"[" * depth, b"[" * depth + b"]" * depth, b"[ " * depth, b"[" * depth + b"NaN" + b"]" * 3):
        _, (reject,) = decode(content)
        assert (reject.reason, reject.detail) == json_says(content)


FIELDS: list[Fields] = [
    {"b": "p.b", "c": "p.q.c"},
    {"a": "p.a", "b": "p.b", "c": "p.c"},
    {"a": "p.q.a", "b": "p.q.b", "c": "p.q.c"},
    {"a": "a.b.c.d"},
]
inside = st.dictionaries(st.sampled_from(["a", "b", "c", "x"]), values)
nested_rows = st.fixed_dictionaries(
    {},
    optional={
        "a": numbers | st.just({"b": {"c": {"d": 1.5}}}),
        "b": texts,
        "c": truths,
        "p": st.fixed_dictionaries(
            {},
            optional={"a": numbers, "b": texts, "c": truths, "q": inside | values | mixed_rows},
        )
        | values
        | mixed_rows,
    },
)


@given(nested_rows | mixed_rows.map(lambda row: {"p": row | {"q": row}, **row}), st.sampled_from(FIELDS))
@example({"p": {"a": 1.5, "b": "x", "c": True}}, FIELDS[1])
@example({"p": {"a": 1.5, "c": math.nan}}, FIELDS[1])
@example({"p": None}, FIELDS[1])
def test_nested_json_is_read_as_json_reads_it(row: Any, fields: Fields) -> None:
    """Features inside other objects are found by their paths, in any schema, as the straight reading finds them."""
    content = json.dumps(row).encode()
    for schema in SCHEMAS:
        wanted = straight(content, schema, fields)
        assert same(found_by(Decoder(schema, fields=fields), content), wanted)


def test_paths_that_lead_nowhere() -> None:
    """A path that ends before its feature says where: what is absent, and what is no object."""
    fields = {"b": "p.q.b"}
    cases = [
        (b'{"a": 1, "c": 3}', "missing_feature", "feature 'b' is absent: no 'p.q.b'"),
        (b'{"a": 1, "c": 3, "p": {"q": {}}}', "missing_feature", "feature 'b' is absent: no 'p.q.b'"),
        (b'{"a": 1, "c": 3, "p": 7}', "not_an_object", "feature 'b': 'p' is a int, an object wanted"),
        (b'{"a": 1, "c": 3, "p": {"q": null}}', "not_an_object", "feature 'b': 'p.q' is null, an object wanted"),
        (b'{"a": 1, "c": 3, "p": {"q": {"b": "x"}}}', "not_a_number", "feature 'b' is a str, a number wanted"),
        (b'{"a": 1, "c": 3, "p": {"q": {"b": NaN}}}', "not_finite", "feature 'b' is NaN or infinite"),
    ]
    for content, why, told in cases:
        rows, (reject,) = decode(content, SCHEMA, fields)
        assert len(rows) == 0
        assert (reject.reason, reject.detail) == (why, told)
    rows, rejects = decode(b'{"a": 1, "p": {"q": {"b": 2, "x": [NaN]}}, "c": 3}', SCHEMA, fields)
    assert rows.matrix.tolist() == [[1, 2, 3]]
    assert rejects == []


def test_a_name_with_a_dot_in_it() -> None:
    """Dots part names only where a path was asked for: a feature's own name may hold some."""
    dotted = Schema(("x.y", "z"))
    assert decode(b'{"x.y": 1, "z": 2}', dotted)[0].matrix.tolist() == [[1, 2]]
    assert decode(b'{"x": {"y": 1}, "z": 2}', dotted, {"x.y": "x.y"})[0].matrix.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"d": "p.d"}, "field 'd' is no feature of the model"),
        ({"a": "p..a"}, "path 'p..a' has an empty name in it"),
        ({"a": ""}, "path '' has an empty name in it"),
        ({"a": 'p."a"'}, "without quotes"),
        ({"a": "b"}, "path 'b' leads to, or through, another feature"),
        ({"a": "b.c"}, "path 'b' leads to, or through, another feature"),
        ({"b": "a.c"}, "path 'a.c' leads to, or through, another feature"),
        ({"a": "p.q", "b": "p"}, "path 'p' leads to, or through, another feature"),
    ],
)
def test_paths_that_cannot_be(fields: Fields, told: str) -> None:
    """A path that is none, or that two features would share, is refused by name."""
    with pytest.raises(ValueError, match=re.escape(told)):
        Decoder(SCHEMA, fields=fields)


@given(
    st.binary(min_size=1, max_size=80) | st.binary(max_size=80).map(lambda content: b"\0\0\0\0\1" + content),
    st.sampled_from(["json", "packed", "avro"]),
    st.sampled_from(SCHEMAS),
)
@example(b"\x00\x00\x80\x7f" * 3, "packed", GAPPY)
@example(b"\x01\x00\xa0\x7f" * 3, "packed", GAPPY)
def test_any_bytes_are_a_row_or_a_reject(content: bytes, format_: str, schema: Schema) -> None:
    """Whatever bytes come, a row of finite numbers (NaN where a feature is optional) or a known reason comes out."""
    rows, rejects = Decoder(schema, format_, registry=AVRO.get).decode([message(content)])
    assert len(rows) + len(rejects) == 1
    assert {reject.reason for reject in rejects} <= set(REASONS)
    must = [name not in schema.optional for name in schema.features]
    assert np.isfinite(rows.matrix[:, must]).all()
    assert not np.isinf(rows.matrix).any()


@given(st.lists(st.floats(width=32), min_size=3, max_size=3), st.booleans())
def test_packed_is_read_as_struct_reads_it(row: list[float], optional: bool) -> None:
    """Packed rows are little-endian float32 in the schema's order; NaN is an optional feature that is missing."""
    schema = GAPPY if optional else SCHEMA
    content = struct.pack("<3f", *row)
    may = {"b"} if optional else set()
    wrong = [not math.isfinite(x) and not (name in may and math.isnan(x)) for name, x in zip("abc", row, strict=True)]
    assert same(found_by(Decoder(schema, "packed"), content), "not_finite" if any(wrong) else row)


positions = st.sampled_from([0.0, -0.0, 1.0, 3.0, 4.0, 5.0, -1.0, 0.5, 2.0**100, math.nan, math.inf])


@given(st.tuples(positions, positions, positions), st.booleans())
def test_packed_positions(row: tuple[float, ...], optional: bool) -> None:
    """Packed, a text is a whole number from 0 to the count of its values, a boolean 0 or 1; NaN where it may miss."""
    schema = Schema(("a", "b", "c"), ("a", "b", "c") if optional else (), categories={"b": TEXTS}, booleans=("c",))
    wrong = [math.isinf(one) or (math.isnan(one) and not optional) for one in row]
    _, text_, truth = row
    wanted: Found = list(row)
    if any(wrong):
        wanted = "not_finite"
    elif not (math.isnan(text_) or text_ in range(len(TEXTS) + 1)):
        wanted = "not_a_category"
    elif not (math.isnan(truth) or truth in (0, 1)):
        wanted = "not_a_number"
    assert same(found_by(Decoder(schema, "packed"), struct.pack("<3f", *row)), wanted)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float64_through_json_is_the_direct_cast(number: float) -> None:
    """A float64 written as JSON and read back is the float32 that a direct cast of history gives, bit for bit."""
    (content,) = encode_json([{"a": number, "b": 0.0, "c": 0.0}])
    direct = to_float32(np.array([number]))
    rows, rejects = decode(content)
    if np.isinf(direct[0]):
        assert [reject.reason for reject in rejects] == ["not_finite"]
    else:
        assert rows.matrix[0, :1].tobytes() == direct.tobytes()


def same_bits_as_history(frame: pd.DataFrame, features: tuple[str, ...]) -> None:
    matrix = table.matrix(frame, features)
    plain = [{str(name): number for name, number in row.items()} for row in frame.to_dict("records")]
    lines = [message(one, at) for at, one in enumerate(encode_json(plain))]
    packed = [message(one, at, marks=[("format", b"packed")]) for at, one in enumerate(encode_packed(matrix))]
    for batch in (lines, packed):
        rows, rejects = Decoder(Schema(features)).decode(batch)
        assert rejects == []
        assert rows.matrix.tobytes() == matrix.tobytes()


def test_simulated_rows_are_the_bits_of_history(unseen_cards: pd.DataFrame) -> None:
    """Simulated cards as messages of either format are, bit for bit, the matrix that history has of them."""
    same_bits_as_history(unseen_cards, tuple(unseen_cards.columns[:-1]))


def test_real_rows_are_the_bits_of_history() -> None:
    """Real cards as messages of either format are, bit for bit, the matrix that history has of them."""
    frame = table.read(real("creditcard_sample.parquet"))
    same_bits_as_history(frame, tuple(name for name in frame.columns if name != "Class"))


AVRO = {1: Written({"type": "record", "name": "R", "fields": [{"name": name, "type": "double"} for name in "abc"]})}
GOOD = b'{"a": 1, "b": 2.5, "c": -3e2}'
NESTED = b"[" * 100_000
BAD: dict[str, tuple[str, FakeMessage]] = {
    "no value": ("empty", message(None)),
    "empty value": ("empty", message(b"")),
    "5 MB": ("too_large", message(b'{"a": 1, "b": 2, "c": 3, "d": "' + b"x" * 5_000_000 + b'"}')),
    "key too long": ("too_large", message(GOOD, name=b"k" * (MAX_NAME_BYTES + 1))),
    "row-id too long": ("too_large", message(GOOD, marks=[("row-id", b"7" * (MAX_NAME_BYTES + 1))])),
    "unknown format": ("unknown_format", message(GOOD, marks=[("format", b"xml")])),
    "format that is not UTF-8": ("unknown_format", message(GOOD, marks=[("format", b"\xff")])),
    "not UTF-8": ("not_utf8", message(b"\xff\xfe")),
    "not UTF-8 in a field that is ignored": ("not_utf8", message(b'{"a": 1, "b": 2, "c": 3, "d": "\xff"}')),
    "half a surrogate as bytes": ("not_utf8", message(b'{"a": 1, "b": 2, "c": 3, "d": "\xed\xa0\x80"}')),
    "text": ("not_json", message(b"hello")),
    "cut short": ("not_json", message(GOOD[:-1])),
    "more after it": ("not_json", message(GOOD + b"x")),
    "a mark of byte order": ("not_json", message(b"\xef\xbb\xbf" + GOOD)),
    "nested without end": ("not_json", message(NESTED)),
    "nested in a feature": ("not_json", message(b'{"a": ' * 100_000)),
    "nested in a field that is ignored": (
        "not_json",
        message(b'{"a": 1, "b": 2, "c": 3, "d": ' + NESTED + b"]" * len(NESTED) + b"}"),
    ),
    "array": ("not_an_object", message(b"[1, 2, 3]")),
    "number": ("not_an_object", message(b"7")),
    "null": ("not_an_object", message(b"null")),
    "a feature missing": ("missing_feature", message(b'{"a": 1, "c": 3}')),
    "a feature under another case": ("missing_feature", message(b'{"A": 1, "b": 2, "c": 3}')),
    "string": ("not_a_number", message(b'{"a": "1", "b": 2, "c": 3}')),
    "null for a number": ("not_a_number", message(b'{"a": 1, "b": null, "c": 3}')),
    "boolean": ("not_a_number", message(b'{"a": 1, "b": true, "c": 3}')),
    "list": ("not_a_number", message(b'{"a": 1, "b": [2], "c": 3}')),
    "object": ("not_a_number", message(b'{"a": 1, "b": {"b": 2}, "c": 3}')),
    "key given twice, a string last": ("not_a_number", message(b'{"a": 1, "b": 2, "c": 3, "b": "x"}')),
    "NaN": ("not_finite", message(b'{"a": NaN, "b": 2, "c": 3}')),
    "infinity": ("not_finite", message(b'{"a": 1, "b": -Infinity, "c": 3}')),
    "1e400": ("not_finite", message(b'{"a": 1e400, "b": 2, "c": 3}')),
    "beyond float32": ("not_finite", message(b'{"a": 1, "b": 2, "c": 3.5e38}')),
    "400 digits": ("not_finite", message(b'{"a": 1, "b": 2, "c": ' + b"9" * 400 + b"}")),
    "5,000 digits": ("not_finite", message(b'{"a": 1, "b": 2, "c": -' + b"9" * 5000 + b"}")),
    "packed, too short": ("wrong_length", message(b"\0" * 11, marks=[("format", b"packed")])),
    "packed, too long": ("wrong_length", message(b"\0" * 13, marks=[("format", b"packed")])),
    "packed NaN": ("not_finite", message(struct.pack("<3f", 1, math.nan, 3), marks=[("format", b"packed")])),
    "Avro, cut short": ("not_avro", message(b"\0\0\0\0\1", marks=[("format", b"avro")])),
    "Avro of no schema": ("unknown_schema", message(b"\0\0\0\0\2", marks=[("format", b"avro")])),
    "packed infinity": ("not_finite", message(struct.pack("<3f", 1, 2, math.inf), marks=[("format", b"packed")])),
}
FINE: dict[str, FakeMessage] = {
    "as it should be": message(GOOD),
    "white space": message(b"\n " + GOOD + b"\t\r\n"),
    "more fields": message(b'{"z": [1, {"y": null}], "a": 1, "b": 2, "c": 3, "q": "\xc3\xa9"}'),
    "escaped name": message(b'{"\\u0061": 1, "b": 2, "c": 3}'),
    "key given twice": message(b'{"a": 9, "b": 2, "c": 3, "a": 1}'),
    "key given twice, a string first": message(b'{"a": "x", "b": 2, "c": 3, "a": 1}'),
    "2 ** 64": message(b'{"a": 18446744073709551616, "b": -9223372036854775809, "c": 3}'),
    "300 digits that come to little": message(b'{"a": 0.' + b"0" * 300 + b'1, "b": 2, "c": 3}'),
    "1e-400": message(b'{"a": 1e-400, "b": 2, "c": 3}'),
    "largest": message(b'{"a": 3.4028234e38, "b": -3.4028234e38, "c": 3}'),
    "longest key": message(GOOD, name=b"k" * MAX_NAME_BYTES, marks=[("row-id", b"7" * MAX_NAME_BYTES)]),
    "header of no content": message(GOOD, marks=[("format", None), ("row-id", None)]),
    "Avro by header": message(b"\0\0\0\0\1" + struct.pack("<3d", 1, 2.5, -300), marks=[("format", b"avro")]),
    "packed by header": message(struct.pack("<3f", 1, 2, 3), marks=[("format", b"packed")]),
    "last header wins": message(GOOD, marks=[("format", b"xml"), ("format", b"json")]),
}


asked: list[int] = []


class Unreadable(FakeMessage):
    """What confluent_kafka makes of a header whose name is not UTF-8: it fails once, and then hands out nulls."""

    def headers(self) -> Any:
        asked.append(self.offset())
        raise SystemError


def test_a_header_name_that_is_not_utf8() -> None:
    """Such a message is a reject whose headers are never asked for again; its neighbours are rows."""
    asked.clear()
    place = ("transactions", 2, 9)
    batch = [message(GOOD), Unreadable(GOOD, place, 77, b"key"), message(GOOD)]
    rows, (reject,) = Decoder(SCHEMA).decode(batch)
    assert len(rows) == 2
    assert reject.reason == "not_utf8"
    record = dead_letter(reject, "dead")
    assert (record.key, record.value) == (b"key", GOOD)
    assert {("errors.partition", b"2"), ("errors.offset", b"9"), ("errors.timestamp", b"77")} <= set(record.headers)
    assert reject.message.topic() == "transactions"
    assert asked == [9]


MIXED_BAD: dict[str, tuple[str, str, FakeMessage]] = {
    "a number for a text": ("not_a_category", "'b' is a float", message(b'{"a": 1, "b": 2, "c": true}')),
    "null for a text": ("not_a_category", "'b' is a NoneType", message(b'{"a": 1, "b": null, "c": true}')),
    "a boolean for a text": ("not_a_category", "'b' is a bool", message(b'{"a": 1, "b": true, "c": true}')),
    "a list for a text": ("not_a_category", "'b' is a list", message(b'{"a": 1, "b": ["x"], "c": true}')),
    "an object for a text": ("not_a_category", "'b' is a dict", message(b'{"a": 1, "b": {}, "c": true}')),
    "no text": ("missing_feature", "'b' is absent", message(b'{"a": 1, "c": true}')),
    "text for a boolean": ("not_a_number", "'c' is a str, a boolean", message(b'{"a": 1, "b": "x", "c": "true"}')),
    "a boolean of 2": ("not_a_number", "'c' is 2, a boolean", message(b'{"a": 1, "b": "x", "c": 2}')),
    "null for a boolean": ("not_a_number", "'c' is a NoneType", message(b'{"a": 1, "b": "x", "c": null}')),
    "a position between two": (
        "not_a_category",
        "'b' is 1.5, a position from 0 to 4 wanted",
        message(struct.pack("<3f", 1, 1.5, 1), marks=[("format", b"packed")]),
    ),
    "a position beyond": (
        "not_a_category",
        "'b' is 5",
        message(struct.pack("<3f", 1, 5, 1), marks=[("format", b"packed")]),
    ),
}


@pytest.mark.parametrize("name", MIXED_BAD)
def test_bad_texts_and_booleans(name: str) -> None:
    """What is no text where one is wanted, or no boolean, is a reject whose sentence names the feature."""
    why, told, bad = MIXED_BAD[name]
    rows, (reject,) = Decoder(MIXED).decode([bad])
    assert len(rows) == 0
    assert (reject.message, reject.reason) == (bad, why)
    assert told in reject.detail


def test_texts_and_booleans() -> None:
    """A text is its position, one never seen their count; true and 1 are 1, false and 0 are 0; gaps are NaN."""
    batch = [
        message('{"a": 1, "b": "é\\n\\"\\\\", "c": true}'.encode()),
        message(b'{"a": 2, "b": "\\u0078", "c": 0}'),
        message(b'{"a": 3, "b": "unheard of", "c": 1.0}'),
        message(json.dumps({"a": 4, "b": "y" * 257, "c": False}).encode()),
    ]
    rows, rejects = Decoder(MIXED).decode(batch)
    assert rejects == []
    assert rows.matrix.tolist() == [[1, 2, 1], [2, 0, 0], [3, 4, 1], [4, 4, 0]]
    rows, rejects = Decoder(MIXED_GAPPY).decode([message(b'{"c": null}'), message(b'{"b": "x"}')])
    assert rejects == []
    assert np.array_equal(rows.matrix, [[np.nan] * 3, [np.nan, np.nan, 0]], equal_nan=True)


def test_every_reason_is_met() -> None:
    """The bad messages of this file meet every reason of the closed set but those of samples, and none beside it."""
    met = {why for why, _ in BAD.values()} | {why for why, _, _ in MIXED_BAD.values()}
    assert met | {"not_an_index", "repeated_sample", "broken_window"} == set(REASONS)


@pytest.mark.parametrize("name", BAD)
def test_bad_messages(name: str) -> None:
    """Each bad message is one reject that holds the message itself, its reason, and a sentence."""
    why, bad = BAD[name]
    rows, (reject,) = Decoder(SCHEMA, registry=AVRO.get).decode([bad])
    assert len(rows) == 0
    assert reject.message is bad
    assert reject.reason == why
    assert 0 < len(reject.detail) < 300


@pytest.mark.parametrize("name", FINE)
def test_odd_messages_that_are_rows(name: str) -> None:
    """What is valid JSON with the features in it is a row, however odd; it has the numbers of the straight reading."""
    odd = FINE[name]
    rows, rejects = Decoder(SCHEMA, registry=AVRO.get).decode([odd])
    assert rejects == []
    assert odd.content is not None
    binary = {"packed": ("<3f", 0), "avro": ("<3d", 5)}.get(str(header(odd, "format")))
    wanted = list(struct.unpack_from(binary[0], odd.content, binary[1])) if binary else straight(odd.content, SCHEMA)
    assert rows.matrix[0].tolist() == wanted


def test_neighbours_of_a_bad_message() -> None:
    """Rows around bad messages come out bit for bit as they do alone, in their order, with their place and time."""
    batch: list[Message] = []
    for at, (one, (_, bad)) in enumerate(zip([*FINE.values()] * 4, BAD.values(), strict=False)):
        batch += [
            FakeMessage(one.content, ("transactions", at % 3, 2 * at), 1000 + at, one.name, one.marks),
            FakeMessage(bad.content, ("transactions", at % 3, 2 * at + 1), 1000 + at, bad.name, bad.marks),
        ]
    rows, rejects = Decoder(SCHEMA, registry=AVRO.get).decode(batch)
    alone = [Decoder(SCHEMA, registry=AVRO.get).decode([one])[0] for one in batch[::2]]
    assert list(rows.messages) == batch[::2]
    assert [reject.message for reject in rejects] == batch[1::2]
    assert rows.matrix.tobytes() == b"".join(one.matrix.tobytes() for one in alone)
    assert rows.offset.tolist() == [one.offset() for one in batch[::2]]
    assert rows.partition.tolist() == [one.partition() for one in batch[::2]]
    assert rows.times(range(len(rows))).tolist() == [one.timestamp()[1] for one in batch[::2]]


@given(
    st.lists(st.sampled_from([*FINE.values(), *(bad for name, (_, bad) in BAD.items() if name != "5 MB")]), max_size=12)
)
def test_a_batch_is_its_messages_one_by_one(batch: list[FakeMessage]) -> None:
    """Any mixture decodes to what its messages decode to alone: same rows, same rejects, same bits."""
    decoder = Decoder(SCHEMA, registry=AVRO.get)
    rows, rejects = decoder.decode(batch)
    alone = [decoder.decode([one]) for one in batch]
    assert rows.matrix.shape == (len(rows), 3)
    assert rows.matrix.dtype == np.float32
    assert rows.matrix.tobytes() == b"".join(one.matrix.tobytes() for one, _ in alone)
    assert [(one.reason, one.detail) for one in rejects] == [(one.reason, one.detail) for _, o in alone for one in o]


def test_optional_features() -> None:
    """An optional feature may be absent, null, or NaN in a packed row: NaN in the matrix; text in it is no number."""
    batch = [
        message(b'{"a": 1, "c": 3}'),
        message(b'{"a": 1, "b": null, "c": 3}'),
        message(struct.pack("<3f", 1, math.nan, 3), marks=[("format", b"packed")]),
    ]
    rows, rejects = Decoder(GAPPY).decode(batch)
    assert rejects == []
    assert np.array_equal(rows.matrix, [[1, np.nan, 3]] * 3, equal_nan=True)
    assert reason(b'{"a": 1, "b": "x", "c": 3}', GAPPY) == "not_a_number"
    assert reason(b'{"a": 1, "b": NaN, "c": 3}', GAPPY) == "not_finite"
    assert reason(b'{"a": 1, "b": -1e39, "c": 3}', GAPPY) == "not_finite"
    assert reason(struct.pack("<3f", 1, math.inf, 3), GAPPY, marks=[("format", b"packed")]) == "not_finite"
    assert reason(b'{"b": 1, "c": 3}', GAPPY) == "missing_feature"


def test_header_wins_over_the_setting() -> None:
    """The header `format` decides; without it the configured format does."""
    decoder = Decoder(SCHEMA, "packed")
    packed = struct.pack("<3f", 1, 2, 3)
    batch = [message(packed), message(GOOD, marks=[("format", b"json")]), message(packed, marks=[("other", b"json")])]
    rows, rejects = decoder.decode(batch)
    assert rejects == []
    assert rows.matrix.tolist() == [[1, 2, 3], [1, 2.5, -300], [1, 2, 3]]
    assert [one.reason for one in decoder.decode([message(GOOD)])[1]] == ["wrong_length"]


def test_unknown_default_format() -> None:
    """A decoder for a format that does not exist is refused by name."""
    with pytest.raises(ValueError, match="'avro9' is none of json, packed"):
        Decoder(SCHEMA, "avro9")


def test_max_row_bytes() -> None:
    """A value of max_row_bytes is a row, one byte more is too large; the sentence says how much."""
    decoder = Decoder(SCHEMA, max_row_bytes=len(GOOD))
    rows, rejects = decoder.decode([message(GOOD), message(GOOD + b" ")])
    assert len(rows) == 1
    assert [(one.reason, one.detail) for one in rejects] == [
        ("too_large", f"{len(GOOD) + 1} bytes, at most {len(GOOD)} make a row")
    ]


def test_details_name_the_feature() -> None:
    """The sentence for a person names the feature that is wrong."""
    cases = [
        (b'{"a": 1, "c": 3}', "'b'"),
        (b'{"a": 1, "b": "x", "c": 3}', "'b' is a str"),
        (b'{"a": 1, "b": 2, "c": 1e39}', "'c'"),
    ]
    for content, named in cases:
        assert named in decode(content)[1][0].detail


def test_empty_batch() -> None:
    """No messages give no rows, of the schema's width."""
    rows, rejects = Decoder(GAPPY).decode([])
    assert rows.matrix.shape == (0, 3)
    assert rejects == []


def test_encode_packed_is_struct() -> None:
    """Encoding packs each row as struct does, also from a matrix that does not lie in one piece."""
    matrix = f32(np.arange(12) / 7).reshape(3, 4).T
    assert encode_packed(matrix) == [struct.pack("<3f", *row) for row in matrix.tolist()]


def test_names_as_text() -> None:
    """Keys and headers are text for people whatever their bytes; a header's last value counts."""
    assert text(b"caf\xc3\xa9") == "café"
    assert text(b"\xff") == "\\xff"
    assert text("as it is") == "as it is"
    assert text(None) is None
    assert header(json_message({}, marks=[("x", b"1"), ("x", b"\xff2")]), "x") == "\ufffd2"
    assert header(json_message({}), "x") is None


def test_float32_rounding() -> None:
    """The rounding is numpy's own to nearest even; what overflows becomes infinite, in silence."""
    wide = np.array([0.1, LARGEST, 3.5e38, -1e300, np.nan])
    assert np.array_equal(to_float32(wide), f32([0.1, LARGEST, np.inf, -np.inf, np.nan]), equal_nan=True)
