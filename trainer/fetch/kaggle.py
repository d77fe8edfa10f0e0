"""Who the person is at Kaggle, from where Kaggle's own tools look for it. Never printed."""

from __future__ import annotations

import json
import os
from pathlib import Path

from detector.errors import UsageError
from trainer.fetch.download import Login
from trainer.fetch.sources import TWITTER_PAGE

HELP = (
    "Kaggle wants a login: make an API token at https://www.kaggle.com/settings and put it into KAGGLE_USERNAME and "
    f"KAGGLE_KEY or into ~/.kaggle/kaggle.json; or download {TWITTER_PAGE} in a browser and pass --from FILE"
)


def login() -> Login:
    """Name and key from KAGGLE_USERNAME and KAGGLE_KEY, else from kaggle.json in KAGGLE_CONFIG_DIR or ~/.kaggle.

    UsageError says what to do where there is none.
    """
    name, key = os.environ.get("KAGGLE_USERNAME", ""), os.environ.get("KAGGLE_KEY", "")
    if name and key:
        return name, key
    file = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle") / "kaggle.json"
    if not file.is_file():
        raise UsageError(HELP)
    try:
        kept = json.loads(file.read_bytes())
        return str(kept["username"]), str(kept["key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f'{file}: {{"username": ..., "key": ...}} wanted ({type(error).__name__})') from None
