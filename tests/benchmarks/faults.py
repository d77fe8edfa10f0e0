"""The fault table: what is done to the detector, how often, and what was lost or came twice.

`python -m tests.benchmarks.faults [--quick]` tries every fault of the integration tests on a real Apache Kafka; the
long ones take about an hour.
"""

from __future__ import annotations

import argparse
import sys

import pytest


def main() -> int:
    """Pytest's exit code; the table is printed after its summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the short stories alone")
    chosen = parser.parse_args()
    which = ["-m", "not long"] if chosen.quick else []
    return int(pytest.main(["-q", "tests/integration", "-k", "test_faults", *which]))


if __name__ == "__main__":
    sys.exit(main())
