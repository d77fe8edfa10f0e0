"""Raw Twitter accounts become sixteen finite numbers each, whatever a bio says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import table
from detector.errors import DataRefused
from detector.table.accounts import (
    ACCOUNT_FEATURES,
    account_rows,
    has_account,
    has_emoji,
    has_hashtag,
    has_link,
    is_accounts,
)
from tests.accounts import BIO, accounts
from tests.conftest import real


def feature(name: str, **changes: Any) -> list[float]:
    """A feature of the two English accounts."""
    found: list[float] = account_rows(accounts(**changes))[name].tolist()
    return found


def test_sixteen_features() -> None:
    """An account's numbers are those that its columns and its bio have."""
    rows = account_rows(accounts())
    assert len(ACCOUNT_FEATURES) == 16
    assert tuple(rows.columns) == (*ACCOUNT_FEATURES, "account_type", "created_at", "id")
    assert rows.iloc[0].tolist() == [
        *(1.0, 0.0, len(BIO), 1.0, 4.0, 7.0, 0.0, 1.0, 100.0, 1.0, 0.5, 200.0),
        *(1.0, 1.0, 1.0, 1.0),
        *("human", "2020-01-01 00:00:00", 11),
    ]
    assert rows.iloc[1].tolist()[:16] == [0, 1, 0, 3, 6, 9, 1, 0, 300, 0, 2.5, 180, 0, 0, 0, 0]
    assert set(rows.dtypes.loc[list(ACCOUNT_FEATURES)]) == {np.dtype(np.float64)}


def test_english_alone() -> None:
    """Accounts of another language, or none, are left out and counted; the others keep their place."""
    rows = account_rows(accounts(lang=["en", None, "en-gb"]))
    assert rows.index.tolist() == [0]
    assert rows.attrs["not_english"] == 2
    assert account_rows(accounts()).index.tolist() == [0, 2]


def test_no_english_at_all() -> None:
    """Where nobody speaks English there are no rows, and all columns."""
    rows = account_rows(accounts(lang=["es", "fr", None]))
    assert len(rows) == 0
    assert set(ACCOUNT_FEATURES) <= set(rows.columns)


@pytest.mark.parametrize("missing", ["", "unknown", " Unknown ", None, math.nan])
def test_location(missing: object) -> None:
    """A location that is missing, empty or "unknown" is none."""
    assert feature("location_known", location=["Lyon", "x", missing]) == [1, 0]


def test_location_known() -> None:
    """Where the table says whether the location is known, that holds."""
    assert feature("location_known", location=None, location_known=[False, False, True]) == [0, 1]


def test_ages_to_the_newest() -> None:
    """Without ages they are counted to the newest account, of whatever language; the first day counts for tweets."""
    changes = {"average_tweets_per_day": None, "account_age_days": None}
    assert feature("account_age_days", **changes) == [20, 0]
    assert feature("average_tweets_per_day", **changes) == [5, 300]
    assert feature("account_age_days", **changes, lang=["en", "en", "es"]) == [20, 10]


@pytest.mark.parametrize(
    ("as_of", "ages"),
    [
        ("2020-01-31", [30, 9]),
        ("2020-01-31 13:00:00Z", [30, 10]),
        ("2020-01-31T01:00:00+02:00", [29, 9]),
        (pd.Timestamp("2020-02-01"), [31, 10]),
        (pd.Timestamp("2020-02-01", tz="Asia/Tokyo"), [30, 10]),
    ],
)
def test_ages_to_a_day(as_of: str | pd.Timestamp, ages: list[int]) -> None:
    """Or to the day that is asked for, which is of UTC where it does not say otherwise."""
    rows = account_rows(accounts(account_age_days=None), as_of)
    assert rows["account_age_days"].tolist() == ages


def test_an_account_from_the_future() -> None:
    """An account that is newer than the day is no day old."""
    rows = account_rows(accounts(account_age_days=None, average_tweets_per_day=None), "2020-01-05")
    assert rows["account_age_days"].tolist() == [4, 0]
    assert rows["average_tweets_per_day"].tolist() == [25, 300]


def test_each_age_that_there_is() -> None:
    """Of the two ages that which the table has is taken as it is, and the other one made."""
    assert feature("average_tweets_per_day", average_tweets_per_day=None) == [100 / 200, 300 / 180]
    assert feature("average_tweets_per_day", account_age_days=None) == [0.5, 2.5]
    assert feature("average_tweets_per_day", average_tweets_per_day=None, account_age_days=[0, 1, 0.5]) == [100, 300]


