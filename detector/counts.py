"""What became of each partition's messages since its group began, kept with the group's offsets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.rows import REASONS, Reject, Rows

KEPT = "counts"
"""The field of an offset's metadata that holds them, beside what a decoder notes."""


class Count(msgspec.Struct, frozen=True, array_like=True):
    """Rows that were scored, how many of them alert, and by reason the messages that were no rows."""

    rows: int = 0
    alerts: int = 0
    rejects: dict[str, int] = {}

    @property
    def messages(self) -> int:
        """Rows and rejects."""
        return self.rows + sum(self.rejects.values())

    def __add__(self, other: Count) -> Count:
        rejects = self.rejects
        if other.rejects:  # seldom, and this is done for every partition of every batch
            rejects = {r: rejects.get(r, 0) + other.rejects.get(r, 0) for r in rejects | other.rejects}
        return Count(self.rows + other.rows, self.alerts + other.alerts, rejects)


class _Kept(msgspec.Struct):
    """What is read of an offset's metadata."""

    counts: Count


NOTHING = Count()
ByPartition = Mapping[int, Count]


def counted(rows: Rows, alerting: NDArray[np.intp], rejects: Iterable[Reject]) -> dict[int, Count]:
    """Those of a batch by partition. alerting: places of the rows that alert."""
    alerts = Counter(rows.partition[alerting].tolist())
    reasons: dict[int, dict[str, int]] = {}
    refused = Counter((reject.message.partition(), reject.reason) for reject in rejects)
    for (partition, reason), count in refused.items():
        reasons.setdefault(partition, {})[reason] = count
    of_rows = {partition: len(at) for partition, at in rows.parts}
    return {
        partition: Count(of_rows.get(partition, 0), alerts[partition], reasons.get(partition, {}))
        for partition in of_rows.keys() | reasons.keys()
    }


class Counts:
    """Counts of the partitions that are here, twice: of what was worked on, and of what is visible.

    What was worked on travels in the metadata of the offsets that it leads to, so that both are committed at once or
    not at all; and what is read there when a partition comes, or is rewound, is what was committed. A process that is
    killed behind a commit and before it has told of it therefore loses no count, nor does one that takes over.
    """

    def __init__(self) -> None:
        self.visible: dict[int, Count] = {}
        self._worked: dict[int, Count] = {}

    def begin(self, notes: Mapping[int, str]) -> None:
        """Partitions come, or are rewound. notes: by partition, the metadata of its committed offset."""
        found = {partition: read(note) for partition, note in notes.items()}
        self._worked |= found
        self.visible |= found

    def worked(self, counts: ByPartition) -> None:
        """A batch was worked on; nothing of it is visible yet."""
        self._worked |= {partition: self._worked.get(partition, NOTHING) + one for partition, one in counts.items()}

    def committed(self, counts: ByPartition) -> None:
        """A batch became visible; partitions that went meanwhile are told of by who has them now."""
        self.visible |= {p: self.visible[p] + one for p, one in counts.items() if p in self.visible}

    def note(self, partition: int, note: str) -> str:
        """What is committed with the partition's offset. note: what a decoder wants to have noted there, or nothing."""
        counts = {KEPT: self._worked.get(partition, NOTHING)}
        return msgspec.json.encode({**msgspec.json.decode(note), **counts} if note else counts).decode()

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions went to another member."""
        for partition in partitions:
            self._worked.pop(partition, None)
            self.visible.pop(partition, None)


def read(note: str) -> Count:
    """The counts in the metadata of an offset; of what is none (older releases and other programs): nothing."""
    try:
        found = msgspec.json.decode(note, type=_Kept).counts
    except msgspec.MsgspecError:
        return NOTHING
    known = {reason: count for reason, count in found.rejects.items() if reason in REASONS}
    return Count(found.rows, found.alerts, known)
