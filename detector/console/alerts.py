"""The alerts that the console holds: the last ones, each once, in the order in which they were written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from detector.alerts import Alert


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An alert that is held. written: its record's time, ms since 1970 UTC. sought: what a search looks through."""

    alert: Alert
    written: int
    sought: str

    @classmethod
    def of(cls, alert: Alert, written: int) -> Entry:
        """An alert as it was read."""
        return cls(alert, written, "\n".join(filter(None, (alert.key, alert.row_id, alert.id))).casefold())

    @property
    def name(self) -> str:
        """The row's id, as labels name it: the sender's, else its place."""
        return self.alert.row_id or self.alert.id

    @property
    def ratio(self) -> float:
        """The score in thresholds, by which models of different scales compare; infinite where the threshold is 0."""
        return self.alert.score / self.alert.threshold if self.alert.threshold > 0 else float("inf")


class Alerts:
    """The last `most` alerts. An alert that comes twice, as at-least-once delivery allows, counts once.

    total: alerts that ever came.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[tuple[str, str], Entry] = {}
        self.total = 0

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Entry]:
        """The newest first."""
        return reversed(self._held.values())

    def add(self, entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Takes alerts in, the oldest first; those that are new, and those that had to go."""
        new: list[Entry] = []
        for entry in entries:
            key = _key(entry.alert)
            if key not in self._held:
                self._held[key] = entry
                new.append(entry)
        self.total += len(new)
        gone = [self._held.pop(next(iter(self._held))) for _ in range(len(self._held) - self._most)]
        return new, gone

    def get(self, name: str, model: str = "") -> Entry | None:
        """The alert of this id, of the model with this sha256 where several judged its row; None where none is held."""
        if model:
            return self._held.get((name, model))
        return next((entry for entry in self if entry.alert.id == name), None)

    def of_key(self, key: str, most: int) -> list[Entry]:
        """The last alerts of an entity, the newest first."""
        found = (entry for entry in self if entry.alert.key == key)
        return [entry for entry, _ in zip(found, range(most), strict=False)]

    def since(self, written: int) -> int:
        """How many were written at this time, ms since 1970, or later."""
        count = 0
        for entry in self:
            if entry.written < written:
                break
            count += 1
        return count


def _key(alert: Alert) -> tuple[str, str]:
    return alert.id, alert.model.sha256
