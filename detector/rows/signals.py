"""Messages that are samples of signals, to rows: the decoder of `--window-samples`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from detector.rows.avro import Registry
from detector.rows.decoder import Decoder, Rows
from detector.rows.event_time import EventTimes
from detector.rows.messages import ROW_ID_HEADER, Batch, Message, Numbered, text
from detector.rows.notes import Note
from detector.rows.refusals import Reject
from detector.rows.samples import Cutter, Samples, Window
from detector.rows.values import to_float32
from detector.schema import Schema

MOST = 1 << 53
"""The whole numbers up to this one are what JSON's numbers, float64, tell apart."""


class SignalDecoder(Decoder):
    """Turns samples, one a message, into rows of `cutter.length` of them; the row's message is its last sample's.

    A sample is a row of two features to the decoder that this one extends: its value, and its running number.
    A cutter may be shared by decoders that follow each other: what is open in it stays open.
    """

    def __init__(
        self,
        cutter: Cutter,
        sample_field: str = "value",
        index_field: str = "sample",
        default_format: str = "json",
        max_row_bytes: int = 1 << 20,
        registry: Registry | None = None,
        time_field: str = "",
    ) -> None:
        """ValueError where a path is none, or as the decoder of rows. sample_field, index_field: paths."""
        self._fields = sample_field, index_field
        paths = {name: name for name in self._fields}
        super().__init__(Schema(self._fields), default_format, max_row_bytes, paths, registry, time_field, np.float64)
        self._cutter = cutter
        self.samples, self.reach = cutter.length, cutter.reach

    def fresh(self) -> SignalDecoder:
        """The same with nothing open, to decode another stretch of the log."""
        other = copy(self)
        other._cutter = Cutter(self.samples, self.reach)
        return other

    def decode(self, messages: Sequence[Message] | Batch) -> tuple[Rows, list[Reject]]:
        """The rows that a batch makes whole, and what is refused: samples of earlier batches may be among that."""
        batch = messages if isinstance(messages, Batch) else Batch.of(messages)
        samples, clock, rejects = self._samples(batch)
        cut = self._cutter.cut(samples, [(partition, int(batch.offset[at[-1]])) for partition, at in batch.parts])
        last = samples.batch.take([place for place, _ in cut.whole])
        named = [_named(message, window) for message, (_, window) in zip(last.messages, cut.whole, strict=True)]
        matrix = np.array([window.values for _, window in cut.whole], np.float32).reshape(-1, self.samples)
        return Rows(matrix, Batch(named, last.partition, last.offset, last.parts), clock), rejects + cut.refused

    def _samples(self, batch: Batch) -> tuple[Samples, EventTimes | None, list[Reject]]:
        found, rejects = super().decode(batch)
        pairs = found.matrix.astype(np.float64, copy=False)
        value, number = to_float32(pairs[:, 0]), pairs[:, 1]
        well = (number >= 0) & (number < MOST) & (number == np.floor(number))
        finite = np.isfinite(value)
        if well.all() and finite.all():
            return Samples(found.batch, number.astype(np.int64), value), found.clock, rejects
        rejects += self._refused(found, well, finite)
        at = np.flatnonzero(well & finite)
        return Samples(found.batch.take(at), number[at].astype(np.int64), value[at]), found.clock, rejects

    def _refused(self, found: Rows, well: NDArray[np.bool_], finite: NDArray[np.bool_]) -> Iterable[Reject]:
        value, number = self._fields
        for i in np.flatnonzero(~(well & finite)).tolist():
            if not finite[i]:
                yield Reject(found.messages[i], "not_finite", f"sample {value!r} is beyond float32")
            else:
                told = f"{number!r} is {found.matrix[i, 1]:g}, a whole number from 0 to 2^53 wanted"
                yield Reject(found.messages[i], "not_an_index", told)

    def note(self, partition: int) -> str:
        """What to commit with a partition's offset."""
        return self._note(self._cutter.open_from(partition)).text()

    def _note(self, open_: int | None = None) -> Note:
        return Note(self.samples, *self._fields, self.reach, open_)

    def begin(self, positions: Mapping[int, int], told: Mapping[int, str]) -> dict[int, int]:
        """Partitions come; see the decoder of rows. What nothing was noted of is open as the log has it.

        ValueError where signals were cut in another way: what waited cannot be found again.
        """
        starts = {}
        for partition, position in positions.items():
            note = Note.read(told[partition]) or self._note(max(position - self.reach - 1, 0))
            if not note.same_cut(self._note()):
                raise ValueError(f"partition {partition} was read with {note}, now with {self._note()}")
            self._cutter.begin(partition, note.window_reach)
            if note.open is not None:
                starts[partition] = note.open
        return starts

    def resume(self, partitions: Iterable[int]) -> None:
        """What was open is open again."""
        for partition in partitions:
            self._cutter.resume(partition)

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions went to another member."""
        self._cutter.forget(partitions)

    def open_offsets(self, partition: int) -> list[int]:
        """The offsets of a partition's samples that wait, in order."""
        return self._cutter.open_offsets(partition)

    def waiting(self) -> dict[int, int]:
        """By partition, the samples that wait in open windows."""
        return self._cutter.waiting()


def _named(message: Message, window: Window) -> Message:
    """The message of a row: a sender's own row-id stands, else it is KEY/ROW, or PARTITION/ROW without a key."""
    if any(name == ROW_ID_HEADER for name, _ in message.headers() or ()):
        return message
    key = text(message.key())
    return Numbered(message, f"{message.partition() if key is None else key}/{window.row}")
