"""Microseconds of this process to decode a row, by format, and to refuse one, by reason.

`python -m tests.benchmarks.decoding [--rows 4096] [--repeats 30]` prints the best of so many batches of simulated
cards, by the process' own time, so that what else the machine does counts for little.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import fastavro
import numpy as np

from detector import table
from detector.rows import Batch, Decoder, Written, encode_json, encode_packed
from detector.schema import Schema
from tests.messages import FakeMessage
from trainer.simulate import simulated_cards

NUMBER = 1
PATHS = "payload.after"
Row = dict[str, Any]


class Case(NamedTuple):
    """What is decoded: values of one kind by one decoder."""

    name: str
    decoder: Decoder
    values: list[bytes | None]


def main() -> None:
    """Measures and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=30)
    chosen = parser.parse_args()
    frame = simulated_cards(chosen.rows, seed=1)
    names = tuple(str(name) for name in frame.columns[:-1])
    rows = [{str(name): float(one) for name, one in row.items()} for row in frame[list(names)].to_dict("records")]
    schema = Schema(names)
    good = {}
    print(f"{'good rows':44}{'bytes':>7}{'us a row':>10}")
    for case in good_cases(schema, rows, encode_packed(table.matrix(frame, names))):
        good[case.name] = microseconds(case, chosen.repeats, rejects=0)
        print(f"{case.name:44}{np.mean([len(one or b'') for one in case.values]):>7.0f}{good[case.name]:>10.2f}")
    print(f"\n{'bad rows':44}{'of good':>7}{'us a row':>10}")
    for format_, case in bad_cases(schema, rows):
        one = microseconds(case, chosen.repeats, rejects=len(case.values))
        print(f"{case.name:44}{one / good[format_]:>7.1f}{one:>10.2f}")
    for case in mixed_cases(schema, rows):
        print(f"{case.name:44}{'':>7}{microseconds(case, chosen.repeats, rejects=len(case.values) // 100):>10.2f}")


def microseconds(case: Case, repeats: int, rejects: int) -> float:
    """The least time that a batch took, for each of its rows."""
    marked = [FakeMessage(value, ("rows", at % 4, at)) for at, value in enumerate(case.values)]
    batch = Batch.of(marked)
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        _, found = case.decoder.decode(batch)
        taken.append(time.process_time() - start)
        assert len(found) == rejects, (case.name, found[:1])
    return min(taken) / len(batch) * 1e6


def good_cases(schema: Schema, rows: Sequence[Row], packed: list[bytes]) -> list[Case]:
    """Every format, as its rows should be."""
    optional = replace(schema, optional=schema.features)
    gaps = [
        {name: None if (at + i) % 5 == 0 else row[name] for i, name in enumerate(row)} for at, row in enumerate(rows)
    ]
    nested = {name: f"{PATHS}.{name}" for name in schema.features}
    two = {name: f"payload.{name}" for name in schema.features[::2]}
    split = [{"payload": {n: row[n] for n in two}, **{n: row[n] for n in row if n not in two}} for row in rows]
    texts = [{"id": f"transaction-{at}", **row, "shop": "Zoë's corner shop", "note": ""} for at, row in enumerate(rows)]
    shops = replace(schema, features=(*schema.features, "shop"), categories={"shop": ("a", "b", "Zoë's corner shop")})
    nullable = {name: ["null", "double"] for name in schema.features}
    cases: list[Case] = [
        Case("packed", Decoder(schema, "packed"), list(packed)),
        Case("JSON", Decoder(schema), list(encode_json(rows))),
        Case("JSON, one path for all", Decoder(schema, fields=nested), list(encode_json(wrapped(rows)))),
        Case("JSON, half of them nested", Decoder(schema, fields=two), list(encode_json(split))),
        Case("JSON, a fifth null", Decoder(optional), list(encode_json(gaps))),
        avro("Avro, doubles", schema, dict.fromkeys(schema.features, "double"), rows),
        avro("Avro, nullable doubles", schema, nullable, rows),
        avro("Avro, nullable doubles, a fifth null", optional, nullable, gaps),
        avro("Avro, floats", schema, dict.fromkeys(schema.features, "float"), rows),
        avro("Avro, doubles and three texts", schema, {**dict.fromkeys(texts[0], "string"), **doubles(schema)}, texts),
        avro(
            "Avro, the same, a text a feature", shops, {**dict.fromkeys(texts[0], "string"), **doubles(schema)}, texts
        ),
        avro(
            "Avro, doubles and a list of three",
            schema,
            {"l": LIST, **doubles(schema)},
            [{"l": TAGS, **r} for r in rows],
        ),
    ]
    return cases


LIST: Any = {"type": "array", "items": "string"}
TAGS = ["new", "abroad", "online"]


def doubles(schema: Schema) -> dict[str, Any]:
    return dict.fromkeys(schema.features, "double")


def wrapped(rows: Sequence[Row]) -> list[Row]:
    """Rows as change data capture sends them."""
    outer, inner = PATHS.split(".")
    return [{"op": "c", outer: {"before": None, inner: row}} for row in rows]


