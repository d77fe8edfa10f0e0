"""Hostile messages, the same ones for the same seed: rows spoiled in every way that was thought of, good ones between.

What a message is made of (its value, key, headers and time) is drawn for each part alone, so that kinds meet in all
combinations. Nothing here knows what a message must come to: that is the straight reading's to say.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.rows import MAX_NAME_BYTES, encode_packed
from tests.messages import FakeMessage

MOST_BYTES = 1 << 20
"""What a row may have at most, by the detector's default."""

DEEP, TOO_DEEP = 200, 100_000
"""Nesting that every JSON reader goes through, and that none does: between them it is a matter of its stack."""

Marks = list[tuple[str, bytes | None]]
Made = tuple[bytes | None, Marks]
"""A value, and the headers that it needs to be understood."""

PACKED: Marks = [("format", b"packed")]
AVRO: Marks = [("format", b"avro")]
ALL_NUMBERS, ODD, NO_RECORD = 1, 2, 3
"""The registry's numbers of three schemas: of numbers alone, of all sorts of things, and of no record."""


@dataclass(frozen=True)
class Material:
    """Rows to spoil. names, numbers: as JSON spells them. json, packed: whole rows."""

    names: list[bytes]
    numbers: list[list[bytes]]
    json: list[bytes]
    packed: list[bytes]

    @classmethod
    def of(cls, features: Sequence[str], matrix: NDArray[np.float32]) -> Material:
        """Rows (n, d) of these features."""
        names = [json.dumps(name).encode() for name in features]
        numbers = [[json.dumps(one).encode() for one in row] for row in matrix.astype(float).tolist()]
        return cls(names, numbers, [joined(zip(names, row, strict=True)) for row in numbers], encode_packed(matrix))

    def pairs(self, chance: Random) -> list[tuple[bytes, bytes]]:
        """The names and numbers of some row."""
        return list(zip(self.names, chance.choice(self.numbers), strict=True))


class Unreadable(FakeMessage):
    """A message with a header whose name is not UTF-8, on which the client fails."""

    def headers(self) -> Any:
        raise SystemError


def writers(features: Sequence[str]) -> dict[int, Any]:
    """The schemas that the registry has, by their numbers."""
    odd = ["null", "double", "long", "string", "boolean", "float"]
    lists = [("list", {"type": "array", "items": "string"}), ("more", {"type": "array", "items": ["null", "long"]})]
    fields: dict[int, list[tuple[str, Any]]] = {
        ALL_NUMBERS: [(name, "double") for name in features],
        ODD: [("text", "string"), *((name, odd) for name in features), *lists],
    }
    return {NO_RECORD: "string"} | {
        number: {"type": "record", "name": f"R{number}", "fields": [{"name": n, "type": t} for n, t in some]}
        for number, some in fields.items()
    }


def joined(pairs: Any, comma: bytes = b",", colon: bytes = b":") -> bytes:
    """Names and values as a JSON object."""
    return b"{" + comma.join(name + colon + value for name, value in pairs) + b"}"


# --- what can stand for a number

