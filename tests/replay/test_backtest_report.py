"""A backtest's report: what each part says, and the page in a browser: whole, silent, alone, readable on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from detector.page.content import Section
from replay.backtest import report, sections
from replay.backtest.run import Result
from replay.backtest.totals import text, totals
from tests.browser import chromium, opened
from tests.replay.tried import outcome_of, result_of, subject_of

SCRIPT = "<script>top.hacked=1</script><img src=https://example.org/x.png onerror=top.hacked=1>"
LONG = "a_name_without_end" * 20


def one() -> Result:
    return result_of(outcome_of(subject_of()))


def two() -> Result:
    """The second one catches less and knows no money."""
    return result_of(outcome_of(subject_of("cards")), outcome_of(subject_of("other", amount=""), seed=1))


def bare(**given: bool) -> Result:
    return result_of(outcome_of(subject_of(), changes=False, **given), **given)


def by_anchor(result: Result) -> dict[str, Section]:
    return {part.anchor: part for part in sections.compose(result)}


def test_all_parts_are_there() -> None:
    """Alerts, right and wrong, money, drift, latency, the worst alerts: in this order, each with something to see."""
    found = sections.compose(one())
    assert [part.anchor for part in found] == ["alerts", "quality", "money", "drift", "latency", "worst"]
    assert all(part.pictures or part.tables for part in found)


def test_two_models_stand_side_by_side() -> None:
    """Each part speaks of both models, totals have a column for each, and a picture's lines are told apart."""
    result = two()
    parts = by_anchor(result)
    for anchor in ("alerts", "quality", "drift", "latency"):
        alt = parts[anchor].pictures[0].alt
        assert "cards version 1" in alt, anchor
        assert "other version 1" in alt, anchor
    assert [table.caption.rpartition(": ")[2] for table in parts["worst"].tables] == [
        "cards version 1",
        "other version 1",
    ]
    assert len(parts["money"].pictures) == 1
    assert {len(line) for line in totals(result)} == {3}
    assert len(parts["quality"].tables[0].columns) == 9


def test_totals_are_the_measures() -> None:
    """The totals of the page and of the terminal are those of `detector feedback`, digit for digit."""
    result = one()
    (found,) = result.outcomes
    cells = {name.strip(): value for name, value in totals(result)}
    assert cells["precision"] == f"{found.measures.precision:.4f}"
    assert cells["average precision"] == f"{found.measures.average_precision:.4f}"
    assert cells["caught"] == f"{found.measures.caught:,.2f}"
    assert cells["alerts"] == f"{int(found.rows['alert'].sum()):,}"
    assert cells["not_a_number"] == "3"
    said = text(result)
    assert f"{cells['precision']}" in said
    assert "10,003 rows played = rows scored + dead letters" in said


def test_without_labels() -> None:
    """What needs labels says that there are none; alerts, drift and latency are there."""
    result = bare(labelled=False)
    parts = by_anchor(result)
    assert parts["quality"].texts == parts["money"].texts == (sections.NO_LABELS,)
    assert parts["alerts"].pictures
    assert parts["latency"].pictures
    assert {row[3] for row in parts["worst"].tables[0].rows} == {"-"}
    assert "precision" not in {line[0]: line for line in totals(result)}
    assert "no labels" in text(result)


def test_without_alerts() -> None:
    """A model that never alerts has no precision, no latency and no worst alert, and the page says so."""
    result = bare(alerting=False)
    parts = by_anchor(result)
    assert "There was no alert." in parts["latency"].texts
    assert any("no alert" in line for line in parts["worst"].texts)
    assert {line[0]: line[1] for line in totals(result)}["precision"] == "undefined"
    assert "not known" in parts["quality"].pictures[0].alt


def test_without_times() -> None:
    """Rows without event times have windows in the order of play, and no alerts a day."""
    result = bare(timed=False)
    assert sections.NO_TIMES in by_anchor(result)["alerts"].texts
    assert {line[0]: line[1] for line in totals(result)}["alerts a day"].startswith("not known")
    assert report.facts(result)["Event time"] == "no event times"


def test_drift_that_nobody_measured() -> None:
    """Where features were not looked at and the detector told nothing, that is said."""
    texts = by_anchor(bare(moved=False))["drift"].texts
    assert any("was not measured" in line for line in texts)
    assert any("told of no drift" in line for line in texts)


def test_latency_says_what_it_is() -> None:
    """Flat out, latency is how far behind the detector was: the page says so, with the median."""
    result = one()
    texts = by_anchor(result)["latency"].texts
    assert texts[0] == sections.FLAT_OUT
    assert f"{np.median(result.outcomes[0].latencies):.3g} s" in texts[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of one model and of two, the second with names that are markup and very long."""
    folder = tmp_path_factory.mktemp("pages")
    odd = subject_of(SCRIPT, features=(LONG, "Amount"))
    found = {
        "one": one(),
        "two": result_of(outcome_of(odd, text=SCRIPT + LONG), outcome_of(subject_of(LONG), seed=1), data=SCRIPT + LONG),
        "bare": bare(labelled=False, alerting=False, timed=False),
    }
    for name, result in found.items():
        report.write(folder / f"{name}.html", report.html(result))
    return {name: folder / f"{name}.html" for name in found}


@pytest.mark.parametrize("name", ["one", "two", "bare"])
@pytest.mark.parametrize("width", [1280, 375])
def test_the_page_in_a_browser(name: str, width: int, browser: Browser, pages: dict[str, Path]) -> None:
    """Every picture is there, the console silent, the network unasked, and nothing runs off the side."""
    with opened(browser, pages[name], width, "dark" if width == 375 else "light") as seen:
        tab = seen.page
        assert tab.title().startswith("Backtest of ")
        pictures = tab.evaluate("[...document.images].map(one => [one.complete, one.naturalWidth, one.alt.length])")
        assert len(pictures) == {"one": 6, "two": 7, "bare": 2}[name]
        assert all(complete and wide > 0 and told > 20 for complete, wide, told in pictures)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("window.hacked === undefined")
        assert seen.said == []
        assert [one for one in seen.asked if not one.startswith("data:image/png;")] == [pages[name].resolve().as_uri()]
