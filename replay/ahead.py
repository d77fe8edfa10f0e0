"""Batches that are made while the ones before are sent, so that making them makes no row late and no stop wait."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from replay.batch import Batch, objects

DEPTH = 64
"""Batches that are made ahead at most."""

LOOK_SECONDS = 0.1
"""How long a batch is waited for, before who waits for it gets an empty one and can look at something else."""

IDLE = Batch(objects([]))

Made = Batch | BaseException | None
"""A batch, what went wrong, or the end."""


def ahead(batches: Iterator[Batch], depth: int = DEPTH) -> Iterator[Batch]:
    """The same batches, made by a thread of their own from the first call on; what it raises is raised in their place.

    While none is there, empty ones come in between. The thread ends when the batches are no longer asked for, once it
    is not held up by a pipe on which nothing comes.
    """
    maker = _Maker(batches, depth)
    maker.start()
    try:
        while (one := maker.next()) is not None:
            if isinstance(one, BaseException):
                raise one
            yield one
    finally:
        maker.ended.set()
        maker.join(2 * LOOK_SECONDS)


class _Maker(threading.Thread):
    """Makes batches until `ended`."""

    def __init__(self, batches: Iterator[Batch], depth: int) -> None:
        super().__init__(name="ahead", daemon=True)
        self.ended = threading.Event()
        self._batches = batches
        self._made: queue.Queue[Made] = queue.Queue(depth)

    def run(self) -> None:
        """The thread: whoever asks for the batches hears of what goes wrong."""
        try:
            for batch in self._batches:
                self._put(batch)
                if self.ended.is_set():
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, one: Made) -> None:
        while not self.ended.is_set():
            try:
                self._made.put(one, timeout=LOOK_SECONDS)
                return
            except queue.Full:
                continue

    def next(self) -> Made:
        """What was made, or an empty batch while nothing is."""
        try:
            return self._made.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            return IDLE
