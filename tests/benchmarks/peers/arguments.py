"""What every peer's program is told."""

from __future__ import annotations

import argparse
from pathlib import Path


def parser(about: str | None) -> argparse.ArgumentParser:
    """The options that all peers have."""
    found = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--bootstrap-servers", required=True)
    found.add_argument("--input-topic", required=True)
    found.add_argument("--alerts-topic", required=True)
    found.add_argument("--group", required=True)
    found.add_argument("--model", type=Path, required=True, help="directory of the artifact")
    found.add_argument("--line", type=float, required=True, help="score above which a row alerts")
    found.add_argument("--format", choices=("json", "packed"), default="json")
    found.add_argument("--scratch", type=Path, required=True, help="directory for what the library keeps on disk")
    found.add_argument("--rows", type=int, default=0, help="ends after so many rows; 0: never")
    return found