@pytest.mark.parametrize("truths", [["True", "False", "false"], [1, 0, 0], [1.0, 0.0, 0.0], [True, None, False]])
def test_flags(truths: list[object]) -> None:
    """Truths may be written as words or numbers; those of accounts that are left out may be missing."""
    assert feature("verified", verified=truths) == [1, 0]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"verified": [True, True, None]}, "account column 'verified', row 2: missing, true or false wanted"),
        ({"geo_enabled": ["yes", "no", "no"]}, "account column 'geo_enabled', row 0: 'yes', true or false wanted"),
        ({"friends_count": [1, 2, math.inf]}, "account column 'friends_count', row 2: 'inf', a number wanted"),
        ({"statuses_count": ["1", "2", "many"]}, "account column 'statuses_count', row 2: 'many', a number wanted"),
        ({"account_age_days": [None, 2, 3]}, "account column 'account_age_days', row 0: missing, a number wanted"),
        (
            {"account_age_days": None, "created_at": ["2020-01-01", "x", "yesterday"]},
            "account column 'created_at', row 2: 'yesterday', a date and time wanted",
        ),
        (
            {"account_age_days": None, "created_at": ["x", "y", "z"]},
            "account column 'created_at': no date and time to count ages to",
        ),
        ({"account_age_days": None, "created_at": None}, "account column 'created_at' is not in the data"),
        ({"location": None}, "account column 'location' is not in the data"),
        ({"lang": None, "verified": None}, "account column 'verified', 'lang' is not in the data"),
    ],
)
def test_refusals(changes: dict[str, Any], wanted: str) -> None:
    """What cannot be a feature is refused with its column, row and value."""
    with pytest.raises(DataRefused) as refused:
        account_rows(accounts(**changes))
    assert wanted in str(refused.value)


def test_a_day_that_is_none() -> None:
    """A day that cannot be read is refused."""
    with pytest.raises(DataRefused, match="no date and time to count ages to"):
        account_rows(accounts(account_age_days=None), "whenever")


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({}, True),
        ({"location": None, "location_known": [True] * 3}, True),
        ({"account_age_days": None}, True),
        ({"created_at": None}, True),
        ({"average_tweets_per_day": None}, True),
        ({"created_at": None, "account_age_days": None}, False),
        ({"location": None}, False),
        ({"lang": None}, False),
        ({"description": None}, False),
    ],
)
def test_is_accounts(changes: dict[str, Any], known: bool) -> None:
    """Raw accounts are known by the columns that their features need, and then have features."""
    frame = accounts(**changes)
    assert is_accounts(frame) is known
    if known:
        assert len(account_rows(frame)) == 2
    assert not is_accounts(account_rows(accounts()))


@pytest.mark.parametrize(
    ("bio", "emojis"),
    [
        ("👍", True),
        ("ok 👍🏽 ok", True),
        ("👩‍👩‍👧‍👦", True),
        ("🏳️‍🌈", True),
        ("🇫🇷", True),
        ("❤", True),
        ("❤️", True),
        ("1️⃣", True),
        ("\u202e👻\u202c", True),
        ("a\n\n🐈", True),
        ("", False),
        (":-) <3 :smile: 123 #1 *", False),
        ("שלום مرحبا 你好", False),
        ("\u200d\ufe0f", False),
        ("→ • … “x”", False),
    ],
)
def test_emoji(bio: str, emojis: bool) -> None:
    """An emoji is one also with a skin tone, joined to others, as a flag, or between marks of direction."""
    assert has_emoji(bio) is emojis


@pytest.mark.parametrize(
    ("bio", "hashtag"),
    [
        ("#ok", True),
        ("a #b", True),
        ("(#b)", True),
        ("x/#Film/#Horror", True),
        ("line\n#b", True),
        ("#été", True),
        ("#日本", True),
        ("\uff03full", True),
        ("#2020vision", True),
        ("\u202e#rtl", True),
        ("#מחר", True),
        ("a#b", False),
        ("C#, F# and #", False),
        ("#1 fan", False),
        ("# heading", False),
        ("#️⃣", False),
        ("&#x1f600;", False),
        ("https://example.org/#top", False),
        ("www.example.org/a#b", False),
        ("", False),
    ],
)
def test_hashtag(bio: str, hashtag: bool) -> None:
    """A hashtag begins a word and has a letter."""
    assert has_hashtag(bio) is hashtag


@pytest.mark.parametrize(
    ("bio", "account"),
    [
        ("@a", True),
        ("by @some_one.", True),
        (".@some_one", True),
        ("@Cuse/@Yale", True),
        ("Parabatai:@Noem", True),
        ("❤️🐻@kiran🐻", True),
        ("\uff20full", True),
        ("@fifteen_letters", True),
        ("line\n@b", True),
        ("\u202b@rtl\u202c", True),
        ("me@example.org", False),
        ("first.last+tag@example.org", False),
        ("@sixteen__letters", False),
        ("@user@mastodon.social", False),
        ("at @ home", False),
        ("@", False),
        ("@ñ", False),
        ("https://medium.com/@someone", False),
        ("", False),
    ],
)
def test_account(bio: str, account: bool) -> None:
    """An account's name begins with an @ that is in no address of mail and in no link."""
    assert has_account(bio) is account


