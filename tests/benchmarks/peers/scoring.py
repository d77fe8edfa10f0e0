"""The model that every peer scores with: the detector's own, so that the streaming around it is what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.model import Model

PACKED = "<f4"


class Scorer:
    """Scores rows of an artifact, and writes alerts as JSON.

    folder: the artifact. line: the score above which a row alerts. form: of the rows, "json" or "packed".
    """

    def __init__(self, folder: Path, line: float, form: str) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        self.features: list[str] = manifest["schema"]["features"]
        self.line, self.form = line, form
        self.model = Model((folder / "model.tflite").read_bytes(), len(self.features))
        self.model.warm()
        self.rows = self.alerts = 0

    def read(self, value: bytes) -> Any:
        """A message's value as the library's own deserialiser would leave it: a dict, or bytes if packed."""
        return json.loads(value) if self.form == "json" else value

    def matrix(self, rows: Sequence[Any]) -> NDArray[np.float32]:
        """Rows that were read as a float32 (n, d) matrix."""
        if self.form == "packed":
            return np.frombuffer(b"".join(rows), PACKED).reshape(len(rows), -1)
        return np.array([[row[name] for name in self.features] for row in rows], np.float32)

    def over(self, rows: Sequence[Any]) -> list[tuple[int, float]]:
        """The places of those rows that alert, and their scores."""
        scores = self.model.score(self.matrix(rows))
        self.rows += len(rows)
        found = [(place, float(scores[place])) for place in np.flatnonzero(scores > self.line).tolist()]
        self.alerts += len(found)
        return found

    def alert(self, score: float, topic: str, partition: int, offset: int) -> Mapping[str, Any]:
        """What is published of a row: less than the detector's, which also says why."""
        return {"id": f"{topic}/{partition}/{offset}", "score": score, "threshold": self.line}
