"""Arguments that several commands share, and the types of their values."""

from __future__ import annotations

import argparse

from detector.artifact import Artifact
from detector.errors import UsageError
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
