"""Which column is the truth, the event time, the entity: found by name, or as asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from detector.table.columns import kind, require
from detector.table.values import dates

LABELS = (
    *("class", "label", "is_fraud", "tx_fraud", "fraud", "fraud_label", "fraud_bool", "fraudulent", "fraud_reported"),
    *("account_type", "is_anomaly", "anomaly", "anomalous", "is_outlier", "outlier", "is_bot", "is_attack"),
    *("ground_truth", "target", "y"),
)
"""Names of the truth, the likelier first. Names are compared by their letters and digits alone, in any case."""

TIMES = (
    *("time", "timestamp", "event_time", "event_timestamp", "tx_datetime", "tx_time", "datetime", "date"),
    *("transaction_time", "transaction_timestamp", "transaction_date", "transaction_datetime", "transaction_dt"),
    *("trans_date_trans_time", "event_date", "occurred_at", "created_at", "unix_time", "epoch", "ts"),
)
"""Names of the event time. Numbers in such a column are seconds."""

KEYS = (
    *("card_id", "card_number", "card_no", "card", "cc_num", "cc_number", "credit_card_number", "customer_id"),
    *("customer", "cust_id", "client_id", "client", "account_id", "account_number", "account_no", "account"),
    *("user_id", "user", "member_id", "patient_id", "patient", "subject_id", "device_id", "entity_id", "entity"),
    "name_orig",
)
"""Names of the entity whose rows belong together."""

NORMAL_WORDS = (
    *("normal", "human", "legit", "legitimate", "benign", "genuine", "good", "inlier", "nominal", "regular"),
    *("nonfraud", "notfraud", "nofraud", "negative", "no", "n", "false", "ok"),
)
"""Texts of a label that mean a normal row, the likelier first; compared as names are."""

MOST_LABEL_VALUES = 2
"""A column of a label's name with more distinct values is no label: it is never guessed which of them are normal."""

LOOKED_AT = 1_000
"""Texts of a column that are looked at to tell whether they are dates."""

_DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})(?!\d)")
_OTHER_TIMES = {"birth", "birthday", "birthdate", "dob", "born", "expiry", "expires", "expiration", "valid", "until"}
"""Words in the names of dates that are no event's."""


def label_column(frame: pd.DataFrame, asked: str | None) -> str | None:
    """The column of the truth: the one asked for, else one with a known name, else none ("none" asks for none).

    One that is found by name has one or two distinct values.
    """
    return _column(frame, asked, lambda: named(frame, LABELS, _is_label), "label")


def time_column(frame: pd.DataFrame, asked: str | None, leave_out: Collection[str | None] = ()) -> str | None:
    """The column of the event time: the one asked for, else one with a known name that holds numbers or dates.

    Else the first that holds dates without a gap, as such or in text; else none ("none" asks for none). One that is
    found is not one of `leave_out`.
    """
    left = _without(frame, leave_out)
    return _column(frame, asked, lambda: named(left, TIMES, is_time) or _dated(left), "time")


def key_column(frame: pd.DataFrame, asked: str | None, leave_out: Collection[str | None] = ()) -> str | None:
    """The column of the entity: the one asked for, else one with a known name, else none ("none" asks for none).

    One that is found holds text or whole numbers, of which some come again, and is not one of `leave_out`.
    """
    return _column(frame, asked, lambda: named(_without(frame, leave_out), KEYS, _is_key), "key")


def _without(frame: pd.DataFrame, names: Collection[str | None]) -> pd.DataFrame:
    return frame[[name for name in frame.columns if name not in names]]


def _column(frame: pd.DataFrame, asked: str | None, found: Callable[[], str | None], what: str) -> str | None:
    if asked == "none":
        return None
    if asked:
        require(frame, [asked], what)
        return asked
    return found()


def named(frame: pd.DataFrame, known: Sequence[str], fits: Callable[[pd.Series[Any]], bool]) -> str | None:
    """The first column whose name is one of those known, in their order, and whose values fit."""
    for name in known:
        for column in frame.columns:
            if letters(column) == letters(name) and fits(frame[column]):
                return str(column)
    return None


def letters(name: str) -> str:
    """A name by its letters and digits alone, in lower case: `TX_FRAUD` is `txfraud`."""
    return "".join(filter(str.isalnum, str(name))).lower()


def words(name: str) -> list[str]:
    """The words of a name, in lower case: those of `isFlaggedFraud` are `is`, `flagged`, `fraud`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return [word.lower() for word in re.split(r"[\W_]+", apart) if word]


def _is_label(values: pd.Series[Any]) -> bool:
    return kind(values) in ("number", "boolean", "text") and 1 <= values.nunique() <= MOST_LABEL_VALUES


def _is_key(values: pd.Series[Any]) -> bool:
    held = kind(values)
    if held not in ("number", "text"):
        return False
    there = values.dropna()
    if held == "number" and not whole(there):
        return False
    return 1 < there.nunique() < len(there)


def whole(numbers: pd.Series[Any]) -> bool:
    """Whether numbers without a gap are whole, and as floats small enough to be told apart."""
    if pd.api.types.is_integer_dtype(numbers):
        return True
    wide = numbers.to_numpy(np.float64)
    return bool((np.isfinite(wide) & (np.abs(wide) < 2**53) & (wide == np.floor(wide))).all())


def is_time(values: pd.Series[Any]) -> bool:
    """Whether a column holds numbers or dates, judged by its first texts; there may be gaps."""
    held = kind(values)
    if held != "text":
        return held in ("number", "time") and bool(values.notna().any())
    return _parse(values.dropna().head(LOOKED_AT))


def is_dated(values: pd.Series[Any]) -> bool:
    """Whether a column holds dates, as such or in text that begins with a day of four-digit year."""
    held = kind(values)
    if held != "text":
        return held == "time"
    there = values.dropna()
    return all(map(_DATE.match, there.head(LOOKED_AT))) and _parse(there)


def _parse(texts: pd.Series[Any]) -> bool:
    try:
        return bool(dates(texts).notna().all())
    except (ValueError, TypeError, OverflowError):
        return False


def _dated(frame: pd.DataFrame) -> str | None:
    """The first column of dates without a gap, but for births and the like."""
    for column in frame.columns:
        if not _OTHER_TIMES & set(words(column)) and frame[column].notna().all() and is_dated(frame[column]):
            return str(column)
    return None


def normal_value(values: pd.Series[Any]) -> str:
    """The value of a label that means a normal row, as text.

    For numbers 0, for booleans False, for text the first of NORMAL_WORDS. Where there is none of these the most
    frequent value, ties by text.
    """
    held, there = kind(values), values.dropna()
    if held == "boolean":
        return "False"
    if held == "number" and (there == 0).any() | (there == 1).all():
        return "0"
    counts = there.value_counts()
    texts = sorted(counts.index, key=lambda value: (-int(counts[value]), as_text(value)))
    known = [text for word in NORMAL_WORDS for text in texts if letters(text) == word]
    return as_text((known or texts or ["0"])[0])


def as_text(value: object) -> str:
    """A label's value as a person writes it: a whole number has no point."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