NUMBERS = [
    *(b"0", b"-0", b"-0.0", b"1", b"-1", b"0.1", b"1E5", b"1e+5", b"1e-5", b"123456789012345678901234567890"),
    *(b"18446744073709551615", b"18446744073709551616", b"-9223372036854775809", b"9007199254740993"),
    *(b"0.1000000000000000055511151231257827", b"1e0000000000000000000001", b"0e999999999", b"-0e-999999999"),
    *(b"1e-45", b"1.4e-45", b"7e-46", b"1.1754942e-38", b"5e-324", b"4.9e-324", b"2.4e-324", b"1e-400", b"-1e-99999"),
    *(b"3.4028234e38", b"3.4028235e38", b"3.4028235677973366e38", b"3.4028236e38", b"-3.5e38", b"1e39"),
    *(b"1.7976931348623157e308", b"1.7976931348623159e308", b"1e309", b"-1e400", b"1e99999999999999999999"),
    *(b"9" * 400, b"-" + b"9" * 5000, b"0." + b"0" * 400 + b"1", b"1" + b"0" * 300 + b".5", b"0." + b"3" * 3000),
]
NO_NUMBERS = [
    *(b"NaN", b"nan", b"NAN", b"-NaN", b"+NaN", b"NaN()", b"Nan", b"1.#QNAN", b"1.#INF", b"nan(0x7)"),
    *(b"Infinity", b"-Infinity", b"+Infinity", b"infinity", b"inf", b"-inf", b"INF", b"-Infinity1"),
    *(b'"NaN"', b'"Infinity"', b'"1e400"', b'"1"', b'""', b'" 1"', b"'1'"),
    *(b"+1", b"01", b"-01", b".5", b"1.", b"1.e5", b"1e", b"1e+", b"-", b"--1", b"1-1", b"0x10", b"0b1", b"1_000"),
    *(
        b"1,5",
        b"1 000",
        b"1e5.5",
        b"1f",
        b"1n",
        b"\xd9\xa1",
        b"\xef\xbc\x91",
        b"\xe2\x88\x921",
        b"\xc2\xbd",
        b"\xe2\x88\x9e",
    ),
    *(b"null", b"true", b"false", b"None", b"undefined", b"True", b"nul", b"nulll", b"", b" ", b"/* 1 */ 1", b"1 // 1"),
    *(
        b"[]",
        b"[1]",
        b"[[1]]",
        b"{}",
        b'{"value":1}',
        b'{"NaN":NaN}',
        b"[NaN]",
        b'[1,"NaN"]',
        b'"\\ud800"',
        b'"\xed\xa0\x80"',
    ),
]
ANYTHING = [*NUMBERS, *NO_NUMBERS]
JSON_VALUES = [
    *(b"0", b"7", b"-1.5", b"null", b"true", b"false", b'""', b'"text"', b"[]", b"{}", b"[1,2,3]", b"[{}]", b"NaN"),
    *(b"-Infinity", b"1e999", b'"NaN"', b'"\\u0000"', b'"\\ud83d\\ude00"', b'"\\ud800"', b'{"a":{"b":[null,{"c":0}]}}'),
    *('"é\u2028😀"'.encode(), b'"' + b"x" * 2000 + b'"', b"[" + b"0," * 500 + b"0]", b'{"":0,"":1}'),
]
SPACES = [
    b"",
    b" ",
    b"\n",
    b"\t",
    b"\r\n",
    b"  \n\t ",
    b"\x0b",
    b"\x0c",
    b"\xc2\xa0",
    b"\0",
    b"\xe2\x80\x8b",
    b"\x1f",
    b"/**/",
]


# --- values


def good_json(material: Material, chance: Random) -> Made:
    return chance.choice(material.json), []


def good_packed(material: Material, chance: Random) -> Made:
    return chance.choice(material.packed), PACKED


def reordered(material: Material, chance: Random) -> Made:
    """Every feature, in another order."""
    pairs = material.pairs(chance)
    chance.shuffle(pairs)
    return joined(pairs), []


def odd_numbers(material: Material, chance: Random) -> Made:
    """Numbers that JSON has, at the edges of float32, float64 and of patience."""
    return joined(_replaced(material, chance, NUMBERS)), []


def no_numbers(material: Material, chance: Random) -> Made:
    """What is no number, or is one in another language."""
    return joined(_replaced(material, chance, NO_NUMBERS)), []


def _replaced(material: Material, chance: Random, values: list[bytes]) -> list[tuple[bytes, bytes]]:
    pairs = material.pairs(chance)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        place = chance.randrange(len(pairs))
        pairs[place] = (pairs[place][0], chance.choice(values))
    return pairs


