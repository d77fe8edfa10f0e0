"""A set that is published as one pickle a day becomes a folder of one Parquet file a day."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

import pandas as pd

from detector import table
from detector.errors import DataRefused
from trainer.fetch.cache import git_blob, require_counts
from trainer.fetch.download import Told, forget, shown
from trainer.fetch.pickled import table_of
from trainer.fetch.sources import Daily, Source

Digests = Mapping[str, str]


def digests(daily: Daily, ask: Callable[[str], str]) -> Digests:
    """Git's SHA-1 of each day's file in the pinned commit: kept beside this module, else asked of the publisher."""
    if daily.digests:
        kept = json.loads(files("trainer.fetch").joinpath(daily.digests).read_bytes())
        return dict(kept["git_blob_sha1"])
    return _of_tree(ask(daily.tree), shown(daily.tree))


def _of_tree(answer: str, url: str) -> Digests:
    try:
        blobs = {Path(entry["path"]): entry["sha"] for entry in json.loads(answer)["tree"] if entry["type"] == "blob"}
    except (ValueError, KeyError, TypeError) as error:
        raise DataRefused(f"{url}: not the listing of a commit ({type(error).__name__})") from error
    return {path.stem: sha for path, sha in blobs.items() if path.suffix == ".pkl"}


def fetch_days(source: Source, wanted: Digests, folder: Path, get: Callable[[str, Path], None], tell: Told) -> str:
    """Fills the set's folder; `get` puts a day's pickle where it is told. Says against what they were held.

    Days that an earlier call finished are kept, also when this one fails.
    """
    assert source.daily
    days, work = source.daily.days, folder / f"{source.file}.part"
    if absent := [day for day in days if day not in wanted]:
        raise DataRefused(f"the commit {source.daily.commit} lists no {absent[0]}.pkl, {len(days)} days wanted")
    work.mkdir(exist_ok=True)
    for number, day in enumerate(days, 1):
        path = work / f"{day}.parquet"
        if not path.exists():
            _fetch_day(path, folder / f"{day}.pkl.part", wanted[day], source.label, get)
        tell(number, len(days))
    _count(source, work)
    _replace_folder(work, folder / source.file)
    return f"each of {len(days)} files is that of commit {source.daily.commit} by git's SHA-1; rows counted"


def _fetch_day(path: Path, part: Path, wanted: str, label: str, get: Callable[[str, Path], None]) -> None:
    get(path.stem, part)
    content = part.read_bytes()
    forget(part)
    if (found := git_blob(content)) != wanted:
        raise DataRefused(f"{path.stem}.pkl: git's SHA-1 is {found}, {wanted} wanted; the file was removed")
    frame = table_of(content, f"{path.stem}.pkl")
    table.require(frame, [label], "label")
    written = path.with_name(f"{path.name}.part")
    frame.to_parquet(written, index=False)
    os.replace(written, path)


def _count(source: Source, work: Path) -> None:
    """DataRefused where the days together are not the set; they are removed."""
    try:
        labels = [pd.read_parquet(path, columns=[source.label]) for path in sorted(work.iterdir())]
        require_counts(source, pd.concat(labels))
    except DataRefused:
        shutil.rmtree(work)
        raise


def _replace_folder(new: Path, path: Path) -> None:
    """Puts a folder in the place of another, which is gone for an instant."""
    old = path.with_name(f"{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        os.replace(path, old)
    os.replace(new, path)
    shutil.rmtree(old, ignore_errors=True)