def avro(name: str, schema: Schema, types: dict[str, Any], rows: Sequence[Row]) -> Case:
    """Rows as Avro in the registry's wire format."""
    written = {"type": "record", "name": "Row", "fields": [{"name": n, "type": t} for n, t in types.items()]}
    parsed = fastavro.parse_schema(written)
    values: list[bytes | None] = []
    for row in rows:
        out = io.BytesIO()
        out.write(b"\0" + NUMBER.to_bytes(4, "big"))
        fastavro.schemaless_writer(out, parsed, row)
        values.append(out.getvalue())
    known = {NUMBER: Written(written)}
    return Case(name, Decoder(schema, "avro", registry=known.get), values)


def bad_cases(schema: Schema, rows: Sequence[Row]) -> list[tuple[str, Case]]:
    """Batches in which every message is bad in one way, each with the format whose good rows it is compared with."""
    middle = schema.features[len(schema.features) // 2]
    good = [json.dumps(row).encode() for row in rows]

    def changed(change: Callable[[Row], object]) -> list[bytes | None]:
        found = []
        for row in rows:
            change(other := dict(row))
            found.append(json.dumps(other).encode())
        return list(found)

    decoder, nested = Decoder(schema), Decoder(schema, fields={n: f"{PATHS}.{n}" for n in schema.features})
    astray = [json.dumps(row | {middle: math.nan}).encode() for row in rows]
    json_cases: dict[str, Sequence[bytes | None]] = {
        "missing_feature": changed(lambda row: row.pop(middle)),
        "not_a_number, text": changed(lambda row: row.update({middle: "1"})),
        "not_a_number, null": changed(lambda row: row.update({middle: None})),
        "not_finite, NaN": changed(lambda row: row.update({middle: math.nan})),
        "not_finite, beyond float32": changed(lambda row: row.update({middle: 1e39})),
        "not_finite, beyond float64": [
            json.dumps(row | {middle: "@"}).replace('"@"', "1e400").encode() for row in rows
        ],
        "not_json, cut short": [one[:-1] for one in good],
        "not_json, half": [one[: len(one) // 2] for one in good],
        "not_json, a word": [b"hello"] * len(good),
        "not_json, a lone escape": [one[:-1] + b', "x": "\\u"}' for one in good],
        "not_an_object": [b"[1, 2, 3]"] * len(good),
        "not_utf8": [one[:-1] + b', "x": "\xff"}' for one in good],
        "empty": [None] * len(good),
    }
    cases = [("JSON", Case(f"JSON, {name}", decoder, list(values))) for name, values in json_cases.items()]
    cases.append(("JSON", Case("JSON, too_large", Decoder(schema, max_row_bytes=100), list(good))))
    inner = [b'{"payload": {"after": %s}}' % one for one in astray]
    cases.append(("JSON, one path for all", Case("JSON, one path for all, not_finite, NaN", nested, list(inner))))
    cases.append(("JSON, one path for all", Case("JSON, one path for all, missing_feature", nested, list(good))))
    cases.append(("packed", Case("packed, wrong_length", Decoder(schema, "packed"), [b"\0" * 7] * len(good))))
    return cases + avro_cases(schema, rows)


def avro_cases(schema: Schema, rows: Sequence[Row]) -> list[tuple[str, Case]]:
    """The same for Avro."""
    name = "Avro, nullable doubles"
    types = {feature: ["null", "double"] for feature in schema.features}
    case = avro(name, schema, types, rows)
    whole = [one or b"" for one in case.values]
    middle = schema.features[len(schema.features) // 2]
    nulled = avro("", schema, types, [row | {middle: None} for row in rows])
    kinds: dict[str, Sequence[bytes | None]] = {
        "not_avro, cut short": [one[:-1] for one in whole],
        "not_avro, JSON": [json.dumps(row).encode() for row in rows],
        "unknown_schema": [one[:4] + b"\7" + one[5:] for one in whole],
        "unknown_schema, each another": [
            one[:1] + (at + 9).to_bytes(4, "big") + one[5:] for at, one in enumerate(whole)
        ],
        "not_a_number, null": nulled.values,
        "not_finite, NaN": [one[:6] + np.float64(math.nan).tobytes() + one[14:] for one in whole],
    }
    return [(name, Case(f"Avro, {kind}", case.decoder, list(values))) for kind, values in kinds.items()]


def mixed_cases(schema: Schema, rows: Sequence[Row]) -> list[Case]:
    """Batches in which one message of a hundred is bad."""
    cases = [
        Case("JSON", Decoder(schema), list(encode_json(rows))),
        avro("Avro, nullable doubles", schema, {name: ["null", "double"] for name in schema.features}, rows),
    ]
    cut = [[one and one[:-1] if at % 100 == 99 else one for at, one in enumerate(case.values)] for case in cases]
    return [Case(f"{c.name}, 1 % cut short", c.decoder, values) for c, values in zip(cases, cut, strict=True)]


if __name__ == "__main__":
    main()
