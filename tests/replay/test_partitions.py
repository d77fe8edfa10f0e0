"""Partitions of keys, without a broker. That they are the broker's is seen in tests/integration."""

from __future__ import annotations

import zlib

import pytest

from replay.partitions import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2(data: bytes, signed: int) -> None:
    """The hash is that of Kafka's Java client: the vectors of its own test."""
    assert murmur2(data) == signed % (1 << 32)


def test_partitioners() -> None:
    """A key has its partition where the partitioner does not draw one."""
    assert (
        partition_of(b"21", 7, "murmur2") == partition_of(b"21", 7, "murmur2_random") == (-973932308 & 0x7FFFFFFF) % 7
    )
    assert partition_of(b"21", 7, "consistent_random") == zlib.crc32(b"21") % 7
    for key, partitioner in ((None, "murmur2_random"), (b"", "consistent_random"), (b"x", "random"), (b"x", "fnv1a")):
        assert partition_of(key, 7, partitioner) is None
