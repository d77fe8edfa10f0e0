"""The directory of a report: written whole or not at all, and never over something else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from detector.errors import Failure
from detector.exchange import move_in_place
from detector.page.content import Picture

PAGE, IMAGES = "report.html", "images"
MARK = '<meta name="generator" content="streaming-fraud-detector report">'
"""Stands in the first lines of every report: how one is known again."""


def beside(model: Path) -> Path:
    """Where a model's report goes if nobody says where: the model's directory with `.report` behind its name."""
    whole = model if model.name and model.name != ".." else model.resolve()
    return whole.with_name(f"{whole.name}.report")


def refuse_to_replace(out: Path) -> None:
    """Failure where `out` holds something that is no report: it would be lost."""
    if out.is_symlink() or (out.exists() and not (out.is_dir() and _is_report(out))):
        raise Failure(f"out {out}: exists and is no report; it is left as it is")


def _is_report(out: Path) -> bool:
    names = {one.name for one in out.iterdir()}
    if not names:
        return True
    images = out / IMAGES
    ours = names == {PAGE, IMAGES} and images.is_dir() and all(one.suffix == ".png" for one in images.iterdir())
    return ours and MARK in (out / PAGE).read_text("utf-8", errors="replace")[:2000]


def write(out: Path, page: str, pictures: Iterable[Picture]) -> None:
    """Writes page and pictures beside their place and moves them there; an older report is replaced at once."""
    refuse_to_replace(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            _fill(staging / "new", page, pictures)
            move_in_place(staging / "new", out)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise Failure(f"out {out}: {error.strerror or error}") from error


def _fill(new: Path, page: str, pictures: Iterable[Picture]) -> None:
    (new / IMAGES).mkdir(parents=True)
    for picture in pictures:
        (new / IMAGES / f"{picture.name}.png").write_bytes(picture.png)
    (new / PAGE).write_text(page, "utf-8")
