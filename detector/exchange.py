"""A directory that was made beside its place is moved there in one step, whatever stood there before."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux' fcntl.h and fs.h


def move_in_place(staging: Path, path: Path) -> None:
    """Moves a directory to `path`, on the same file system: a reader sees the older one there, or this one, whole.

    One rename; where an older directory, or a link, stands there, one exchange with it, and it is removed. Where the
    system cannot exchange (Linux can) it takes two renames, the first taken back if the second fails. After an OSError
    the place is as it was, and `staging` is still there.
    """
    if not path.exists():
        staging.rename(path)
    elif _exchanged(staging, path):
        _remove(staging)
    else:
        _remove(_swapped(staging, path))


def _swapped(staging: Path, path: Path) -> Path:
    """The same by two renames; where the older one is now."""
    retired = staging.with_name(f"{staging.name}.old")
    path.rename(retired)
    try:
        staging.rename(path)
    except BaseException:
        retired.rename(path)
        raise
    return retired


def _exchanged(one: Path, other: Path) -> bool:
    """Exchanges two directories in one step by Linux' renameat2; False where that cannot be done."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0


def _remove(older: Path) -> None:
    """What was replaced, as far as it can be: the new one stands in its place, and that is no failure any more."""
    if older.is_symlink():
        older.unlink(missing_ok=True)
    else:
        shutil.rmtree(older, ignore_errors=True)
