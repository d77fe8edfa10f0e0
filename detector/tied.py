"""Becomes another program that does not outlive its parent, however that ends: `python tied.py PARENT PROGRAM ...`.

A program of its own because what runs between fork and exec in a process with threads may deadlock. Linux alone can
do this; elsewhere a parent that is killed by SIGKILL leaves its children running.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ties this process to its parent and becomes `command`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - our own child, and no shell


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
