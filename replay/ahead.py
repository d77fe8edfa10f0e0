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


def ahead(batches: Iterator[Batch], depth: int = DEPTH) -> Iterator[Batch]:
    """The same batches, made by a thread of their own from the first call on; what it raises is raised in their place.

    While none is there, empty ones come in between. The thread ends when the batches are no longer asked for, once it
    is not held up by a pipe on which nothing comes.
    """
    made: queue.Queue[Batch | BaseException | None] = queue.Queue(depth)
    ended = threading.Event()

    def put(one: Batch | BaseException | None) -> None:
        while not ended.is_set():
            try:
                made.put(one, timeout=LOOK_SECONDS)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for batch in batches:
                put(batch)
                if ended.is_set():
                    return
            put(None)
        except BaseException as error:  # whoever asks for the batches hears of it
            put(error)

    maker = threading.Thread(target=make, name="ahead", daemon=True)
    maker.start()
    try:
        while (one := _next(made)) is not None:
            if isinstance(one, BaseException):
                raise one
            yield one
    finally:
        ended.set()
        maker.join(2 * LOOK_SECONDS)


def _next(made: queue.Queue[Batch | BaseException | None]) -> Batch | BaseException | None:
    try:
        return made.get(timeout=LOOK_SECONDS)
    except queue.Empty:
        return IDLE
