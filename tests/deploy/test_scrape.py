"""The detector's pages, read from outside."""

from __future__ import annotations

import math

from deploy.local.scrape import Figures, Partition, figures, get, samples
from detector.http import Endpoint, plain


def test_samples() -> None:
    """Names, labels with escapes, numbers in every spelling and time stamps are read; all else is passed over."""
    text = (
        "# HELP a_total what it is\n# TYPE a_total counter\na_total 3.0\n\n"
        'b{x="1",why="a \\"b\\", c"} 2.5e-3 1700000000\nc NaN\nd{} +Inf\nno sample at all\n'
    )
    found = list(samples(text))
    assert found[:2] == [("a_total", {}, 3.0), ("b", {"x": "1", "why": 'a \\"b\\", c'}, 0.0025)]
    assert math.isnan(found[2][2])
    assert found[3] == ("d", {}, math.inf)
    assert len(found) == 4


PAGE = """\
# HELP detector_score_median Median score of the partition's window.
# TYPE detector_score_median gauge
detector_score_median{partition="10"} 0.5
detector_score_median{partition="2"} 0.0625
# TYPE detector_score_mad gauge
detector_score_mad{partition="10"} 0.25
detector_score_mad{partition="2"} 0.03125
detector_threshold{partition="2"} 2.0
detector_threshold{partition="3"} 2.0
detector_threshold{partition="10"} 2.0
detector_rows_total 60000.0
detector_rows_created 1.7e+09
detector_alerts_total 171.0
detector_rejects_total{reason="not_json"} 2.0
detector_rejects_total{reason="not_finite"} 5.0
"""


def test_figures() -> None:
    """Reasons add up, partitions come in order, and one without a median yet has none."""
    found = figures(PAGE)
    assert (found.rows, found.alerts, found.dead_letters, found.processed) == (60_000, 171, 7, 60_007)
    assert list(found.partitions.items()) == [
        (2, Partition(0.0625, 0.03125, 2.0)),
        (3, Partition(None, None, 2.0)),
        (10, Partition(0.5, 0.25, 2.0)),
    ]
    assert figures("") == Figures()


def test_get() -> None:
    """A page is its body where it answers 200; else, and where nobody answers, nothing."""
    routes = {
        "/yes": lambda accept: plain(True, "here"),
        "/no": lambda accept: plain(False, "not yet"),
    }
    endpoint = Endpoint("127.0.0.1", 0, routes)
    try:
        assert get(endpoint.address, "/yes") == "here\n"
        assert get(endpoint.address, "/no") is None
        assert get(endpoint.address, "/other") is None
    finally:
        endpoint.close()
    assert get(endpoint.address, "/yes") is None
