"""What is known while rows flow, without a broker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from deploy.local import scrape, watch
from deploy.local.broker import Broker
from deploy.local.view import Facts
from deploy.local.watch import Pace, Watch
from detector import alerts
from detector.errors import Failure
from detector.http import Endpoint
from detector.rows import Message
from tests.deploy.made import alert
from tests.messages import FakeMessage


class Script:
    """Fits what is needed of detector.kafka.Reader: each take gives what was scripted for it, then nothing."""

    def __init__(self, *takes: list[FakeMessage]) -> None:
        self._takes = list(takes)

    def take(self, most: int, seconds: float) -> Sequence[Message]:
        """The next messages."""
        return self._takes.pop(0) if self._takes else []


class Page:
    """A detector's /metrics that says what the test wants."""

    def __init__(self) -> None:
        self.text = ""
        self._endpoint = Endpoint("127.0.0.1", 0, {"/metrics": lambda accept: (200, self.text.encode(), "text/plain")})
        self.address = self._endpoint.address
        self.close = self._endpoint.close

    def says(self, rows: int, alerted: int) -> None:
        """Rows and alerts from now on."""
        self.text = f"detector_rows_total {rows}.0\ndetector_alerts_total {alerted}.0\n"


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page()
    yield made
    made.close()


def an_alert(row: str) -> FakeMessage:
    return FakeMessage(alerts.encode(alert(row))[0], ("alerts", 0, 0))


def a_label(row: str, label: int) -> FakeMessage:
    return FakeMessage(b'{"row_id":"%s","label":%d,"event_time":"x"}' % (row.encode(), label), ("labels", 0, 0))


def watching(page: Page, *takes: list[FakeMessage], total: int = 3, labelled: bool = True) -> Watch:
    facts = Facts("rows", total, labelled, page.address)
    return Watch(facts, Broker("", "", ""), Script(*takes), started=0.0)


def test_all_is_read_before_the_end(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are through are not the end: their alerts and labels are waited for."""
    monkeypatch.setattr(watch, "TURN_SECONDS", 0.0)
    seen = watching(page, [a_label("1", 1), a_label("2", 0)], [an_alert("1")], [a_label("3", 1)])
    page.says(2, 1)
    seen.turn()
    assert not seen.done()
    page.says(3, 1)
    seen.turn()
    assert not seen.done()
    seen.turn()
    assert seen.done()
    counts = seen.facts.counts
    assert (counts.alerts, counts.labels, counts.frauds, counts.caught) == (1, 3, 2, 1)
    assert seen.first_alert is not None


def test_what_cannot_be_read_is_not_waited_for_without_end(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts that the broker dropped before they were read end the demo a little later, not never."""
    monkeypatch.setattr(watch, "SETTLE_SECONDS", 0.0)
    seen = watching(page, labelled=False)
    page.says(3, 5)
    seen.turn()
    assert seen.done()
    assert seen.facts.figures.alerts > seen.facts.counts.alerts


def test_rows_that_stand_still(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that runs and processes nothing is a failure that is said, not a demo without end."""
    monkeypatch.setattr(watch, "STALLED_SECONDS", 0.0)
    seen = watching(page)
    page.says(1, 0)
    seen.turn()
    seen.turn()
    with pytest.raises(Failure, match="has processed no row for"):
        seen.done()


def test_a_page_that_does_not_answer(page: Page) -> None:
    """What was known is kept: whether the detector is dead, its process tells."""
    seen = watching(page)
    page.says(2, 0)
    seen.turn()
    page.close()
    seen.turn()
    assert seen.facts.figures == scrape.Figures(rows=2)


def test_a_message_without_value_is_passed_over(page: Page) -> None:
    """It says nothing."""
    seen = watching(page, [FakeMessage(None, ("labels", 0, 0)), FakeMessage(None, ("alerts", 0, 0))])
    seen.turn()
    assert seen.facts.counts.alerts == 0


def test_the_rate_is_that_of_late() -> None:
    """The last seconds count, however long it stood still before; a first look tells of no burst."""
    pace = Pace()
    assert pace.rate(0.1, 500) == 500
    rates = [pace.rate(float(second), 500 + 1000 * max(second - 10, 0)) for second in range(1, 21)]
    assert rates[8] == 0
    assert rates[-1] == 1000
