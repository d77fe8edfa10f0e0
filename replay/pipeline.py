"""From data to batches that can be sent: which source, which stages, in which order."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from detector.errors import UsageError
from detector.schema import Schema
from replay import stages
from replay.ahead import ahead
from replay.batch import Batch, Stage
from replay.encoding import Values, encoded, encoder
from replay.history import History
from replay.inject.faults import spoiled
from replay.samples import as_signal, sample_encoder
from replay.settings import Settings
from replay.source import Files
from replay.stdin import Piped
from replay.topic import SCHEME, Topic

STDIN = "-"


def opened(data: Sequence[str], chosen: Settings, schema: Schema | None, say: Callable[[str], None]) -> History:
    """The rows that the arguments name; Failure says what is wrong with them."""
    odd = [text for text in data if text == STDIN or text.startswith(SCHEME)]
    if odd and len(data) > 1:
        raise UsageError(f"data {odd[0]!r} is played alone, without other data")
    if odd and chosen.accounts:
        raise UsageError(f"setting accounts wants files, not {odd[0]!r}: ages are counted to the newest account")
    if not odd:
        return Files(data, chosen, schema, say)
    if odd == [STDIN]:
        return Piped(standard_input(), chosen, schema, say)
    return Topic(odd[0], chosen)


def standard_input() -> BinaryIO:
    """Its bytes, by a reader of our own: one that waits in Python's own would hold up the end of the process."""
    try:
        return io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False))
    except OSError:  # there is no such file: a program that embeds this one put something else there
        return sys.stdin.buffer


def played(
    history: History,
    chosen: Settings,
    broken: Sequence[Stage] = (),
    done: int = 0,
    seen: Callable[[Batch], None] = lambda batch: None,
) -> Iterator[Batch]:
    """The rows that are played, or their samples, in order. broken: stages that change the rows. done: how many an
    earlier process sent, with which `seen` is called."""
    within: list[Stage] = []
    if chosen.between:
        within.append(stages.between(*chosen.bounds))
    if chosen.sample < 1:
        within.append(stages.sampled(chosen.sample))
    batches = stages.looped(lambda: stages.through(history.batches(), within), chosen.loop)
    chain = [*broken, stages.skipped(chosen.skip), stages.limited(chosen.limit)]
    if chosen.as_signal and history.columns:
        chain.append(as_signal(history.columns, Path(history.name).name, chosen.sample_rate))
    return stages.through(batches, [*chain, stages.skipped(done, seen)])


def encoder_of(history: History, chosen: Settings) -> Callable[[pd.DataFrame], Values] | None:
    """How what is played becomes values; None where it comes with them."""
    if history.columns is None:
        return None
    return sample_encoder(chosen.format) if chosen.as_signal else encoder(chosen.format, history.columns)


def sendable(batches: Iterator[Batch], history: History, chosen: Settings) -> Iterator[Batch]:
    """What is sent with its values; made ahead where a row has a due time or may be long in coming, and while a
    transaction is committed."""
    ready = spoiled(chosen.format, history.columns)(encoded(encoder_of(history, chosen))(batches))
    meanwhile = chosen.pace.paced or chosen.resume or not isinstance(history, Files)
    return ahead(ready) if meanwhile else ready
