"""A command run to its end, and the most memory that it had."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from tests.benchmarks.line.host import memory

LOOK_SECONDS = 0.1


def run(command: Sequence[str]) -> tuple[str, float]:
    """What a command prints, and the most memory that its own process had, MB; its errors are shown and end all.

    Memory is asked of /proc while it runs: what the system tells at its end counts its parent's at the start, too.
    """
    peak = 0.0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with subprocess.Popen(command, stdout=out, stderr=err) as process:
            while process.poll() is None:
                peak = max(peak, memory(process.pid) or 0.0)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_SECONDS)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)}:\n{err.read()}{out.read()}")
        return out.read(), peak
