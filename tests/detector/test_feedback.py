"""What feedback says of what it counted, what it keeps, and what it refuses to begin with."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from detector.alerts import ModelName
from detector.errors import DataRefused, UsageError
from detector.families import Families
from detector.feedback import state
from detector.feedback.figures import FIGURES, Shown, as_dict, as_fields, as_text
from detector.feedback.join import MODELS, Bounds, Join
from detector.feedback.labels import Unreadable, read
from detector.log import EVENTS
from detector.settings import FeedbackSettings, TopicSettings, load
from tests.detector.test_feedback_join import FAR, WIDE, label, scored

KAFKA = {"bootstrap_servers": "none:1"}


def a_join() -> Join:
    """A model with a row in each cell, rows and labels that wait, and messages that were refused."""
    join = Join(WIDE)
    amounts = [10.0, 20.5, 1.0, 2.0, 3.0]
    join.scored(scored(["a", "b", "c", "d", "e"], [0.9, 0.1, 0.8, 0.2, 0.7], amounts=amounts), FAR)
    join.labelled([label("a"), label("b"), label("c", False), label("d", False), label("x"), label("a", None)])
    join.counts.refused["not_json"] += 2
    join.counts.said["note"] += 3
    return join


def scrape(shown: Shown) -> dict[str, float]:
    """Series and values as Prometheus sees them."""
    text = Families(shown.families).render("")[1].decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_metrics() -> None:
    """Counts, figures, money and what waits are exported, per model."""
    found = scrape(Shown.of(a_join(), {"scores": 3, "labels": 0}))
    model = 'model="cards",sha256="aa",version="1"'
    cells = {
        (one, verdict): found[f'detector_labelled_rows_total{{label="{one}",{_split(verdict)}}}']
        for one, verdict in CELLS
    }
    assert set(cells.values()) == {1.0}
    assert found[f"detector_precision{{{model}}}"] == found[f"detector_recall{{{model}}}"] == 0.5
    assert found[f"detector_auroc{{{model}}}"] == 0.5
    assert found[f"detector_amount_caught_total{{{model}}}"] == 10.0
    assert found[f"detector_amount_missed_total{{{model}}}"] == 20.5
    assert found['detector_feedback_pending{side="row"}'] == found['detector_feedback_pending{side="label"}'] == 1
    assert found['detector_feedback_labels_total{kind="unsure"}'] == 1
    assert found['detector_feedback_labels_total{kind="note"}'] == 3
    assert found['detector_feedback_refused_total{reason="not_json"}'] == 2
    assert found['detector_feedback_lag{topic="scores"}'] == 3


CELLS = [(one, verdict) for one in ("anomalous", "normal") for verdict in ("alert", "normal")]


def _split(verdict: str) -> str:
    return f'model="cards",sha256="aa",verdict="{verdict}",version="1"'


def test_a_flood_of_hostile_names() -> None:
    """Scores of ever other models, of names without end, and labels that are none: so many series, and letters."""
    join = Join(WIDE)
    for number in range(10 * MODELS):
        name = f'"}}\n# HELP {number}\\' + "x" * 100_000
        flood = scored([f"{number}"], model=ModelName(name, name + "v", "s" * 100_000 + str(number)))
        join.scored(flood, FAR)
    join.labelled([label(f"{number}") for number in range(10 * MODELS)])
    for _ in range(100):
        with pytest.raises(Unreadable) as refused:
            read(os.urandom(20), 0)
        join.counts.refused[refused.value.reason] += 1
    text = Families(Shown.of(join, {}).families).render("")[1].decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    of_models = [line for line in lines if "model=" in line]
    assert len({line.rpartition(" ")[0] for line in of_models}) == len(of_models)
    assert len(of_models) == MODELS * (len(CELLS) + len(FIGURES) + 3)
    assert len(lines) - len(of_models) == len(scrape(Shown()))
    assert max(map(len, lines)) < 700


def test_metrics_before_anything() -> None:
    """Closed sets are there with 0 before the first message; a figure that is not defined is NaN."""
    found = scrape(Shown())
    assert found['detector_feedback_expired_total{reason="late",side="row"}'] == 0
    assert found['detector_feedback_refused_total{reason="no_label"}'] == 0
    join = Join(WIDE)
    join.scored(scored(["a"]), FAR)
    figure = scrape(Shown.of(join, {}))['detector_auroc{model="cards",sha256="aa",version="1"}']
    assert figure != figure


def test_what_is_shown_stays() -> None:
    """What was committed is shown until more is: the join goes on beside it."""
    join = a_join()
    shown = Shown.of(join, {})
    before = scrape(shown)
    join.labelled([label("e")])
    join.counts.refused["empty"] += 1
    assert scrape(shown) == before
    assert scrape(Shown.of(join, {})) != before


def test_as_a_table() -> None:
    """A person reads the figures, the four cells, the money, and what waits or was passed over."""
    text = as_text(Shown.of(a_join(), {}))
    for wanted in (
        "the last 4 of 4 labelled rows, 2 anomalous",
        r"AUROC +0\.5000",
        r"precision +0\.5000",
        r"Amount caught +10\.00",
        r"Amount missed +20\.50",
        r"share of Amount caught +0\.3279",
        r"anomalous +1 +1",
        "5 scored rows, 1 wait for a label",
        "6 labels, 1 wait for a row",
        "1 labels unsure",
        "3 notes of what a replay did on purpose",
        "2 messages passed over: a label that is no JSON object",
    ):
        assert re.search(wanted, text), wanted
    assert as_text(Shown()).startswith("no row was scored")


def test_names_cannot_write_to_the_terminal() -> None:
    """A model's name and an amount's are told without what moves a terminal's cursor."""
    join = Join(WIDE)
    one = scored(["a"], amounts=[1.0])
    object.__setattr__(one, "amount", "\x1b[31m")
    join.scored(one, FAR)
    join.labelled([label("a")])
    assert "\x1b" not in as_text(Shown.of(join, {}))


