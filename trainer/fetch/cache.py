"""Where fetched sets are kept: a folder a set, with files that are there only when whole, and what is known of them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import platformdirs

from detector import table
from detector.errors import DataRefused, Failure
from trainer.fetch.sources import SOURCES, Source

APP = "streaming-fraud-detector"
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept beside a fetched set. url: whence it came. sha256: its `digest`. checked: how it was verified."""

    name: str
    url: str
    sha256: str
    checked: str
    fetched_at: str


def place(name: str, cache: Path | None = None) -> Path:
    """The folder of a set in a cache, by default in the person's own (XDG_CACHE_HOME where the platform has it)."""
    return (cache or Path(platformdirs.user_cache_dir(APP))) / name


def fetched(name: str, cache: Path | None = None) -> Path | None:
    """Where a fetched set is: a file, or a folder of Parquet files; None where it was not fetched."""
    path = place(name, cache) / SOURCES[name].file
    return path if path.exists() else None


def opened(name: str, cache: Path | None = None) -> pd.DataFrame:
    """The rows of a fetched set without the columns that tell its label; DataRefused where it was not fetched."""
    path = fetched(name, cache)
    if path is None:
        raise DataRefused(f"data {name!r} is not in the cache; fetch it first: python -m trainer fetch {name}")
    return table.read(path).drop(columns=list(SOURCES[name].leaks), errors="ignore")


def record(folder: Path) -> Record | None:
    """What is known of the set in a folder; None where there is nothing or it cannot be read."""
    try:
        return Record(**json.loads((folder / "record.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def write_record(folder: Path, one: Record) -> None:
    """Keeps it."""
    write_json(folder / "record.json", asdict(one))


def write_json(path: Path, content: object) -> None:
    """Writes a small file whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def sha256(path: Path) -> str:
    """Of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path: Path) -> str:
    """The SHA-256 of a file; of a folder that of the names and digests of its files."""
    if not path.is_dir():
        return sha256(path)
    told = "".join(f"{sha256(file)}  {file.name}\n" for file in sorted(path.iterdir()))
    return hashlib.sha256(told.encode()).hexdigest()


def require_counts(source: Source, frame: pd.DataFrame) -> None:
    """DataRefused where a table has not as many rows, or anomalous ones, as its publisher says."""
    rows, anomalous = len(frame), int(table.anomalous(frame, source.label, source.normal).sum())
    if (rows, anomalous) != (source.rows, source.anomalous):
        raise DataRefused(f"{rows} rows, {anomalous} of them anomalous; {source.rows} and {source.anomalous} wanted")


def first_use(folder: Path, found: str) -> str:
    """Keeps the SHA-256 of a file that nobody published one of, and holds every later file against it."""
    path = folder / "first-use.json"
    if not path.exists():
        write_json(path, {"sha256": found})
    kept = json.loads(path.read_bytes())["sha256"]
    if kept != found:
        raise DataRefused(f"sha256 is {found}, {kept} when it was first fetched; to trust the new one remove {path}")
    return "rows counted; no sha256 is published: this one is TRUSTED ON FIRST USE, and later ones must equal it"


def git_blob(content: bytes) -> str:
    """The SHA-1 by which git names a file of this content, as hex."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time fetch into a folder, which is made; a second one waits and says so."""
    import fcntl  # Unix has it; a machine without it can still use what was fetched

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"fetch: another one is fetching {folder.name}; waiting for it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """A Failure that names the place where the disk is full or will not have a file."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{path}: {error.strerror or error}") from error