def twice(material: Material, chance: Random) -> Made:
    """A name twice or more, also spelled in escapes; the last counts."""
    pairs = material.pairs(chance)
    for _ in range(chance.choice((1, 1, 3))):
        name = chance.choice(material.names)
        if chance.random() < 0.3:
            name = b'"' + b"".join(b"\\u%04x" % one for one in name[1:-1]) + b'"'
        pairs.insert(chance.randrange(len(pairs) + 1), (name, chance.choice(ANYTHING)))
    return joined(pairs), []


def absent(material: Material, chance: Random) -> Made:
    """A feature left out, or under a name that is nearly its own."""
    pairs = material.pairs(chance)
    place = chance.randrange(len(pairs))
    name, value = pairs.pop(place)
    near = [
        name.lower(),
        name[:-1] + b' "',
        b'"\\u0000' + name[1:],
        b'"\xef\xbb\xbf' + name[1:],
        name[1:-1],
        b"'x'",
        b"1",
    ]
    if chance.random() < 0.7:
        pairs.insert(place, (chance.choice(near), value))
    return joined(pairs), []


def more_fields(material: Material, chance: Random) -> Made:
    """Fields that are no features, with anything in them."""
    pairs = material.pairs(chance)
    for number in range(chance.choice((1, 2, 30))):
        name = chance.choice((b'"extra"', b'""', b'"\\u00e9"', '"é"'.encode(), b'"f0"', b'"x%d"' % number))
        pairs.insert(chance.randrange(len(pairs) + 1), (name, chance.choice(JSON_VALUES)))
    return joined(pairs), []


def deep(material: Material, chance: Random) -> Made:
    """Lists in lists, objects in objects: in a feature, in a field that is ignored, or around the row."""
    depth = chance.randrange(2, DEEP) if chance.random() < 0.95 else TOO_DEEP
    begin, end = chance.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")))
    tower = begin * depth + chance.choice((b"1", b"", b"NaN")) + chance.choice((end * depth, end * (depth - 1), b""))
    pairs = material.pairs(chance)
    place = chance.randrange(len(pairs))
    where = chance.random()
    if where < 0.4:
        pairs[place] = (pairs[place][0], tower)
    elif where < 0.8:
        pairs.insert(place, (b'"extra"', tower))
    else:
        return tower, []
    return joined(pairs), []


def damaged(material: Material, chance: Random) -> Made:
    """A JSON row of which some bytes changed, went or came."""
    content = bytearray(chance.choice(material.json))
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        _damage(content, chance)
    return bytes(content), []


def _damage(content: bytearray, chance: Random) -> None:
    at = chance.randrange(len(content) + 1)
    kind = chance.randrange(6)
    if kind == 0 and at < len(content):
        content[at] ^= 1 << chance.randrange(8)
    elif kind == 1 and at < len(content):
        content[at] = chance.choice(b'{}[]",:.-+eE0123456789nNtf\\u \n\0\xff\x80\xc3')
    elif kind == 2:
        content[at:at] = chance.choice((b'"', b",", b"\\", b"\xc3", b"\0", b"e", b".", b"-", b"\xef\xbb\xbf", b"null"))
    elif kind == 3:
        del content[at : at + chance.choice((1, 1, 2, 20))]
    elif kind == 4:
        content[at:at] = content[at : at + chance.randrange(40)]
    else:
        content[at : at + 4] = chance.randbytes(4)


def cut(material: Material, chance: Random) -> Made:
    """A row that ends too early, or begins too late."""
    content = chance.choice(material.json)
    at = chance.randrange(1, len(content))
    return (content[:at] if chance.random() < 0.8 else content[at:]), []


def spliced(material: Material, chance: Random) -> Made:
    """Two rows run into each other."""
    one, other = chance.choice(material.json), chance.choice(material.json)
    if chance.random() < 0.3:
        return one + chance.choice((b"", b"\n", b",", b"\0")) + other, []
    return one[: chance.randrange(len(one))] + other[chance.randrange(len(other)) :], []


