"""A detector on a machine whose disk is full: `python -m tests.integration.diskless run ...`.

Not one byte can be added to any file.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence


def main(command: Sequence[str]) -> int:
    """The detector's exit code."""
    from detector.__main__ import main as detector

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return detector(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
