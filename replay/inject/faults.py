"""Messages that are no rows, made of such that are: by the reason for which the detector refuses each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec
import numpy as np

from detector.rows import FORMAT_HEADER, ROW_ID_HEADER
from detector.rows.messages import MAX_NAME_BYTES
from replay.batch import Batch, Headers, Marks, Stage, objects

BEYOND = 1e39
"""Finite in JSON, and beyond the range of float32."""


class Known(Protocol):
    """What is needed of replay.columns.Columns, which explains it."""

    @property
    def features(self) -> tuple[str, ...]: ...
    @property
    def categories(self) -> Mapping[str, tuple[str, ...]]: ...


Make = Callable[[bytes, Known | None], bytes]
"""A spoiled value made of a good one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """formats: in which it can be made, empty for any. columns: whether those of the row must be known. text: whether
    one of them must be text to the model. make: the value. mark: what its headers become."""

    make: Make
    formats: tuple[str, ...] = ()
    columns: bool = False
    text: bool = False
    mark: Callable[[Headers], Headers] = lambda headers: headers


def _same(value: bytes, columns: Known | None) -> bytes:
    return value


def _altered(change: Callable[[str, Any, Known], Any]) -> Make:
    """Each field of a JSON row as `change` makes it of its name and value."""

    def make(value: bytes, columns: Known | None) -> bytes:
        assert columns is not None
        row = msgspec.json.decode(value)
        return msgspec.json.encode({name: change(name, one, columns) for name, one in row.items()})

    return make


def _text_for_number(name: str, value: Any, columns: Known) -> Any:
    return value if isinstance(value, str) else str(value)


def _beyond(name: str, value: Any, columns: Known) -> Any:
    return value if isinstance(value, str) else BEYOND


def _number_for_text(name: str, value: Any, columns: Known) -> Any:
    return 7 if name in columns.categories else value


def _not_finite(value: bytes, columns: Known | None) -> bytes:
    if value.startswith(b"{"):
        return _altered(_beyond)(value, columns)
    return np.full(len(value) // 4, np.inf, "<f4").tobytes()


def _not_a_category(value: bytes, columns: Known | None) -> bytes:
    assert columns is not None
    if value.startswith(b"{"):
        return _altered(_number_for_text)(value, columns)
    row = np.frombuffer(value, "<f4").copy()
    row[[name in columns.categories for name in columns.features]] = -1
    return row.tobytes()


def _of_no_format(headers: Headers) -> Headers:
    return [(FORMAT_HEADER, b"xml"), *(pair for pair in headers if pair[0] != FORMAT_HEADER)]


def _of_long_name(headers: Headers) -> Headers:
    """A row-id more, which is too long; the last one names the row."""
    return [(ROW_ID_HEADER, b"x" * (MAX_NAME_BYTES + 1)), *headers]


JSON, PACKED = ("json",), ("packed",)
FAULTS: dict[str, Fault] = {
    "empty": Fault(lambda value, columns: b""),
    "too_large": Fault(_same, mark=_of_long_name),
    "unknown_format": Fault(_same, mark=_of_no_format),
    "not_utf8": Fault(lambda value, columns: value + b"\xff", JSON),
    "not_json": Fault(lambda value, columns: value[:-1] + b",", JSON),
    "not_an_object": Fault(lambda value, columns: b"[" + value + b"]", JSON),
    "missing_feature": Fault(lambda value, columns: b"{}", JSON),
    "not_a_number": Fault(_altered(_text_for_number), JSON, columns=True),
    "not_a_category": Fault(_not_a_category, (*JSON, *PACKED), columns=True, text=True),
    "not_finite": Fault(_not_finite, (*JSON, *PACKED), columns=True),
    "wrong_length": Fault(lambda value, columns: value[:-1], PACKED),
}
"""By the reason of its dead letter, of detector.rows.REASONS, as far as one message alone can have it; none of Avro."""


def possible(format_: str, columns: Known | None) -> list[str]:
    """The reasons of which messages of a format can be made. columns: the row's, None where nobody knows them."""
    texts = bool(columns and set(columns.categories) & set(columns.features))
    return [
        reason
        for reason, fault in FAULTS.items()
        if (not fault.formats or format_ in fault.formats)
        and (columns is not None or not fault.columns)
        and (texts or not fault.text)
    ]


def spoiled(format_: str, columns: Known | None) -> Stage:
    """The stage that spoils encoded rows as they are marked. format_: of rows that came without headers."""

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            places = [] if batch.injected is None else _faulty(batch.injected.tolist())
            yield _spoil(batch, places, format_, columns) if places else batch

    return stage


def fault_of(marks: Marks) -> str:
    """The reason for which a row is to be refused, empty for none."""
    return next((mark.fault for mark in marks if mark.fault), "")


def _faulty(marks: Sequence[Marks]) -> list[tuple[int, str]]:
    return [(place, fault) for place, one in enumerate(marks) if one and (fault := fault_of(one))]


def _spoil(batch: Batch, places: list[tuple[int, str]], format_: str, columns: Known | None) -> Batch:
    assert batch.values is not None
    values = batch.values.copy()
    own = [(FORMAT_HEADER, format_.encode())]
    names = batch.row_ids.tolist()
    headers: list[Headers] = (
        [[*own, (ROW_ID_HEADER, name)] for name in names] if batch.headers is None else batch.headers.tolist()
    )
    for place, reason in places:
        fault = FAULTS[reason]
        values[place] = fault.make(values[place] or b"", columns)
        headers[place] = fault.mark(headers[place])
    return replace(batch, values=values, headers=objects(headers))
