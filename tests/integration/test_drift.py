"""A drift that is told on its topic: once, whatever is aborted, in the words of the figures that a scrape shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from detector.drift import Event, decode
from detector.kafka import Output
from detector.rows import encode_json
from detector.service import Service
from detector.settings import Settings
from tests.integration.conftest import Cards
from tests.integration.line import Topics, await_true, make_topics, positions, read_committed, running, send
from tests.integration.test_abort import Flaky, settings
from tests.integration.test_detector import records

HISTORY = 6_000
"""Rows of the table that the model was trained on."""

ROWS, SHIFTED_FROM = 10_000, 5_000
SMALL = {"drift_rows": 512, "drift_every": 2}


@pytest.fixture
def topics(topics: Topics) -> Topics:
    """Topics with one partition of input: drift is a process', and which rows it saw before others must be sure."""
    return make_topics(topics.bootstrap, partitions=1)


def send_shifted(cards: Cards, topics: Topics) -> None:
    """Rows like those that were held out; from the middle on V4 lies two standard deviations higher.

    The latest fifth of the history was held out, and its rows are not those of the time before.
    """
    normal = cards.frame[cards.frame["Class"] == 0]
    latest = normal["Time"] >= normal.loc[: HISTORY - 1, "Time"].quantile(0.8)
    frame = normal.loc[latest, list(cards.features)].sample(ROWS, replace=True, random_state=0)
    frame["V4"] += np.where(np.arange(ROWS) < SHIFTED_FROM, 0, 2 * frame["V4"].std())
    values = encode_json(records(frame))
    send(topics.bootstrap, topics.input, [(value, i % topics.partitions, []) for i, value in enumerate(values)])


def events_of(topics: Topics) -> list[tuple[str, Event]]:
    """Keys and events that a read_committed consumer sees."""
    found = read_committed(topics.bootstrap, topics.drift)
    return [(message.key().decode(), decode(message.value())) for message in found]


def check(events: Sequence[tuple[str, Event]], topics: Topics) -> None:
    """V4 drifts, and is told once; nothing did before it was shifted."""
    assert [key for key, _ in events] == [event.name for _, event in events]
    assert len({event.id for _, event in events}) == len(events)
    (told,) = [event for key, event in events if key == "V4"]
    assert (told.kind, told.state, told.rows) == ("feature", "drifting", 512)
    assert set(told.above) & {"psi", "ks"}
    assert all(event.source.offset >= SHIFTED_FROM // topics.partitions - 256 for _, event in events)


@pytest.mark.long
def test_aborts_do_not_tell_twice(cards: Cards, topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every third transaction aborted a change of state shows once, though its rows are read again and again."""
    send_shifted(cards, topics)
    real, made = Service._output, list[Flaky]()

    def flaky(service: Service) -> Output:
        made.append(Flaky(real(service)))
        return made[0]

    monkeypatch.setattr(Service, "_output", flaky)
    small = {**SMALL, "max_batch": 400, "max_transaction": 400}
    chosen: Settings = replace(settings(topics, cards.model), **small)  # type: ignore[arg-type]
    Service(chosen).run()
    assert made[0].aborts >= 5
    check(events_of(topics), topics)
    committed, ends = positions(topics)
    assert committed == ends


def test_metrics_show_the_state(cards: Cards, topics: Topics) -> None:
    """A scrape shows the state of V4 and how many changes there were, as the topic does."""
    send_shifted(cards, topics)
    with running(topics, cards.model, "--drift-rows", "512", "--drift-every", "2") as detector:
        await_true(lambda: 'detector_feature_drifting{feature="V4"} 1.0' in detector.scrape(), "V4 drifts")
        await_true(lambda: positions(topics)[0] == positions(topics)[1], "all is committed")
        text = detector.scrape()
    events = events_of(topics)
    check(events, topics)
    drifting = [event for _, event in events if event.state == "drifting"]
    assert f'detector_drift_changes_total{{state="drifting"}} {len(drifting)}.0' in text
    assert "detector_drift_rows 512.0" in text
