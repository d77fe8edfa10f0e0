"""Raw Twitter accounts made up, as their publisher has them."""

from __future__ import annotations

from typing import Any

import pandas as pd

BIO = "Breeds 🐈 in #Lyon with @anna, see https://t.co/x"


def accounts(**changes: Any) -> pd.DataFrame:
    """Three accounts, the second of them Spanish; columns may be changed, and left out by None."""
    columns: dict[str, Any] = {
        "id": [11, 22, 33],
        "account_type": ["human", "bot", "bot"],
        "created_at": ["2020-01-01 00:00:00", "2020-01-11 06:00:00", "2020-01-21 12:00:00"],
        "default_profile": [True, False, False],
        "default_profile_image": [False, False, True],
        "description": [BIO, "hola", None],
        "favourites_count": [1, 2, 3],
        "followers_count": [4, 5, 6],
        "friends_count": [7, 8, 9],
        "geo_enabled": [False, True, True],
        "lang": ["en", "es", "en"],
        "location": ["Lyon", "unknown", "unknown"],
        "statuses_count": [100, 200, 300],
        "verified": [True, True, False],
        "average_tweets_per_day": [0.5, 1.5, 2.5],
        "account_age_days": [200, 190, 180],
        **changes,
    }
    return pd.DataFrame({name: values for name, values in columns.items() if values is not None})
