"""What a batch came to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.alerts import Alert
from detector.counts import ByPartition, counted
from detector.detection import Verdicts
from detector.rows import Reject, Rows
from detector.shadow import Tally


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch came to, to be told once it is visible.

    counts: by partition. alerts: ids (k,), alert_times: event times (k,) of the alerting rows, last: by partition that
    of its last row; ms since 1970. shadow: how another model judged the rows, if one did. features: of each alert the
    one that carries most of its score.
    """

    verdicts: Verdicts
    counts: ByPartition
    alerts: Sequence[str]
    alert_times: NDArray[np.int64]
    last: dict[int, int]
    shadow: Tally | None = None
    features: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        rows: Rows,
        verdicts: Verdicts,
        rejects: Sequence[Reject],
        shadow: Tally | None = None,
        alerts: Iterable[Alert] = (),
    ) -> Outcome:
        """Takes what is needed of a batch, so that its messages can go."""
        ends = rows.times([int(at[-1]) for _, at in rows.parts]).tolist()
        last = {partition: time for (partition, _), time in zip(rows.parts, ends, strict=True)}
        told = list(alerts)
        counts, ids = counted(rows, verdicts.alerting, rejects), [alert.id for alert in told]
        features = [alert.reasons[0].feature for alert in told]
        return cls(verdicts, counts, ids, rows.times(verdicts.alerting), last, shadow, features)
