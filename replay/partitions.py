"""Which partition a key goes to, for who wants to know before anything is sent: as librdkafka has its partitioners."""

from __future__ import annotations

import zlib

MASK, SEED, M = 0xFFFFFFFF, 0x9747B28C, 0x5BD1E995


def partition_of(key: bytes | None, partitions: int, partitioner: str) -> int | None:
    """The partition of a key, of so many; None where it is drawn, or is not known here (fnv1a)."""
    if key is None or (not key and partitioner == "consistent_random"):
        return None
    if partitioner.startswith("murmur2"):
        return (murmur2(key) & 0x7FFFFFFF) % partitions
    return zlib.crc32(key) % partitions if partitioner.startswith("consistent") else None


def murmur2(data: bytes) -> int:
    """Austin Appleby's MurmurHash2 of 32 bits with the seed of Kafka's Java client, as an unsigned number."""
    found, whole = (SEED ^ len(data)) & MASK, len(data) & ~3
    for start in range(0, whole, 4):
        part = int.from_bytes(data[start : start + 4], "little") * M & MASK
        found = (found * M & MASK) ^ ((part ^ part >> 24) * M & MASK)
    if whole < len(data):
        found = (found ^ int.from_bytes(data[whole:], "little")) * M & MASK
    found = (found ^ found >> 13) * M & MASK
    return found ^ found >> 15
