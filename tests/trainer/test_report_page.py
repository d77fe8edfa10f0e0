"""The report's page in a browser: whole, silent, alone, and readable on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser

from detector.artifact import Artifact
from tests.browser import chromium, opened
from trainer.datasets import Data
from trainer.report import folder, page, sections
from trainer.report.evidence import Said, of_artifact, of_data

SCRIPT = "<script>top.hacked=1</script><img src=https://example.org/x.png onerror=top.hacked=1>"
LONG = "a_name_without_end" * 20


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def report(cards_artifact: Artifact, unseen_cards: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all there is, of rows whose names and keys are markup and very long."""
    names = {"V1": SCRIPT, "V2": LONG}
    frame = unseen_cards.head(150).rename(columns=names).assign(who=SCRIPT + LONG)
    features = tuple(names.get(one, one) for one in cards_artifact.schema.features)
    found = replace(cards_artifact, schema=replace(cards_artifact.schema, features=features, key="who"))
    evidence = of_data(found, found.threshold, Data(SCRIPT, frame), Said())
    parts = sections.compose(evidence, lambda name: None)
    out = tmp_path_factory.mktemp("page") / "report"
    folder.write(out, page.render(evidence, parts), [picture for part in parts for picture in part.pictures])
    return out / folder.PAGE


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(width: int, scheme: str, browser: Browser, report: Path) -> None:
    """Every picture is there, the console silent, the network unasked, and nothing runs off the side."""
    with opened(browser, report, width, "dark" if scheme == "dark" else "light") as seen:
        tab = seen.page
        assert tab.title() == "simulated-cards version 1: report"
        pictures = tab.evaluate("[...document.images].map(one => [one.complete, one.naturalWidth, one.alt.length])")
        assert len(pictures) == 17
        assert all(complete and wide > 0 and told > 20 for complete, wide, told in pictures)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("window.hacked === undefined")
        assert seen.said == []
        assert [one for one in seen.asked if not one.startswith("data:image/png;")] == [report.resolve().as_uri()]


def test_dark_and_light(browser: Browser, report: Path) -> None:
    """The page follows the person's wish for dark or light."""
    papers = []
    for scheme in ("light", "dark"):
        with opened(browser, report, scheme="dark" if scheme == "dark" else "light") as seen:
            papers.append(seen.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers == ["rgb(255, 255, 255)", "rgb(22, 24, 27)"]


def test_contents_lead_to_the_sections(browser: Browser, report: Path) -> None:
    """A click in the contents brings its section into view."""
    with opened(browser, report) as seen:
        seen.page.get_by_role("link", name="Pairs of features").click()
        assert seen.page.evaluate("location.hash") == "#pairs"
        top = seen.page.evaluate("document.getElementById('pairs').getBoundingClientRect().top")
        assert -1 < top < 800


def test_without_data_in_a_browser(browser: Browser, cards_artifact: Artifact, tmp_path: Path) -> None:
    """The page of an artifact alone is whole too."""
    evidence = of_artifact(cards_artifact, cards_artifact.threshold)
    parts = sections.compose(evidence, lambda name: None)
    folder.write(tmp_path / "report", page.render(evidence, parts), [])
    with opened(browser, tmp_path / "report" / folder.PAGE, 375) as seen:
        assert seen.page.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
        assert seen.page.get_by_text("this needs DATA").count() >= 6
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 375
        assert seen.said == []