def test_as_json_and_as_a_line() -> None:
    """A program finds the same, and the log has a line of it."""
    shown = Shown.of(a_join(), {})
    found = json.loads(json.dumps(as_dict(shown)))
    assert found["models"][0]["window"]["precision"] == 0.5
    assert found["models"][0]["totals"][1] == {"label": "anomalous", "verdict": "normal", "rows": 1}
    assert (found["amount"], found["waiting"]) == ("Amount", {"row": 1, "label": 1})
    fields = as_fields(shown)
    assert (fields["rows"], fields["labels"], fields["waiting_rows"], fields["precision"]) == (5, 6, 1, "0.5000")
    assert list(fields) == EVENTS["feedback"].fields.split()


def kept(join: Join, group: str = "g") -> dict[bytes, bytes | None]:
    return dict(state.changes(join, {"scores": {0: 4}}, group))


def records(topic: dict[Any, Any], group: str = "g") -> state.Records:
    found = state.Records(group)
    for key, value in topic.items():
        found.take(key, value)
    return found


def test_groups_apart() -> None:
    """A group finds its own records; others', and what is none, are passed over."""
    topic = kept(a_join(), "other") | {b"": b"x", b"\xff": b"", None: b"", b'"g"': b"", b"[]": b""}
    assert records(topic).restored(WIDE, "", "feedback") is None
    found = records(topic, "other").restored(WIDE, "", "feedback")
    assert found is not None
    assert found.positions == {"scores": {0: 4}}


def lost(topic: dict[bytes, bytes | None]) -> None:
    del topic[next(key for key in topic if b"window" in key and b"content" in key)]


def gone(topic: dict[bytes, bytes | None]) -> None:
    for key in [key for key in topic if b"rows" in key]:
        del topic[key]


def newer(topic: dict[bytes, bytes | None]) -> None:
    head = json.loads(topic[b'["g","head"]'] or b"")
    topic[b'["g","head"]'] = json.dumps({**head, "version": 2}).encode()


def torn(topic: dict[bytes, bytes | None]) -> None:
    topic[b'["g","head"]'] = b"{"


@pytest.mark.parametrize("harm", [lost, gone, newer, torn])
def test_a_state_that_is_not_whole(harm: Any) -> None:
    """A state of which something is missing or damaged is refused, naming topic, group and the way out."""
    topic = kept(a_join())
    harm(topic)
    with pytest.raises(DataRefused, match=r"topic 'feedback': what group 'g' kept is not whole: .*--feedback-group"):
        records(topic).restored(WIDE, "", "feedback")


def test_smaller_bounds_after_a_restart() -> None:
    """Bounds are those of the start: what is too much goes with the next message."""
    found = records(kept(a_join())).restored(Bounds(window=1, pending=1, wait=1e15), "", "feedback")
    assert found is not None
    found.join.scored(scored(["n"], [0.9]), FAR)
    found.join.labelled([label("n")])
    assert len(found.join.models[0].window) == 1


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({"scores_topic": "none"}, "three topics wanted"),
        ({"labels_topic": "scores"}, "'scores', 'scores', 'feedback': three topics wanted"),
        ({"json": "x.json"}, "goes with until_end"),
        ({"feedback_window": "0"}, "at least 1 wanted"),
    ],
)
def test_settings_refused(flags: dict[str, str], why: str) -> None:
    """Settings that cannot be meant are refused with what was wanted."""
    with pytest.raises(UsageError, match=why):
        load(FeedbackSettings, KAFKA | flags, "DETECTOR_", {})


def test_a_file_for_detector_and_feedback(tmp_path: Path) -> None:
    """One file serves both: what it says for the detector's group and window is not taken for feedback's own."""
    path = tmp_path / "both.toml"
    path.write_text('scores_topic = "s"\ngroup = "detector"\nwindow = 64\nfeedback_window = 9\n')
    chosen = load(FeedbackSettings, KAFKA | {"config": str(path)}, "DETECTOR_", {"DETECTOR_GROUP": "x"})
    assert (chosen.scores_topic, chosen.feedback_group, chosen.feedback_window) == ("s", "feedback", 9)


def test_topics_to_make() -> None:
    """The topics of scores and of the state are made with the others, unless that is not wanted."""
    assert {"scores", "feedback"} <= set(TopicSettings(bootstrap_servers="none:1").names())
    without = TopicSettings(bootstrap_servers="none:1", scores_topic="none", feedback_topic="none").names()
    assert not {"scores", "feedback", "none"} & set(without)
