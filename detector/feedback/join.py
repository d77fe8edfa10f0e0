"""Scored rows and labels, joined by row id: bounded in number and in time, counted however they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.alerts import ModelName
from detector.feedback.labels import Label
from detector.feedback.measures import LABELLED, shortest
from detector.feedback.shelf import Shelf
from detector.scores import Scored

WAITING_ROW = np.dtype([("time", "<i8"), ("score", "<f4"), ("amount", "<f4"), ("model", "<u4"), ("alert", "?")])
WAITING_LABEL = np.dtype([("time", "<i8"), ("first", "?"), ("last", "?")])
"""first: what was said of the row first. last: what was said of it last."""

MODELS = 8
"""Models that figures are kept of: they label metrics. Of more, the one goes that has scored nothing for longest."""

MILLIONTHS = 1_000_000
"""Money is added up in whole millionths: so its sum does not depend on the order in which rows are joined."""

STEPS = 64
"""What has waited too long is looked for this often in the time that it may wait."""

VERDICTS = (("anomalous", "alert"), ("anomalous", "normal"), ("normal", "alert"), ("normal", "normal"))
"""Label and verdict of a labelled row, in the order in which they are counted."""

EXPIRED = (("row", "late"), ("row", "crowded"), ("label", "late"), ("label", "crowded"))
"""Side and reason of what waited in vain: longer than it may, or pushed out by others. A label without a row is an
orphan: its row was never scored, or its label came too late."""

SAID = ("first", "repeated", "revised", "unsure", "note")
"""What a label says: the first thing of its row, the same again, something else, nothing; or that it is no label, but a
note of what a replay did on purpose."""

SCORED = ("new", "repeated")
"""Whether a scored row was new, or one of that id was known already."""


Fresh = dict[str, tuple[int, bool, bool]]
"""New labels by row id, as WAITING_LABEL: time, what was said first and last."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """window: labelled rows of a model. pending: rows, and labels, that wait. wait: longest wait, ms of event time."""

    window: int
    pending: int
    wait: float


@dataclass(slots=True)
class Model:
    """What is known of one model. totals: labelled rows by VERDICTS. caught, missed: money in MILLIONTHS.

    Totals count a row as it was labelled first, and amounts above 0 alone, for totals never fall; the window holds what
    was said last.
    """

    name: ModelName
    window: Shelf = field(default_factory=lambda: Shelf(LABELLED))
    totals: list[int] = field(default_factory=lambda: [0] * len(VERDICTS))
    caught: int = 0
    missed: int = 0

    def count(self, rows: NDArray[Any], anomalous: NDArray[np.bool_]) -> None:
        """Adds rows (n,) of LABELLED as they were labelled first."""
        cells = np.where(anomalous, 0, 2) + np.where(rows["alert"], 0, 1)
        counted = np.bincount(cells, minlength=len(VERDICTS)).tolist()
        self.totals = [one + more for one, more in zip(self.totals, counted, strict=True)]
        self.caught += _millionths(rows["amount"][cells == 0])
        self.missed += _millionths(rows["amount"][cells == 1])


@dataclass(slots=True)
class Counts:
    """What happened to messages: scored rows by SCORED, labels by SAID, in vain by EXPIRED, refused by REFUSALS."""

    scored: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    expired: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Join:
    """Rows wait for their label, and labels for their row, each under its row id.

    A row id names one row: of rows that share one the first counts. Of labels of one row the last holds, as long as
    the row waits or is in its model's window. Time is that of the rows: the latest event time of all that were scored.

    amount: the feature that is money; empty for the one that travels, "none" for no money. dropped: models of which
    no figures are kept any more, until that is saved.
    """

    def __init__(self, bounds: Bounds, amount: str = "") -> None:
        self.bounds, self._amount = bounds, amount
        self.rows, self.labels = Shelf(WAITING_ROW), Shelf(WAITING_LABEL)
        self.models: dict[int, Model] = {}
        self.next_model = 0
        self.dropped: dict[int, Model] = {}
        self.counts = Counts()
        self.clock: int | None = None
        self.money: str | None = None
        self._looked: float | None = None

    def scored(self, scored: Scored, now: int) -> None:
        """Takes scored rows; those whose labels wait are joined. now: ms since 1970: no row is later."""
        names, rows = scored.names(), self._waiting(scored)
        if len(rows):
            latest = min(int(rows["time"].max()), now)
            self.clock = latest if self.clock is None else max(self.clock, latest)
        places = self._new(names)
        self.counts.scored["new"] += len(places)
        self.counts.scored["repeated"] += len(names) - len(places)
        if len(places) < len(names):
            names, rows = [names[place] for place in places], rows[places]
        if not self.labels.disjoint(names):
            names, rows = self._meet(names, rows)
        self.rows.add(names, rows)
        self._bound()

    def _waiting(self, scored: Scored) -> NDArray[Any]:
        """Scored rows as they wait (n,)."""
        rows = np.zeros(len(scored), WAITING_ROW)
        rows["time"], rows["score"], rows["alert"] = scored.times, scored.scores, scored.alerting
        rows["model"] = self._number(scored.model)
        if scored.amounts is not None and self._amount in ("", scored.amount):
            self.money = scored.amount
            rows["amount"] = np.where(np.isfinite(scored.amounts), scored.amounts, 0.0)
        return rows

    def _number(self, name: ModelName) -> int:
        """A model's number; it is the last one heard of now."""
        number = next((number for number, model in self.models.items() if model.name == name), None)
        if number is None:
            number, self.next_model = self.next_model, self.next_model + 1
            self.models[number] = Model(name)
            if len(self.models) > MODELS:
                oldest = next(iter(self.models))
                self.dropped[oldest] = self.models.pop(oldest)
        else:
            self.models[number] = self.models.pop(number)
        return number

    def _new(self, names: Sequence[str]) -> list[int]:
        """The places of names that are known of no row yet."""
        shelves = [self.rows, *(model.window for model in self.models.values())]
        if len(set(names)) == len(names) and all(shelf.disjoint(names) for shelf in shelves):
            return list(range(len(names)))
        found: dict[str, int] = {}
        for place, name in enumerate(names):
            if not any(name in shelf for shelf in shelves):
                found.setdefault(name, place)
        return list(found.values())

    def _meet(self, names: list[str], rows: NDArray[Any]) -> tuple[list[str], NDArray[Any]]:
        """Joins the rows (n,) whose labels wait; the others."""
        meet = np.fromiter((name in self.labels for name in names), np.bool_, len(names))
        met = [names[place] for place in np.flatnonzero(meet).tolist()]
        labels = self.labels.take(met)
        self._joined(met, rows[meet], labels["first"], labels["last"])
        return [names[place] for place in np.flatnonzero(~meet).tolist()], rows[~meet]

    def labelled(self, labels: Sequence[Label]) -> None:
        """Takes labels; those whose rows wait are joined."""
        fresh = self._all_fresh(labels)
        if fresh is None:
            fresh = {}
            for label in labels:
                self._say(label, fresh)
        met = [name for name in fresh if name in self.rows]
        said = np.array([fresh[name] for name in met], WAITING_LABEL)
        if met:
            self._joined(met, self.rows.take(met), said["first"], said["last"])
            for name in met:
                del fresh[name]
        self.labels.add(list(fresh), np.array(list(fresh.values()), WAITING_LABEL))
        self._bound()

    def _all_fresh(self, labels: Sequence[Label]) -> Fresh | None:
        """All labels where each is the first of its row, as they mostly are; None where one may not be."""
        fresh = {name: (time, bool(bad), bool(bad)) for name, bad, time in labels if bad is not None}
        if len(fresh) < len(labels) or not all(shelf.disjoint(fresh) for shelf in self._labelled_shelves()):
            return None
        self.counts.said["first"] += len(fresh)
        return fresh

    def _labelled_shelves(self) -> list[Shelf]:
        """Where the labels are that are known."""
        return [self.labels, *(model.window for model in self.models.values())]

    def _say(self, label: Label, fresh: Fresh) -> None:
        """One label more: a new one goes to `fresh`, one of a row that is labelled already changes its label."""
        if label.anomalous is None:
            self.counts.said["unsure"] += 1
            return
        name, anomalous = label.name, label.anomalous
        if name in fresh:
            time, first, before = fresh[name]
            fresh[name] = (time, first, anomalous)
        elif (shelf := next((one for one in self._labelled_shelves() if name in one), None)) is not None:
            column = "last" if shelf is self.labels else "anomalous"
            before = bool(shelf.get(name)[column])
            if before != anomalous:
                shelf.set(name, column, anomalous)
        else:
            fresh[name] = (label.time, anomalous, anomalous)
            self.counts.said["first"] += 1
            return
        self.counts.said["repeated" if before == anomalous else "revised"] += 1

    def _joined(self, names: list[str], rows: NDArray[Any], first: NDArray[np.bool_], last: NDArray[np.bool_]) -> None:
        """Rows (n,) of WAITING_ROW and what was said of them: they count, and enter their models' windows."""
        for number in np.unique(rows["model"]).tolist():
            at = np.flatnonzero(rows["model"] == number)
            model = self.models.get(number)
            if model is None:
                self.counts.expired["row", "crowded"] += len(at)
                continue
            found = np.zeros(len(at), LABELLED)
            for column in ("score", "alert"):
                found[column] = rows[column][at]
            found["amount"], found["anomalous"] = shortest(rows["amount"][at]), last[at]
            model.count(found, first[at])
            model.window.add([names[place] for place in at.tolist()], found)
            model.window.take(model.window.oldest(len(model.window) - self.bounds.window))

    def _bound(self) -> None:
        """What waits beyond the bounds goes and is counted."""
        for side, shelf in (("row", self.rows), ("label", self.labels)):
            if names := shelf.oldest(len(shelf) - self.bounds.pending):
                shelf.take(names)
                self.counts.expired[side, "crowded"] += len(names)

    def expire(self) -> None:
        """What has waited too long goes and is counted; up to a STEPS-th of the wait later than it could."""
        if self.clock is None:
            return
        limit = self.clock - self.bounds.wait
        if self._looked is not None and limit - self._looked < self.bounds.wait / STEPS:
            return
        self._looked = limit
        for side, shelf in (("row", self.rows), ("label", self.labels)):
            if names := shelf.below("time", limit):
                shelf.take(names)
                self.counts.expired[side, "late"] += len(names)


def _millionths(amounts: NDArray[np.float64]) -> int:
    """The sum of amounts (n,) above 0."""
    return sum(round(amount * MILLIONTHS) for amount in amounts.tolist() if amount > 0)
