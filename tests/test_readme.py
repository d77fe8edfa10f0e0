"""The README does not drift from the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detector.__main__ import COMMANDS
from detector.settings import Settings, TopicSettings
from replay.__main__ import COMMANDS as REPLAY_COMMANDS
from replay.settings import Settings as ReplaySettings
from tests.readme import PAGES, README, filled
from trainer.__main__ import parser

TEXT = README.read_text()
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_are_those_of_the_code(page: Path) -> None:
    """Settings, metrics, reasons, recipes and exit codes stand in the pages as the code has them: `tests.readme`."""
    assert filled(page) == page.read_text(), "run `python -m tests.readme`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of this tree has a file behind it."""
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize(
    "topic", [Settings.input_topic, Settings.alerts_topic, TopicSettings.labels_topic, ReplaySettings.labels_topic]
)
def test_topics_are_documented(topic: str) -> None:
    """Every default topic has a row in the table of topics, the dead letters among them."""
    assert f"| `{topic}` |" in TEXT
    assert f"| `{Settings.input_topic}.dead-letters` |" in TEXT


def test_commands_are_documented() -> None:
    """Every command of the trainer, the detector and the replay is named."""
    actions = next(action for action in parser()._actions if action.choices and action.dest == "command")
    assert actions.choices
    for command in actions.choices:
        assert any(f"trainer {command}" in page.read_text() for page in PAGES), command
    assert all(f"python -m detector {command}" in TEXT for command in COMMANDS)
    assert all(f"python -m replay {command}" in TEXT for command in REPLAY_COMMANDS)


def test_make_targets_exist() -> None:
    """What the README tells a person to make, the Makefile makes; CI calls the README's test command."""
    targets = set(re.findall(r"^([a-z.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert {"demo", "test"} <= told <= targets
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
