"""What it was measured on, and what a process takes of it: read from /proc."""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from tests.broker import KAFKA

KILOBYTES = 1024


def machine() -> str:
    """Cores, processor and Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}"


def surroundings() -> dict[str, str]:
    """The machine, Kafka and its client, and how busy the machine is with other things."""
    return {
        "machine": machine(),
        "kafka": f"Apache Kafka {KAFKA}, confluent-kafka {version('confluent-kafka')}",
        "load": f"load averages {', '.join(f'{load:.1f}' for load in os.getloadavg())} before it began",
    }


def megabytes(status: str, field: str) -> float | None:
    """A field of /proc/PID/status in MB, VmHWM (the peak) or VmRSS (now); None where it is not there."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / KILOBYTES if found else None


def memory(pid: int, field: str = "VmHWM") -> float | None:
    """A process' resident memory, MB; None where it has ended."""
    with suppress(OSError):
        return megabytes(Path(f"/proc/{pid}/status").read_text(), field)
    return None


def ticks(stat: str) -> int:
    """User and system time in /proc/PID/stat, clock ticks; the name before it may hold anything, brackets too."""
    after = stat.rpartition(")")[2].split()
    return int(after[11]) + int(after[12])


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has taken, s."""
    return ticks(Path(f"/proc/{pid}/stat").read_text()) / os.sysconf("SC_CLK_TCK")
