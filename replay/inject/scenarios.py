"""Ready breaks by name, for `--inject NAME`, and what the detector answers to each."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detector.command import columns, ended, told
from detector.errors import UsageError
from replay.inject.spec import Spec, parse


@dataclass(frozen=True, slots=True)
class Scenario:
    """Breaks under one name. about: what they stand for. expect: the detector's answer."""

    about: str
    specs: tuple[str, ...]
    expect: str


SCENARIOS: dict[str, Scenario] = {
    "shifted-feature": Scenario(
        "a change upstream moves a feature",
        ("drift:V14:+1sd:from=50%",),
        "`V14` is `drifting` on the topic `drift`",
    ),
    "wrong-unit": Scenario(
        "amounts come in cents",
        ("scale:Amount:100x:from=50%",),
        "`Amount` is `drifting`; rows of large amounts alert",
    ),
    "lost-field": Scenario(
        "a sender forgets a field now and then",
        ("missing:Amount:20%:from=50%",),
        "where the model's history had gaps `Amount` is `drifting`, else each such row is a dead letter "
        "(`missing_feature`)",
    ),
    "fraud-wave": Scenario(
        "a stolen list of cards is used",
        ("fraud-burst:10x:from=50%:for=10%",),
        "alerts ten times as often, with the same recall",
    ),
    "retries": Scenario(
        "a sender without idempotence tries again",
        ("duplicate:5%",),
        "an alert for each place; `feedback` counts each row once",
    ),
    "bad-network": Scenario(
        "phones that send once they are back",
        ("delay:1%:5m", "reorder:30s"),
        "every row is scored; alerts carry the event time that the row had",
    ),
    "bad-messages": Scenario(
        "a broken serialiser",
        ("corrupt:1%",),
        "a dead letter for each, by reason; the rows around them are scored",
    ),
    "outage": Scenario(
        "a link is down, and then all comes at once",
        ("silence:2m:from=50%",),
        "lag rises when it ends and falls to 0; nothing is lost, rows keep their event time",
    ),
    "rush-hour": Scenario(
        "a sale begins",
        ("burst:20x:from=50%:for=10%",),
        "lag rises while more comes than is scored, and falls to 0",
    ),
}
"""By name. Features are those of card transactions."""


def understood(texts: Iterable[str]) -> tuple[Spec, ...]:
    """The breaks that texts name, scenarios by what they stand for; UsageError where one is wrong, or there twice."""
    found: dict[str, Spec] = {}
    for text in texts:
        for one in SCENARIOS[text].specs if text in SCENARIOS else (text,):
            if one in found:
                raise UsageError(f"setting inject has value {one!r} twice, each once wanted")
            found[one] = parse(one)
    return tuple(found.values())


def main(argv: Sequence[str]) -> int:
    """Lists the ready scenarios for --inject."""
    about = told("Lists the scenarios that `--inject NAME` knows.", with_settings=False)
    parser = argparse.ArgumentParser(prog="python -m replay scenarios", **about)
    parser.parse_args(argv)
    return ended(_list)


def _list() -> int:
    for name, one in SCENARIOS.items():
        lines = [("  injects", " ".join(one.specs)), ("  expect", one.expect.replace("`", ""))]
        print(f"{name}: {one.about}", columns(lines), sep="\n", end="\n\n")
    print("Features are those of card transactions; --inject takes any of these by name, and specs of your own.")
    return 0
