"""A second model that scores the same rows and publishes nothing: how far it agrees with the one that is served."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detector.errors import ModelRefused, UsageError
from detector.log import logger
from detector.schema import Schema
from detector.serving import Serving
from detector.threshold import above

log = logger("detector")

EDGES = 2.0 ** np.arange(-8, 9)
"""Upper edges of the scores' bins, in multiples of a model's own threshold: so two models' scores can be compared."""


def edges_of(threshold: float) -> NDArray[np.float64]:
    """The bins' upper edges (17,) in a model's own scores; where the threshold is not above 0 they are scores."""
    return np.asarray(EDGES * (threshold if threshold > 0 else 1.0), np.float64)


def _empty() -> NDArray[np.int64]:
    return np.zeros(len(EDGES) + 1, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """Counts (18,) of scores by EDGES, each bin with its upper edge, the last one without; and the scores' sum."""

    counts: NDArray[np.int64] = field(default_factory=_empty)
    total: float = 0.0

    @classmethod
    def of(cls, scores: NDArray[np.float32], threshold: float) -> Distribution:
        """Of scores (n,); where the threshold is not above 0 the edges are scores themselves."""
        edges = EDGES * (threshold if threshold > 0 else 1.0)
        below = np.searchsorted(np.sort(scores), edges, side="right")  # twice as fast as a search for each score
        return cls(np.diff(below, prepend=0, append=len(scores)), float(scores.sum(dtype=np.float64)))

    def __add__(self, other: Distribution) -> Distribution:
        return Distribution(self.counts + other.counts, self.total + other.total)


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """How two models judged rows: alert by both, by one alone, by neither; and rows that the shadow could not score.

    served, shadow: scores of the rows that both scored.
    """

    both: int = 0
    served_only: int = 0
    shadow_only: int = 0
    neither: int = 0
    unscored: int = 0
    served: Distribution = field(default_factory=Distribution)
    shadow: Distribution = field(default_factory=Distribution)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.both + other.both,
            self.served_only + other.served_only,
            self.shadow_only + other.shadow_only,
            self.neither + other.neither,
            self.unscored + other.unscored,
            self.served + other.served,
            self.shadow + other.shadow,
        )

    @property
    def outcomes(self) -> dict[str, int]:
        """Rows by OUTCOMES."""
        return {name: getattr(self, name) for name in OUTCOMES}

    @property
    def rows(self) -> int:
        """Rows that both models scored."""
        return self.both + self.served_only + self.shadow_only + self.neither

    @property
    def agreement(self) -> float:
        """The share of rows that both judged alike; NaN where there are none."""
        return (self.both + self.neither) / self.rows if self.rows else np.nan

    @property
    def kappa(self) -> float:
        """Agreement beyond chance, (p - e) / (1 - e), which is 1 at most; NaN where chance alone agrees on all.

        Source: Cohen, A coefficient of agreement for nominal scales (1960). Where few rows alert, two models that never
        name the same row agree on nearly all: kappa is then about 0.
        """
        served, shadow = self.both + self.served_only, self.both + self.shadow_only
        by_chance = served * shadow + (self.rows - served) * (self.rows - shadow)
        apart = self.rows**2 - by_chance
        return ((self.both + self.neither) * self.rows - by_chance) / apart if apart else np.nan


OUTCOMES = ("both", "served_only", "shadow_only", "neither", "unscored")
"""The closed set of ways in which a row may end."""


class Shadow:
    """Scores the rows of another model's schema with its own, and compares the two.

    It alerts by its calibrated threshold: it keeps no windows. ModelRefused where the rows lack one of its features or
    hold it as something else; UsageError where its line is a running one.
    """

    def __init__(self, serving: Serving, served: Serving, totals: Tally | None = None) -> None:
        if serving.line.running:
            raise UsageError(
                f"shadow threshold {serving.line.running.text!r}: a shadow keeps no windows; a calibrated one is wanted"
            )
        self.serving, self.totals = serving, totals or Tally()
        schema = served.artifact.schema
        self._columns = _columns(serving, schema)
        self._gaps = _gaps(serving.artifact.schema, schema)
        self._served_threshold = served.line.calibrated.value
        self._failing = False

    def beside(self, served: Serving) -> Shadow:
        """The same shadow, and what it counted, beside another served model; ModelRefused where it cannot be."""
        return Shadow(self.serving, served, self.totals)

    def score(self, matrix: NDArray[np.float32], scores: NDArray[np.float32], alerting: NDArray[np.intp]) -> Tally:
        """The tally of a batch: rows (n, d), scores (n,) of the served model, and places of the rows that alert by it.

        Never raises for what the network does: rows of a run that fails are unscored, and the first is logged.
        """
        alerts = np.zeros(len(matrix), np.bool_)
        alerts[alerting] = True
        try:
            tally = self._tally(matrix, scores, alerts)
        except Exception as error:  # whatever it is, the line goes on
            if not self._failing:
                why = f"{type(error).__name__}: {error}"
                log.error("shadow_failed", model=self.serving.artifact.name.name, why=why)
            self._failing = True
            return Tally(unscored=len(matrix))
        self._failing = False
        return tally

    def committed(self, tally: Tally) -> None:
        """The batch of a tally became visible: now it counts."""
        self.totals = self.totals + tally  # one assignment: who reads it in another thread sees all of it or nothing

    def _tally(self, matrix: NDArray[np.float32], scores: NDArray[np.float32], alerts: NDArray[np.bool_]) -> Tally:
        unscored = 0
        if self._gaps.size:
            whole = ~np.isnan(matrix[:, self._gaps]).any(axis=1)
            unscored = len(matrix) - int(whole.sum())
            matrix, scores, alerts = matrix[whole], scores[whole], alerts[whole]
        if len(matrix) == 0:
            return Tally(unscored=unscored)
        line = self.serving.line.calibrated.value
        own = self.serving.model.score(matrix if self._columns is None else matrix[:, self._columns])
        own_alerts = above(own, line)
        both, of_served, of_shadow = (int(one.sum()) for one in (alerts & own_alerts, alerts, own_alerts))
        return Tally(
            both=both,
            served_only=of_served - both,
            shadow_only=of_shadow - both,
            neither=len(own) - of_served - of_shadow + both,
            unscored=unscored,
            served=Distribution.of(scores, self._served_threshold),
            shadow=Distribution.of(own, line),
        )


def _columns(shadow: Serving, rows: Schema) -> NDArray[np.intp] | None:
    """Where the shadow's features stand in rows of another schema; None where rows are its own as they are."""
    own, told = shadow.artifact.schema, f"shadow model {shadow.artifact.path}"
    if missing := [name for name in own.features if name not in rows.features]:
        raise ModelRefused(f"{told}: the served model's rows lack its features {', '.join(map(repr, missing))}")
    if other := [name for name in own.features if _kind(own, name) != _kind(rows, name)]:
        raise ModelRefused(f"{told}: feature {other[0]!r} is of another kind, or has other values, in the served model")
    places = {name: place for place, name in enumerate(rows.features)}
    return None if own.features == rows.features else np.array([places[name] for name in own.features], np.intp)


def _kind(schema: Schema, name: str) -> tuple[bool, tuple[str, ...] | None]:
    return name in schema.booleans, schema.categories.get(name)


def _gaps(own: Schema, rows: Schema) -> NDArray[np.intp]:
    """Columns that may be missing from rows though the shadow needs them."""
    must = set(own.features) - set(own.optional)
    return np.array([at for at, name in enumerate(rows.features) if name in must and name in rows.optional], np.intp)
