"""Microseconds of this process to decode a sample of a signal and cut it into rows, by format and number of keys.

`python -m tests.benchmarks.signals [--samples 65536] [--batch 4096] [--repeats 5]` prints the best of so many passes,
by the process' own time, beside the time that a row of as many numbers takes.
"""

from __future__ import annotations

import argparse
import json
import struct
import time
from collections.abc import Callable, Sequence

import numpy as np

from detector.rows import Batch, Cutter, Decoder, Message, SignalDecoder, encode_packed
from detector.schema import Schema
from tests.messages import FakeMessage

LENGTH = 140
KEYS = (1, 16, 256, 4096, 32_768)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=65_536)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    packed = encode_packed(np.zeros((chosen.batch, LENGTH), np.float32))
    rows = [Batch.of([FakeMessage(value, ("s", 0, at)) for at, value in enumerate(packed)])]
    schema = Schema(tuple(f"c{number}" for number in range(LENGTH)))
    print(f"{'messages':24}{'keys':>8}{'us each':>10}")
    best = microseconds(lambda: Decoder(schema, "packed"), rows, chosen.repeats)
    print(f"{'packed rows of 140':24}{'':>8}{best:>10.2f}")
    for form in ("packed", "json"):
        for keys in KEYS:
            batches = list(batched(form, chosen.samples, keys, chosen.batch))
            best = microseconds(lambda form=form: signals(form), batches, chosen.repeats)  # type: ignore[misc]
            print(f"{form + ' samples':24}{keys:>8}{best:>10.2f}")


def signals(form: str) -> Decoder:
    """What is measured, with nothing open."""
    return SignalDecoder(Cutter(LENGTH, 1 << 30), default_format=form)


def batched(form: str, samples: int, keys: int, most: int) -> Sequence[Batch]:
    """Samples of keys that take turns at random, batch by batch."""
    rng, numbers = np.random.default_rng(0), [0] * keys
    messages: list[Message] = []
    for at, key in enumerate(rng.integers(0, keys, samples).tolist()):
        number, value = numbers[key], 0.25 * (at % 7)
        messages.append(FakeMessage(sample(form, number, value), ("s", 0, at), 0, b"%d" % key))
        numbers[key] += 1
    return [Batch.of(messages[start : start + most]) for start in range(0, samples, most)]


def sample(form: str, number: int, value: float) -> bytes:
    """A sample as it is sent."""
    if form == "packed":
        return struct.pack("<dd", value, number)
    return json.dumps({"sample": number, "value": value}).encode()


def microseconds(decoder: Callable[[], Decoder], batches: Sequence[Batch], repeats: int) -> float:
    """The least time that a pass took, for each of its messages."""
    taken = []
    for _ in range(repeats):
        made = decoder()
        start = time.process_time()
        for batch in batches:
            _, refused = made.decode(batch)
            assert refused == []
        taken.append(time.process_time() - start)
    return min(taken) / sum(map(len, batches)) * 1e6


if __name__ == "__main__":
    main()
