"""Twitter accounts as their publisher has them, to the sixteen numbers by which people and bots are told apart.

Needs the package emoji, which the bare install does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import emoji
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector.errors import DataRefused
from detector.table.columns import require

DROPPED = "not_english"
ENGLISH = "en"
UNTOUCHED = ("account_type", "created_at", "id", "screen_name")

FLAGS = ("default_profile", "default_profile_image", "geo_enabled", "verified")
COUNTS = ("favourites_count", "followers_count", "friends_count", "statuses_count")
LOCATIONS = ("location_known", "location")
AGE, TWEETS = "account_age_days", "average_tweets_per_day"
RAW = (*FLAGS, *COUNTS, "description", "lang")

ACCOUNT_FEATURES: tuple[str, ...] = (
    "default_profile",
    "default_profile_image",
    "description_length",
    "favourites_count",
    "followers_count",
    "friends_count",
    "geo_enabled",
    "location_known",
    "statuses_count",
    "verified",
    "average_tweets_per_day",
    "account_age_days",
    "bio_has_emoji",
    "bio_has_hashtag",
    "bio_has_account",
    "bio_has_link",
)

# As Twitter has it: a sign within a word is none (an address of mail, `a#b`), nor is one within a link, and a hashtag
# has a letter. The second forms of # and @ are those of full width.
HASHTAG = re.compile(r"(?<![\w&])[#\uff03](?=\w*[^\W\d_])\w+")
ACCOUNT = re.compile(r"(?<![\w@&+])[@\uff20][A-Za-z0-9_]{1,15}(?![\w@])")
ADDRESS = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
LINK = re.compile(
    r"(?<![\w@.])(?:https?://[^\s/]|www\.\w|(?:[a-z0-9-]+\.)+[a-z]{2,}/\w)",
    re.IGNORECASE,
)
UNKNOWN = ("", "unknown")

Numbers = NDArray[np.float64]


def is_accounts(frame: pd.DataFrame) -> bool:
    """Whether a table has the columns of raw accounts, from which `account_rows` makes features."""
    has = set(frame.columns)
    return has >= set(RAW) and not has.isdisjoint(LOCATIONS) and not has.isdisjoint((AGE, "created_at"))


def account_rows(frame: pd.DataFrame, as_of: str | pd.Timestamp | None = None) -> pd.DataFrame:
    """The English accounts (`lang` is "en") with ACCOUNT_FEATURES as float64, and account_type, created_at and keys.

    as_of: the moment (UTC where it does not say otherwise) to which ages are counted where the table has none, by
    default when the newest account of the table was made: features are a function of the data.
    How many accounts of other or no language were left out is in `.attrs["not_english"]`. The rows keep their order
    and their index. DataRefused names a column that is absent or holds something else.
    """
    require(frame, RAW, "account")
    english = (frame["lang"].astype("string").str.strip() == ENGLISH).fillna(False).to_numpy(bool)
    kept = frame[english]
    features = _flags(kept) | _counts(kept) | _ages(kept, _day(frame, as_of)) | _bio(_texts(kept["description"]))
    features["location_known"] = _location(kept)
    columns = {name: features[name] for name in ACCOUNT_FEATURES}
    rows = pd.DataFrame(columns, index=kept.index)
    for name in UNTOUCHED:
        if name in kept.columns:
            rows[name] = kept[name]
    rows.attrs[DROPPED] = int(len(frame) - len(kept))
    return rows


def with_features(frame: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """What a model of these features takes: the table, or `account_rows` of raw accounts, numbered anew, for theirs."""
    if set(features) <= set(frame.columns) or not set(features) <= set(ACCOUNT_FEATURES) or not is_accounts(frame):
        return frame
    return account_rows(frame).reset_index(drop=True)


def _flags(frame: pd.DataFrame) -> dict[str, Numbers]:
    return {name: _flag(frame[name], name) for name in FLAGS}


def _flag(values: pd.Series[Any], name: str) -> Numbers:
    """Truths as 0 and 1, also those written as words."""
    words = values.astype("string").str.strip().str.lower()
    numbers = words.map({"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0})
    return _known(numbers, name, values, "true or false")


def _counts(frame: pd.DataFrame) -> dict[str, Numbers]:
    return {name: _number(frame[name], name) for name in COUNTS}


def _number(values: pd.Series[Any], name: str) -> Numbers:
    numbers = pd.to_numeric(values, errors="coerce")
    return _known(numbers.where(np.isfinite(numbers.to_numpy(np.float64, na_value=np.nan))), name, values, "a number")


def _known(numbers: pd.Series[Any], name: str, values: pd.Series[Any], wanted: str) -> Numbers:
    """The values as float64 (n,); DataRefused with the first that is not what was wanted."""
    found = numbers.to_numpy(np.float64, na_value=np.nan)
    if wrong := np.flatnonzero(np.isnan(found)).tolist():
        place, value = values.index[wrong[0]], values.iloc[wrong[0]]
        said = "missing" if pd.isna(value) else repr(str(value))
        raise DataRefused(f"account column {name!r}, row {place}: {said}, {wanted} wanted")
    return found


def _ages(frame: pd.DataFrame, day: pd.Timestamp | None) -> dict[str, Numbers]:
    """Days since an account was made, counted to `day` where the table has none, and tweets on each of them."""
    age = _number(frame[AGE], AGE) if day is None else _days_to(day, frame["created_at"])
    if TWEETS in frame.columns:
        tweets = _number(frame[TWEETS], TWEETS)
    else:
        tweets = _number(frame["statuses_count"], "statuses_count") / np.maximum(age, 1)  # of the day that it is new
    return {AGE: age, TWEETS: tweets}


def _days_to(day: pd.Timestamp, created: pd.Series[Any]) -> Numbers:
    """Whole days since each account was made, 0 for one that is newer than the day."""
    seconds = _known((day - _dates(created)).dt.total_seconds(), "created_at", created, "a date and time")
    return np.maximum(np.floor(seconds / 86_400), 0.0)


def _day(frame: pd.DataFrame, as_of: str | pd.Timestamp | None) -> pd.Timestamp | None:
    """The day to count ages to; None where the table has them."""
    if AGE in frame.columns:
        return None
    require(frame, ["created_at"], "account")
    dates = _dates(frame["created_at"] if as_of is None else pd.Series([as_of]))
    if dates.isna().all():
        asked = "" if as_of is None else f" as of {as_of!r}"
        raise DataRefused(f"account column 'created_at'{asked}: no date and time to count ages to")
    newest: pd.Timestamp = dates.max()
    return newest


def _dates(values: pd.Series[Any]) -> pd.Series[Any]:
    return pd.to_datetime(values, utc=True, errors="coerce", format="ISO8601")


def _location(frame: pd.DataFrame) -> Numbers:
    """Whether an account says where it is: as the table has it, else that its text is not empty and not "unknown"."""
    if "location_known" in frame.columns:
        return _flag(frame["location_known"], "location_known")
    require(frame, ["location"], "account")
    return _texts(frame["location"]).map(lambda text: text.strip().lower() not in UNKNOWN).to_numpy(np.float64)


def _texts(values: pd.Series[Any]) -> pd.Series[Any]:
    """Text, empty where it is missing."""
    return values.astype(object).where(values.notna(), "").astype(str)


def _bio(texts: pd.Series[Any]) -> dict[str, Numbers]:
    def told(of: Callable[[str], object]) -> Numbers:
        return np.fromiter((float(of(text)) for text in texts), np.float64, len(texts))  # type: ignore[arg-type]

    return {
        "description_length": told(len),
        "bio_has_emoji": told(has_emoji),
        "bio_has_hashtag": told(has_hashtag),
        "bio_has_account": told(has_account),
        "bio_has_link": told(has_link),
    }


def has_emoji(text: str) -> bool:
    """Whether a text holds an emoji by Unicode's list, be it of several signs or of one that also is a plain symbol."""
    return emoji.emoji_count(text) > 0


def has_hashtag(text: str) -> bool:
    """Whether a text holds a # before a word with a letter in it: `#1` is a number."""
    return HASHTAG.search(ADDRESS.sub(" ", text)) is not None


def has_account(text: str) -> bool:
    """Whether a text names an account: an @ before 1 to 15 letters, digits and underscores."""
    return ACCOUNT.search(ADDRESS.sub(" ", text)) is not None


def has_link(text: str) -> bool:
    """Whether a text holds a link: with http(s), with www, or a domain and a path. A bare domain is none."""
    return LINK.search(text) is not None
