"""What has to be known of a history before it is played: where it ends, how much its features vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from detector.errors import UsageError
from replay.history import History
from replay.inject.spec import Spec
from replay.inject.values import targets
from replay.pipeline import played
from replay.settings import Settings

SURVEYED = 100_000
"""First rows of which standard deviations are taken."""


def last_moment(history: History, chosen: Settings) -> int:
    """The time of the last row that is played, ms since 1970 UTC; where there are no event times its number.

    Rows that are played are read for it, unless the data as a whole tells.
    """
    if history.span and chosen.loop == 1 and not chosen.limit:
        end = chosen.bounds[1]
        return history.span[1] if end is None else min(history.span[1], end - 1)
    rows, latest = 0, list[int]()
    limit = chosen.skip + chosen.limit if chosen.limit else 0
    for batch in played(history, replace(chosen, skip=0, limit=limit, inject=())):
        rows += len(batch)
        if batch.event is not None and len(batch):
            latest = [max([*latest, int(batch.event.max())])]
    return latest[0] if latest else rows - 1


def deviations(history: History, chosen: Settings, specs: Sequence[Spec]) -> dict[str, float]:
    """By feature, the standard deviation over the first rows, where a break counts in it. UsageError where it is 0."""
    asked = [spec for spec in specs if spec.deviations]
    if not asked:
        return {}
    assert history.columns is not None
    rows = played(history, replace(chosen, skip=0, loop=1, limit=SURVEYED, inject=()))
    frames = [batch.frame for batch in rows if batch.frame is not None]
    found: dict[str, float] = {}
    for spec in asked if frames else ():
        for name in targets(frames[0], history.columns, spec):
            found[name] = _deviation(spec, name, frames)
    return found


def _deviation(spec: Spec, name: str, frames: Sequence[pd.DataFrame]) -> float:
    values = np.concatenate([frame[name].to_numpy(np.float64, na_value=np.nan) for frame in frames])
    known = values[np.isfinite(values)]
    found = float(known.std()) if len(known) else 0.0
    if not found:
        told = f"{name!r} does not vary in the first {len(values)} rows"
        raise UsageError(f"setting inject has value {spec.text!r}: feature {told}, an amount without sd wanted")
    return found