def encoded(material: Material, chance: Random) -> Made:
    """A row in another encoding, or with what is no UTF-8 in it."""
    content = chance.choice(material.json)
    if chance.random() < 0.5:
        how = chance.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7", "cp037"))
        return content.decode().encode(how), []
    no_text = chance.choice(
        (b"\xff", b"\xc0\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe9", b"\xf8\x88\x80\x80\x80")
    )
    place = content.index(b":", chance.randrange(len(content) // 2))
    fields = (b'{"extra":"' + no_text + b'",' + content[1:], content[:-1] + b',"' + no_text + b'":0}')
    return chance.choice((*fields, content[:place] + no_text + content[place:], content + no_text)), []


def spaced(material: Material, chance: Random) -> Made:
    """White space where it may stand, and what only looks like it."""
    around, comma, colon = (chance.choice(SPACES[: chance.choice((6, 6, len(SPACES)))]) for _ in range(3))
    return around + joined(material.pairs(chance), comma + b"," + comma, b":" + colon) + around, []


def no_object(material: Material, chance: Random) -> Made:
    """JSON, or nearly, that is something else."""
    rows = b"[" + chance.choice(material.json) + b"]"
    numbers = b"[" + b",".join(chance.choice(material.numbers)) + b"]"
    return chance.choice((*JSON_VALUES, *ANYTHING, rows, numbers, json.dumps(rows.decode()).encode())), []


def nothing(material: Material, chance: Random) -> Made:
    return chance.choice((None, b"")), chance.choice(([], PACKED))


def random_bytes(material: Material, chance: Random) -> Made:
    return chance.randbytes(chance.choice((1, 2, 7, 64, len(material.packed[0]), 1000))), chance.choice(([], PACKED))


def packed_odd(material: Material, chance: Random) -> Made:
    """A packed row with odd numbers in it: NaN of all payloads, infinities, denormals, the largest and smallest."""
    content = bytearray(chance.choice(material.packed))
    for _ in range(chance.choice((1, 1, 4))):
        bits = chance.choice(
            (0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0x7F800000, 0xFF800000, 1, 0x807FFFFF, 0x7F7FFFFF, 0x80000000)
        )
        struct.pack_into("<I", content, 4 * chance.randrange(len(content) // 4), bits)
    return bytes(content), PACKED


def packed_damaged(material: Material, chance: Random) -> Made:
    """A packed row with bits flipped, or the wrong way round."""
    content = bytearray(chance.choice(material.packed))
    if chance.random() < 0.2:
        return np.frombuffer(bytes(content), "<f4").astype(">f4").tobytes(), PACKED
    for _ in range(chance.choice((1, 2, 9))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content), PACKED


def packed_cut(material: Material, chance: Random) -> Made:
    """A packed row that is too short, or too long."""
    content = chance.choice(material.packed)
    longer = content + chance.choice((b"\0", b"\0" * 4, content))
    return (content[: chance.randrange(1, len(content))] if chance.random() < 0.7 else longer), PACKED


def _framed(number: int, body: bytes) -> bytes:
    """In the registry's wire format."""
    return b"\0" + number.to_bytes(4, "big") + body


def _doubles(material: Material, chance: Random) -> NDArray[np.float64]:
    return np.frombuffer(chance.choice(material.packed), "<f4").astype("<f8")


def good_avro(material: Material, chance: Random) -> Made:
    return _framed(ALL_NUMBERS, _doubles(material, chance).tobytes()), AVRO


def avro_odd(material: Material, chance: Random) -> Made:
    """A record of unions, text and lists, a feature of another branch in some."""
    parts = [b"\x02" + struct.pack("<d", one) for one in _doubles(material, chance)]
    for _ in range(chance.choice((0, 0, 1, 3))):
        parts[chance.randrange(len(parts))] = chance.choice(BRANCHES)
    lists = chance.choice((b"\0", b"\x02\x02x\0", b"\x04\x02x\0\x02\0\0", b"\x01\x04\x02x\0", b"\x03\x02\0\0\0"))
    items = chance.choice((b"\0", b"\x04\0\x02\x0e\0", b"\x04\0\0\0", b"\xfe\xff\xff\xff\x0f"))
    return _framed(ODD, chance.choice((b"\0", b"\x04\xff\xfe")) + b"".join(parts) + lists + items), AVRO


BRANCHES = [
    *(b"\0", b"\x04\x0e", b"\x04" + b"\xff" * 9 + b"\x01", b"\x04" + b"\x80" * 9 + b"\x02", b"\x04\x80\0", b"\x0c"),
    *(
        b"\x06\x021",
        b"\x06\0",
        b"\x06\x01",
        b"\x06\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x08\x01",
        b"\x08\x02",
        b"\x01",
    ),
    *(b"\x0a\0\0\x80\x3f", b"\x0a\0\0\xc0\x7f", b"\x0a\x01\0\x80\x7f", b"\x0a\xff\xff\x7f\x7f", b"\x0a\x01\0\0\0"),
    *(b"\x02" + struct.pack("<d", one) for one in (1e39, -1e300, 5e-324, -0.0, float("nan"), float("-inf"), 3.5e38)),
]
"""Values of a union's branches, and of none."""


def avro_damaged(material: Material, chance: Random) -> Made:
    """A record cut, longer, or with some bytes changed."""
    made, _ = chance.choice((good_avro, avro_odd))(material, chance)
    content = bytearray(made or b"")
    kind = chance.randrange(4)
    if kind == 0:
        return bytes(content[: chance.randrange(1, len(content))]), AVRO
    if kind == 1:
        return bytes(content) + chance.choice((b"\0", b"\x02", bytes(content))), AVRO
    for _ in range(chance.choice((1, 2, 9))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content), AVRO


def avro_foreign(material: Material, chance: Random) -> Made:
    """A record of a schema that the registry does not have, or of no record; or no wire format at all."""
    body = _doubles(material, chance).tobytes()
    number = chance.choice((NO_RECORD, 0, 4, 99, (1 << 31) - 1, (1 << 32) - 1))
    no_wire = (b"\x01" + _framed(1, body)[1:], body, b"\0", b"Obj\x01" + body, chance.choice(material.json))
    return (_framed(number, body) if chance.random() < 0.7 else chance.choice(no_wire)), AVRO


def misnamed(material: Material, chance: Random) -> Made:
    """A good row that is said to be of another format."""
    forms = (b"json", b"packed", b"avro", b"", b"JSON", b"csv", b"json ", b"\xff", b"json\0", b"x" * 5000, None)
    content = chance.choice((chance.choice(material.json), chance.choice(material.packed)))
    return content, [("format", chance.choice(forms))]


VALUES: list[tuple[int, Callable[[Material, Random], Made]]] = [
    (30, good_json),
    (14, good_packed),
    (3, reordered),
    (6, odd_numbers),
    (8, no_numbers),
    (4, twice),
    (3, absent),
    (3, more_fields),
    (1, deep),
    (8, damaged),
    (3, cut),
    (2, spliced),
    (3, encoded),
    (2, spaced),
    (2, no_object),
    (1, nothing),
    (2, random_bytes),
    (2, packed_odd),
    (2, packed_damaged),
    (2, packed_cut),
    (6, good_avro),
    (4, avro_odd),
    (3, avro_damaged),
    (2, avro_foreign),
    (1, misnamed),
]


def giants(material: Material, chance: Random, most: int = 10 << 20) -> list[Made]:
    """Messages about as long as a row may be, and up to `most` bytes."""
    row = chance.choice(material.json)
    spaces = [row + b" " * (size - len(row)) for size in (MOST_BYTES - 1, MOST_BYTES, MOST_BYTES + 1, most)]
    text = [b'{"extra":"' + b"x" * (MOST_BYTES - len(row) - 12) + b'",' + row[1:], b"\xff" * MOST_BYTES]
    numbers = [_long_number(row, MOST_BYTES - 1), _long_number(row, most), b"[" * (most - 1)]
    others = [chance.randbytes(most // 2), b"[" + b"1," * (MOST_BYTES // 2 - 2) + b"1]"]
    named: Made = (row, [("row-id", b"7" * (most - 2 * len(row)))])
    packed: Made = (chance.choice(material.packed) * (most // len(material.packed[0])), PACKED)
    return [*((one, list[Any]()) for one in (*spaces, *text, *numbers, *others)), named, packed]


def _long_number(row: bytes, size: int) -> bytes:
    """A row whose first number has so many digits that the whole has `size` bytes."""
    colon, comma = row.index(b":") + 1, row.index(b",")
    return row[:colon] + b"0." + b"3" * (size - len(row) + comma - colon - 2) + row[comma:]


# --- what comes with a value

KEYS: list[bytes | None] = [
    *(None, b"card-7", b"", b"\xff\xfe", b"\0", "é😀".encode(), b"k" * MAX_NAME_BYTES, b"k" * (MAX_NAME_BYTES + 1)),
    *(b'"}', b"\r\nerrors.reason: none", b"\xed\xa0\x80"),
]
TIMES = [1_600_000_000_000, -1, 0, 1, 999, 253_402_300_799_999, 253_402_300_800_000, (1 << 63) - 1]
HEADERS: list[Marks] = [
    [],
    [("row-id", b"12")],
    [("row-id", None)],
    [("row-id", b"\xff")],
    [("row-id", b"1"), ("row-id", b"2")],
    [("row-id", b"7" * MAX_NAME_BYTES)],
    [("row-id", b"7" * (MAX_NAME_BYTES + 1))],
    [("row-id", b"7" * (MAX_NAME_BYTES + 1)), ("row-id", b"7")],
    [("format", None)],
    [("format", b"packed")],
    [("format", b"xml"), ("format", b"json")],
    [("format", b"json"), ("format", b"xml")],
    [("format", b"json")] * 40,
    [("Format", b"xml"), ("format ", b"xml")],
    [("", b""), ("", None), ("é\u2028😀", b"\xff\0")],
    [("errors.reason", b"none"), ("errors.offset", b"-1"), ("errors.", None), ("errors", b"stays")],
    [("n" * 3000, b"v" * 3000)],
    [(f"trace-{number}", b"%d" % number) for number in range(300)],
]


def hostile(
    material: Material, seed: int, count: int, partitions: int = 3, unreadable: bool = True
) -> Iterator[tuple[str, FakeMessage]]:
    """So many messages, each with the kind of its value, at growing offsets with gaps.

    unreadable: whether there are headers with names that are no text, which the client cannot send.
    """
    chance = Random(seed)
    kinds = [kind for weight, kind in VALUES for _ in range(weight)]
    following = [0] * partitions
    for _ in range(count):
        kind = chance.choice(kinds)
        content, marks = kind(material, chance)
        partition = chance.randrange(partitions)
        place = ("transactions", partition, following[partition])
        following[partition] += 1 if chance.random() < 0.98 else chance.randrange(2, 40)
        yield kind.__name__, _sent(content, marks, place, chance, unreadable)


def _sent(
    content: bytes | None, marks: Marks, place: tuple[str, int, int], chance: Random, unreadable: bool
) -> FakeMessage:
    """A value with a key, headers and a time: mostly usual ones."""
    key = b"card-%d" % chance.randrange(100) if chance.random() < 0.95 else chance.choice(KEYS)
    when = 1_700_000_000_000 + chance.randrange(10**9) if chance.random() < 0.98 else chance.choice(TIMES)
    draw = chance.random()
    if draw < 0.9:
        return FakeMessage(content, place, when, key, marks or None)
    if draw < 0.999 or not unreadable:
        more = chance.choice(HEADERS)
        return FakeMessage(content, place, when, key, marks + more if chance.random() < 0.5 else more + marks)
    return Unreadable(content, place, when, key)