@pytest.mark.parametrize(
    ("bio", "link"),
    [
        ("https://t.co/x", True),
        ("see HTTP://EXAMPLE.ORG", True),
        ("(http://1.2.3.4)", True),
        ("www.example.org", True),
        ("bit.ly/abc", True),
        ("shop.example.co.uk/sale today", True),
        ("mail\nhttps://t.co/x\n", True),
        ("\u202ehttps://t.co/x", True),
        ("example.org", False),
        ("me@example.org", False),
        ("me@example.org/x", False),
        ("https://", False),
        ("and/or, he/him, 24/7, a.m./p.m.", False),
        ("Node.js", False),
        ("http", False),
        ("www", False),
        ("", False),
    ],
)
def test_link(bio: str, link: bool) -> None:
    """A link has http, www, or a domain and a path: a bare domain may as well be a product's name."""
    assert has_link(bio) is link


bios = st.one_of(
    st.none(),
    st.just(math.nan),
    st.text(),
    st.lists(
        st.sampled_from(
            ["@", "#", "a", "1", "_", ".", "/", ":", "http", "www", "\n", "👍🏽", "\u200d", "\u202e", " ", "\0"]
        ),
        max_size=30,
    ).map("".join),
)


@given(st.lists(st.tuples(bios, st.sampled_from(["en", "es", "EN", "", None]), st.booleans()), min_size=1, max_size=20))
def test_whatever_bios_say(rows: list[tuple[object, str | None, bool]]) -> None:
    """As many rows come out as are English, each with sixteen finite numbers, whatever the bios."""
    count = len(rows)
    one = accounts().iloc[[0] * count].reset_index(drop=True)
    frame = one.assign(
        description=pd.Series([bio for bio, _, _ in rows], dtype=object),
        lang=pd.Series([lang for _, lang, _ in rows], dtype=object),
        verified=[flag for _, _, flag in rows],
    )
    found = account_rows(frame)
    english = [lang == "en" for _, lang, _ in rows]
    assert len(found) == sum(english)
    assert found.attrs["not_english"] == count - len(found)
    assert np.isfinite(table.wide(found, ACCOUNT_FEATURES)).all()
    lengths = [len(bio) if isinstance(bio, str) else 0 for (bio, _, _), kept in zip(rows, english, strict=True) if kept]
    assert found["description_length"].tolist() == lengths


@given(st.permutations(range(3)))
def test_an_account_does_not_depend_on_others(order: list[int]) -> None:
    """An account has the same numbers in whatever order, but for ages that the table lacks."""
    shuffled = account_rows(accounts().iloc[order])
    pd.testing.assert_frame_equal(shuffled.sort_index(), account_rows(accounts()), check_exact=True)


def test_the_real_accounts() -> None:
    """The publisher's accounts: 4,340 are English, 1,061 of them bots, and all have sixteen finite numbers."""
    frame = table.read(real("twitter_accounts.parquet"))
    rows = account_rows(frame)
    assert is_accounts(frame)
    assert (len(rows), int((rows["account_type"] == "bot").sum())) == (4_340, 1_061)
    assert rows.attrs["not_english"] == len(frame) - 4_340
    assert np.isfinite(table.wide(rows, ACCOUNT_FEATURES)).all()
    assert rows["account_age_days"].tolist() == frame.loc[rows.index, "account_age_days"].tolist()


def test_the_real_accounts_ages() -> None:
    """Counted to the day when they were collected, the ages are those of the publisher but for a day."""
    frame = table.read(real("twitter_accounts.parquet"))
    counted = account_rows(frame.drop(columns=["account_age_days", "average_tweets_per_day"]), "2020-08-19")
    given_ = account_rows(frame)
    assert (counted["account_age_days"] - given_["account_age_days"]).abs().max() <= 1
    tweets = counted["average_tweets_per_day"] - given_["average_tweets_per_day"]
    assert (tweets.abs() <= 0.002 + 0.003 * given_["average_tweets_per_day"]).all()


def test_a_model_takes_raw_accounts() -> None:
    """A model of the sixteen features gets them from raw accounts; any other model gets the table as it is."""
    frame = accounts()
    rows = table.with_features(frame, ACCOUNT_FEATURES)
    assert rows.index.tolist() == [0, 1]
    assert rows.equals(account_rows(frame).reset_index(drop=True))
    assert table.with_features(frame, ("V1", "V2")) is frame
    assert table.with_features(rows, ACCOUNT_FEATURES) is rows
