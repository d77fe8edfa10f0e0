"""The pages do not drift from the code, nor from each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.grafana import __main__ as dashboards
from detector.__main__ import COMMANDS
from detector.topics import TOPICS
from replay.__main__ import COMMANDS as REPLAY_COMMANDS
from tests import told
from tests.readme import FOLDERS, PAGES, README, ROOT, blocks, filled
from trainer.__main__ import COMMANDS as TRAINER_COMMANDS

BY_HAND = {"demo", "simulation"}
"""Blocks between markers that are not made here: what was seen, and what deploy.kubernetes.sizing writes."""

FOREIGN = {"--volumes"}
"""Flags of programs that are not ours."""

METRICS = ROOT / "detector" / "metrics.md"

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def test_pages_are_found() -> None:
    """The tests below look at something: pages of every package, and tables of most of them."""
    assert {page.relative_to(ROOT).parts[0] for page in PAGES} == {*FOLDERS, "README.md", "CHANGELOG.md"}
    assert set(blocks()) <= set(PAGES)


@every_page
def test_tables_are_those_of_the_code(page: Path) -> None:
    """Settings, metrics, topics, reasons, recipes and exit codes stand in the pages as the code has them."""
    assert filled(page) == page.read_text(), "run `python -m tests.readme`"


@every_page
def test_marked_blocks_are_made(page: Path) -> None:
    """Nothing that is marked as made from the code is made by nobody."""
    marked = set(re.findall(r"<!-- ([\w-]+) -->", page.read_text()))
    assert marked - BY_HAND == set(blocks().get(page, {}))


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them; a heading that comes again has a number."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", told.prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        again = (f"{slug}-{number}" for number in range(1, 100))
        found.add(slug if slug not in found else next(one for one in again if one not in found))
    return found


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The file or folder, and the anchor, of every link of a page within the tree."""
    for link in re.findall(r"\]\(\s*<?((?!https?:|mailto:)[^)\s>]+)", told.prose(page)):
        path, _, anchor = link.partition("#")
        yield (page.parent / path).resolve() if path else page, anchor


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of this tree has a file behind it, and one to a heading a heading."""
    for target, anchor in links(page):
        assert target.exists(), target
        assert not anchor or anchor in slugs(target), (target, anchor)


def test_anchors_are_github_s() -> None:
    """Headings become anchors as GitHub makes them: lower case, hyphens for spaces, nothing else."""
    assert {"how-far-behind-simulated", "one-member-measured"} <= slugs(ROOT / "deploy" / "kubernetes" / "sizing.md")
    assert "goals-and-what-stands-in-their-way" in slugs(ROOT / "tests" / "benchmarks" / "detection" / "README.md")


def test_every_page_is_reached() -> None:
    """From the README, links lead to every page; a link to a folder leads to the pages in it."""
    reached, ahead = {README}, [README]
    while ahead:
        for target, _ in links(ahead.pop()):
            pages = set(target.glob("*.md") if target.is_dir() else [target]) & set(PAGES) - reached
            reached |= pages
            ahead += pages
    assert set(PAGES) == reached


@every_page
def test_commands_are_taken(page: Path) -> None:
    """Every command of a page's blocks is one that its program's own parser takes."""
    for block in told.blocks(page, "sh", ""):
        for words in told.commands(block):
            told.take(words)


@every_page
def test_what_is_spoken_of_exists(page: Path) -> None:
    """Programs, commands and flags that a page names in its text are there."""
    ours = told.all_flags()
    if page.is_relative_to(ROOT / "tests"):
        ours |= {flag for name in ("line", "detection", "faults") for flag in benchmark_flags(name)}
    for span in told.spans(page):
        words = span.replace("[", "").replace("]", "").split()
        if words[:2] == ["python", "-m"]:
            told.named(words[2], words[3:])
        elif not span.startswith(("docker ", "openssl ")):
            assert set(told.FLAG.findall(span)) <= ours | FOREIGN, span


def benchmark_flags(name: str) -> set[str]:
    """The flags of a benchmark, as it tells them itself."""
    return set(told.FLAG.findall(told.helped(f"tests.benchmarks.{name}")))


@every_page
def test_metrics_spoken_of_exist(page: Path) -> None:
    """A metric that a page names stands in the tables of metrics, which are made from the code."""
    there = set(re.findall(r"^\| `(\w+)` \|", METRICS.read_text(), re.MULTILINE))
    assert len(there) > 50
    for span in told.spans(page):
        if ":" not in span:
            for name in re.findall(r"\b(?:detector|replay|kafka)_[a-z0-9_]+", span):
                assert {name, re.sub(r"_(sum|count|bucket)$", "", name)} & there, span


def test_blocks_that_claim_to_run_are_run() -> None:
    """`sh` says that a test runs the block as it stands: no page has one that none of these tests looks at."""
    assert {page for page in PAGES if told.blocks(page, "sh")} == set(told.RUN)


def test_dashboards_are_written_by_their_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one command of the dashboards' page writes the files that are in the tree."""
    [block] = told.blocks(ROOT / "deploy" / "grafana" / "README.md", "sh")
    assert block == "python -m deploy.grafana\n"
    there = {path.name: path.read_text() for path in dashboards.FOLDER.glob("*.json")}
    monkeypatch.setattr(dashboards, "FOLDER", tmp_path)
    dashboards.main()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == there


def test_every_topic_is_told_of() -> None:
    """Every topic that a flag of `create-topics` names stands in the table of topics."""
    named = {flag for flag in told.flags("detector create-topics") if flag.endswith("-topic")}
    assert named == {f"--{setting.replace('_', '-')}" for setting in TOPICS}


def test_commands_are_documented() -> None:
    """Every command of the trainer, the detector and the replay is shown on a page."""
    text = "\n".join(page.read_text() for page in PAGES)
    for program, commands in (("trainer", TRAINER_COMMANDS), ("detector", COMMANDS), ("replay", REPLAY_COMMANDS)):
        assert all(f"python -m {program} {command}" in text for command in commands)


def test_make_targets_exist() -> None:
    """What the pages tell a person to make, the Makefile makes; CI calls the README's test command."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z.-]+):", makefile, re.MULTILINE))
    asked = [
        found for page in PAGES for found in re.findall(r"(?:^|`)make ([a-z-]+)((?: [A-Z]+=)?)", page.read_text(), re.M)
    ]
    assert {"demo", "test"} <= {target for target, _ in asked} <= targets
    assert {name.strip() for _, name in asked} - {""} <= {
        f"{name}=" for name in re.findall(r"^([A-Z]+) \?=", makefile, re.M)
    }
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def test_the_readme_is_short() -> None:
    """The README is for the first ten minutes; what is longer has a page of its own."""
    assert len(README.read_text().splitlines()) <= 250
