"""Why a column is no feature: the rules, with their numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector.schema import categorical, readable
from detector.table.roles import is_dated, words
from trainer.look import Look, Surroundings

MOST_VALUES = 32
"""Distinct texts that a feature may have that was not asked for by name."""

LEAST_SEEN = 20
"""Rows in which each text of such a feature is seen, on average."""

ALMOST_ALL = 0.9
"""The share of distinct texts from which a column names rows."""

FREE_WORDS = 3.0
"""Words in a text, on average, from which a column is prose."""

SAME_CLOCK = 0.999
"""Pearson's correlation with the event time from which a column of numbers is that time again."""

CLOCK_ROWS = 50
"""Rows without which nothing is said of that."""

LOOKED_AT = 1_000
"""Different texts that are looked at where all would take long."""

IDENTIFIERS = {"id", "ids", "uuid", "guid", "hash", "idx"}
"""Last words in the names of columns that name something; `index`, and what pandas calls unnamed, do so too."""

_UNNAMED = re.compile(r"Unnamed: \d+|index", re.IGNORECASE)
_AROUND_DIGITS = re.compile(r"[\s,'_$€£¥%]")
_LETTERS = re.compile(r"(?![eE])[^\W\d_]")


def why_left_out(look: Look, around: Surroundings) -> str:
    """The first rule that leaves a column out, in a few words; empty where it is a feature."""
    rules = COMMON + BY_KIND.get(look.kind, ())
    return next(filter(None, (rule(look, around) for rule in rules)), "")


def _name(look: Look, around: Surroundings) -> str:
    return "" if readable(look.name) else "its name has quotes, backslashes or control characters"


def _missing(look: Look, around: Surroundings) -> str:
    return "" if look.there else "all missing"


def _other(look: Look, around: Surroundings) -> str:
    if look.kind != "other":
        return ""
    kinds = sorted({type(value).__name__ for value in islice(look.texts(), LOOKED_AT)})
    return f"holds {', '.join(kinds[:3])}: no number, text, true or false"


def _constant(look: Look, around: Surroundings) -> str:
    """One value, also as the network sees it: numbers that are one in float32."""
    if look.distinct == 1:
        return "constant"
    bounds = look.bounds()
    with np.errstate(over="ignore"):
        return "constant" if bounds and np.float32(bounds[0]) == np.float32(bounds[1]) != np.inf else ""


def _of_the_label(look: Look, around: Surroundings) -> str:
    """A name that goes on where the label's ends: TX_FRAUD_SCENARIO where the label is TX_FRAUD."""
    if around.label is None or len(around.label) < 3:
        return ""
    label, own = words(around.label), words(look.name)
    longer = len(own) > len(label) > 0 and own[: len(label)] == label
    return f"its name continues the label's, {around.label}" if longer else ""


def _date(look: Look, around: Surroundings) -> str:
    if not is_dated(look.values):
        return ""
    return "another time" if around.time else "dates"


def _infinite(look: Look, around: Surroundings) -> str:
    with np.errstate(over="ignore"):
        infinite = np.isinf(look.numbers().astype(np.float32))
    return f"infinite or beyond float32 in row {int(np.argmax(infinite))}" if infinite.any() else ""


def _identifier(look: Look, around: Surroundings) -> str:
    """Whole numbers of an identifier's name, more than MOST_VALUES of them; or all distinct, and in order or so named.

    Numbers that were read as floats had gaps or fractions: they count something.
    """
    if not pd.api.types.is_integer_dtype(look.values):
        return ""
    distinct, is_name = look.distinct or 0, not IDENTIFIERS.isdisjoint(words(look.name)[-1:])
    if is_name and distinct > MOST_VALUES:
        return "identifier, by its name"
    if look.missing or distinct < len(look.values):
        return ""
    if look.values.is_monotonic_increasing or look.values.is_monotonic_decreasing:
        return "identifier: whole numbers, all distinct, in order"
    return "identifier, by its name" if is_name or _UNNAMED.fullmatch(look.name) else ""


def _clock(look: Look, around: Surroundings) -> str:
    """Numbers that grow as the event time does: those of tomorrow were never seen."""
    if around.moments is None or look.there < CLOCK_ROWS:
        return ""
    numbers = look.numbers()
    there = ~np.isnan(numbers)
    together = correlation(numbers[there], around.moments[there].astype(np.float64))
    return f"the time again: correlation {together:.4f} with {around.time}" if together > SAME_CLOCK else ""


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's r of two columns of finite numbers (n,); 0 where one does not vary."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    a, b = ((x - x.mean()) / np.ptp(x) for x in (one, other))
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _numbers_as_text(look: Look, around: Surroundings) -> str:
    return numbers_as_text(look)


def numbers_as_text(look: Look) -> str:
    """What is wrong with a text column that holds numbers, in a few words; empty where it is of text."""
    texts = _some(look)
    odd = [text for text in texts if not reads_as_number(text)]
    if not odd:
        return f"numbers as text, such as {texts[0]!r:.20}: write plain numbers"
    if len(odd) <= len(texts) / 2 and (look.distinct or 0) > MOST_VALUES:
        return f"numbers mixed with text, such as {odd[0]!r:.20}: empty those cells"
    return ""


def reads_as_number(text: str) -> bool:
    """Whether a person would read a text as a number: `1,234`, `$ 5.00`, `12 %`, ` 7 `."""
    if not any(map(str.isdigit, text)) or _LETTERS.search(text):
        return False
    try:
        float(_AROUND_DIGITS.sub("", text))
    except ValueError:
        return False
    return True


def _prose(look: Look, around: Surroundings) -> str:
    texts = _some(look)
    mean = sum(len(text.split()) for text in texts) / len(texts)
    if (look.distinct or 0) > MOST_VALUES and mean >= FREE_WORDS:
        return f"free text: {mean:.0f} words on average"
    return "" if all(map(categorical, texts)) else "free text: longer than 256 characters, or no UTF-8"


def _names_rows(look: Look, around: Surroundings) -> str:
    share = (look.distinct or 0) / look.there
    return f"identifier: {share:.0%} of its texts differ" if share >= ALMOST_ALL else ""


def _too_many(look: Look, around: Surroundings) -> str:
    distinct = look.distinct or 0
    return f"{distinct:,} different texts, at most {MOST_VALUES} make a feature" if distinct > MOST_VALUES else ""


def _too_rare(look: Look, around: Surroundings) -> str:
    seen = look.there / (look.distinct or 1)
    return f"each text in {seen:.1f} rows on average, {LEAST_SEEN} wanted" if seen < LEAST_SEEN else ""


def _some(look: Look) -> Sequence[str]:
    """Different texts, in the order of the file, LOOKED_AT at most."""
    return [str(text) for text in look.values.dropna().unique()[:LOOKED_AT]]


Rule = Callable[[Look, Surroundings], str]
COMMON: tuple[Rule, ...] = (_name, _missing, _other, _constant, _of_the_label)
BY_KIND: dict[str, tuple[Rule, ...]] = {
    "number": (_infinite, _identifier, _clock),
    "time": (_date,),
    "text": (_date, _numbers_as_text, _prose, _names_rows, _too_many, _too_rare),
}
