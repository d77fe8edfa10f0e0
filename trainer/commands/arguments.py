"""Arguments that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detector.artifact import Artifact
from detector.errors import UsageError
from detector.signature import SigningKey, open_to_others, read_signing_key
from detector.threshold import parse, refuse_running

FILES = "a CSV (also .gz .xz .zst), Parquet or TFRecord (also .gz) file, or a directory of Parquet or TFRecord files"


def add_data(command: argparse.ArgumentParser) -> None:
    """DATA."""
    command.add_argument("data", metavar="DATA", help=f"{FILES}; or a known data set's name")


def add_label(command: argparse.ArgumentParser) -> None:
    """What the truth is."""
    command.add_argument("--label", metavar="COLUMN", help="column of the truth (default: found by name; or none)")
    command.add_argument(
        "--normal", metavar="VALUE", help="the label's value for a normal row (default: found; 0 for numbers)"
    )


def add_signing_key(command: argparse.ArgumentParser) -> None:
    """--signing-key."""
    command.add_argument(
        "--signing-key", metavar="FILE", type=Path, help="sign the artifact with this private key (default: unsigned)"
    )


def signing_key(path: Path | None) -> SigningKey | None:
    """The private key of a file, if one is given; a person is warned of a file that others may read."""
    if path is None:
        return None
    key = read_signing_key(path)
    if open_to_others(path):
        print(f"warning: signing key {path}: others may read it; chmod 600 {path}", file=sys.stderr)
    return key


def positive(text: str) -> int:
    """For argparse."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


positive.__name__ = "whole number above 0"


def seed(text: str) -> int:
    """For argparse."""
    number = int(text)
    if not 0 <= number < 1 << 32:
        raise ValueError(text)
    return number


seed.__name__ = "whole number from 0 to 4294967295"


def threshold_of(found: Artifact, override: str) -> float:
    """The score above which rows alert: the artifact's threshold, or the one that a method finds in its scores."""
    try:
        if override:
            refuse_running(parse(override))
        return found.line(override).calibrated.value
    except ValueError as error:
        raise UsageError(str(error)) from error
