"""`fetch`: a public data set from its publisher."""

from __future__ import annotations

import argparse
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from detector import table
from detector.errors import DataRefused, UsageError
from trainer.fetch import SOURCES, Source
from trainer.fetch.cache import place

if TYPE_CHECKING:
    from trainer.fetch.fetching import Fetched

ABOUT = "fetch a public data set from its publisher, verify it and keep it in a cache"
VARIANTS = {"raw": "handbook", "transformed": "handbook-transformed"}
MEGABYTE = 1_000_000


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", choices=SOURCES, help=f"{', '.join(SOURCES)}")
    parser.add_argument("--list", action="store_true", help="list the sets with size and licence, as without NAME")
    parser.add_argument("--variant", choices=VARIANTS, help="of handbook: as it happens, or with its 15 features")
    parser.add_argument("--cache", metavar="DIR", type=Path, help=f"where sets are kept (default: {place('')})")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write it to this CSV or Parquet file too")
    parser.add_argument("--force", action="store_true", help="fetch it though the cache has it")
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument("--url", type=address, help="a mirror (of handbook: a folder); the checksum still holds")
    origin.add_argument("--from", metavar="PATH", type=Path, dest="given", help="a file, or folder, you have already")


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    if arguments.list or arguments.name is None:
        print(listed(arguments.cache))
        return
    from trainer.fetch.fetching import Order, fetch  # brings requests, which no other command needs

    name = chosen(arguments.name, arguments.variant)
    order = Order(arguments.cache, arguments.url, arguments.given, arguments.force)
    found = fetch(name, SOURCES[name], order)
    if arguments.out:
        copy(found.path, arguments.out)
    print(told(SOURCES[name], found, arguments.out))


def address(text: str) -> str:
    """For argparse."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(text)
    return text


address.__name__ = "http or https address"


def chosen(name: str, variant: str | None) -> str:
    """The set that a name and a variant mean."""
    if variant is None:
        return name
    if name not in VARIANTS.values():
        raise UsageError(f"--variant {variant}: {name} has no variants, handbook has")
    return VARIANTS[variant]


def listed(cache: Path | None) -> str:
    """Every set there is, for people."""
    return "\n\n".join(
        "\n".join(
            (
                f"{name}{' (in the cache)' if (place(name, cache) / source.file).exists() else ''}",
                f"  {source.about}",
                f"  {source.rows:,} rows, {source.anomalous:,} anomalous; {_download(source)}",
                f"  licence: {source.licence}",
            )
        )
        for name, source in SOURCES.items()
    )


def _download(source: Source) -> str:
    size = "size not stated" if source.download is None else f"{source.download / MEGABYTE:,.1f} MB"
    return f"{size} to download{', with a login at Kaggle' if source.login else ''}"


def copy(path: Path, out: Path) -> None:
    """Writes a fetched set to a file: byte by byte where the endings agree, else converted. Whole or not at all."""
    if path.is_dir() or not out.name.lower().endswith(path.suffix):
        table.write(table.read(path), out)
        return
    part = out.with_name(f".part-{out.name}")
    try:
        shutil.copyfile(path, part)
        os.replace(part, out)
    except OSError as error:
        raise DataRefused(f"out {out}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def told(source: Source, found: Fetched, out: Path | None) -> str:
    """What is there now, whence, and on which terms."""
    lines = {
        "set": f"{source.about}",
        "rows": f"{source.rows:,}, {source.anomalous:,} of them anomalous ({source.label} is not {source.normal})",
        "from": f"{found.record.url}{'' if found.fresh else f' on {found.record.fetched_at}; nothing was asked now'}",
        "sha256": found.record.sha256,
        "verified": found.record.checked,
        "licence": source.licence,
        "cite": source.citation,
        "use": f"python -m trainer fit {found.record.name} --out MODEL",
        "path": f"{found.path}",
    }
    if out:
        lines["out"] = f"{out}"
    return "\n".join(f"{name:<10}{value}" for name, value in lines.items())
