"""Rows a second, latency, memory and readiness of the detector, against the bare client's loop and its peers.

`python -m tests.benchmarks.line` starts an Apache Kafka and measures; ../README.md says what each part is.
"""

from tests.benchmarks.line.host import machine

__all__ = ["machine"]
