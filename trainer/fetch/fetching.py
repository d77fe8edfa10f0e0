"""A set into the cache: from its publisher, a mirror, or a file that the person has."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import requests

from detector import table
from detector.errors import DataRefused, UsageError
from trainer.fetch import download as http
from trainer.fetch import kaggle
from trainer.fetch.cache import (
    CHUNK,
    Record,
    digest,
    first_use,
    locked,
    on_disk,
    place,
    record,
    require_counts,
    sha256,
    write_record,
)
from trainer.fetch.daily import digests, fetch_days
from trainer.fetch.download import Patience, Refused, Wanted, download, forget, shown, text
from trainer.fetch.progress import told
from trainer.fetch.sources import Daily, Source

LARGEST = 1 << 30  # bytes that a zip may unpack to; no set here has a fifth of it
AS_PUBLISHED = "sha256 as it should be"


@dataclass(frozen=True, slots=True)
class Order:
    """How a set is to be fetched.

    url: a mirror's instead of the publisher's. given: a file, or for a daily set a folder, that the person has.
    again: though the cache has it.
    """

    cache: Path | None = None
    url: str | None = None
    given: Path | None = None
    again: bool = False
    patience: Patience = field(default_factory=lambda: http.PATIENCE)

    def origin(self, source: Source) -> str:
        """Where the set comes from, as it may be printed."""
        return str(self.given) if self.given else shown(self.url or source.url)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A set in the cache. fresh: it came now; else it was there."""

    path: Path
    record: Record
    fresh: bool


def fetch(name: str, source: Source, order: Order) -> Fetched:
    """Brings a set into the cache, unless it is there and whole; Failure or DataRefused says why it could not."""
    folder = place(name, order.cache)
    path = folder / source.file
    with on_disk(folder), locked(folder):
        known = record(folder)
        if known and path.exists() and not (order.again or order.given):
            if digest(path) == known.sha256:
                return Fetched(path, known, fresh=False)
            print(f"fetch: {path} is not what was fetched; fetching it again", file=sys.stderr)
        if order.again:
            _forget_unfinished(path)
        checked = _days(name, source, order, folder) if source.daily else _file(name, source, order, folder)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        kept = Record(name, order.origin(source), digest(path), checked, now)
        write_record(folder, kept)
        return Fetched(path, kept, fresh=True)


def _forget_unfinished(path: Path) -> None:
    part = _part(path)
    if part.is_dir():
        shutil.rmtree(part)
    else:
        forget(part)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _days(name: str, source: Source, order: Order, folder: Path) -> str:
    assert source.daily
    daily: Daily = source.daily
    with requests.Session() as session, told(name, "files") as tell:

        def get(day: str, part: Path) -> None:
            if order.given:
                shutil.copyfile(_given_day(order.given, day), part)
            else:
                wanted = Wanted(f"{(order.url or source.url).rstrip('/')}/{day}.pkl")
                download(wanted, part, lambda there, total: None, order.patience, session)

        wanted = digests(daily, lambda url: text(url, order.patience, session))
        try:
            return fetch_days(source, wanted, folder, get, tell)
        except DataRefused as refused:
            raise DataRefused(f"{order.origin(source)}: {refused}") from refused


def _given_day(given: Path, day: str) -> Path:
    """A day's pickle in a folder, or in the folder `data` of a clone."""
    path = next((path for path in (given / f"{day}.pkl", given / "data" / f"{day}.pkl") if path.is_file()), None)
    if path is None:
        raise DataRefused(f"no {day}.pkl in this folder, nor in its folder data")
    return path


def _file(name: str, source: Source, order: Order, folder: Path) -> str:
    path = folder / source.file
    if order.given:
        _copied(order.given, _part(path))
    else:
        _downloaded(name, _wanted(source, order), _part(path), order.patience)
    unverified = folder / f"unverified-{source.file}"
    try:
        _unpack(_part(path), unverified, source.file)
        checked = _verified(source, unverified)
    except DataRefused as refused:
        unverified.unlink(missing_ok=True)
        raise DataRefused(f"{order.origin(source)}: {refused}") from refused
    finally:
        forget(_part(path))
    os.replace(unverified, path)
    return checked


def _downloaded(name: str, wanted: Wanted, part: Path, patience: Patience) -> None:
    with requests.Session() as session, told(name, "MB") as tell:
        try:
            download(wanted, part, tell, patience, session)
        except Refused as refused:
            if wanted.login and refused.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise UsageError(f"{refused}: the name or the key is not accepted. {kaggle.HELP}") from refused
            raise


def _copied(given: Path, part: Path) -> None:
    if not given.is_file():
        raise DataRefused(f"from {given}: no such file")
    shutil.copyfile(given, part)


def _wanted(source: Source, order: Order) -> Wanted:
    whole = _digest_test(source.sha256)
    if order.url:  # what a mirror sends may be zipped, and a login is none of its business
        return Wanted(order.url, whole=whole)
    return Wanted(source.url, source.size, whole, kaggle.login() if source.login else None)


def _digest_test(wanted: str | None) -> Callable[[Path], bool] | None:
    return None if wanted is None else lambda path: sha256(path) == wanted


def _unpack(part: Path, path: Path, name: str) -> None:
    """Moves the file to its place, out of its zip where it came in one."""
    if not zipfile.is_zipfile(part):
        os.replace(part, path)
        return
    try:
        with zipfile.ZipFile(part) as archive:
            member = archive.getinfo(name)
            if member.file_size > LARGEST:
                raise DataRefused(f"{name} would unpack to {member.file_size} bytes, at most {LARGEST} wanted")
            with archive.open(member) as packed, path.open("wb") as out:
                shutil.copyfileobj(packed, out, CHUNK)
    except KeyError:
        raise DataRefused(f"a zip without {name}") from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataRefused(f"a zip that cannot be unpacked: {error}") from error


def _verified(source: Source, path: Path) -> str:
    """Against what the file was held; DataRefused names what differs."""
    found = sha256(path)
    if source.sha256 is None:
        require_counts(source, table.read(path))
        return first_use(path.parent, found)
    if found != source.sha256:
        raise DataRefused(f"sha256 is {found}, {source.sha256} wanted; the file was removed")
    return AS_PUBLISHED
