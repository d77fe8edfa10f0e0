"""What other libraries say of a damaged file, as one line for a person."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import zstandard

from detector.errors import DataRefused

FOREIGN = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, zstandard.ZstdError, pa.ArrowException)


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turns what pandas, pyarrow and the packings raise into DataRefused; `what` names the file."""
    try:
        yield
    except FOREIGN as error:
        raise DataRefused(f"{what}: cannot be read: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error says first."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def chosen(asked: Sequence[str] | None, there: Iterable[str], what: str) -> list[str]:
    """The columns asked for, in that order, None for all; DataRefused names one that is absent or asked for twice."""
    names = list(there)
    if asked is None:
        return names
    if not asked:
        raise DataRefused(f"{what}: no column is asked for")
    for place, name in enumerate(asked):
        if name not in names:
            few = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
            raise DataRefused(f"{what}: column {name!r} is not there; there are {few}")
        if name in asked[:place]:
            raise DataRefused(f"{what}: column {name!r} is asked for twice")
    return list(asked)
