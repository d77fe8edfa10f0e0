"""Native libraries greet on stderr whatever they are told; a person's terminal is for what matters."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


@contextmanager
def held_back() -> Iterator[None]:
    """Keeps what is written to file descriptor 2, and shows it only if the block fails."""
    sys.stderr.flush()
    with _in_memory() as kept:
        real = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(real, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)


def _in_memory() -> IO[bytes]:
    """A file without a disk: that may be full, or read-only in a container. Only Linux has it."""
    return os.fdopen(os.memfd_create("stderr"), "w+b") if sys.platform == "linux" else tempfile.TemporaryFile()
