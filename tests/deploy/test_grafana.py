"""The dashboards say what they show, ask for what there is, and are what Grafana reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard, units

from deploy.grafana import __main__ as command
from deploy.grafana.board import STEP, Board, Section
from deploy.grafana.drift import OLD_DAYS
from deploy.grafana.panels import WIDTH
from detector.client_figures import families
from detector.families import Families
from tests.deploy.grafana_schema import faults
from tests.deploy.metric_names import asked, exported, of_registry
from tests.deploy.test_prometheus import ALERTS, passed, promtool
from tests.readme import detector_registry

FOLDER = Path(command.__file__).parent
NAMES = ("detector", "drift", "fraud")
UNSHOWN = {
    "process_virtual_memory_bytes": "addresses, most of which are never used: it is resident memory that runs out"
}
"""Metrics that no panel shows, and why not."""

UNITS = {unit for name, unit in vars(units).items() if isinstance(unit, str) and not name.startswith("_")}
GIVEN = {"__rate_interval", "__range", "__interval", "datasource", "1"}
"""What Grafana fills in by itself; $1 is label_replace's, and stays as it is."""

Json = dict[str, Any]


def read(name: str) -> Json:
    """A committed dashboard."""
    found: Json = json.loads((FOLDER / "dashboards" / f"{name}.json").read_text())
    return found


def panels(board: Json) -> Iterator[Json]:
    """All of them but the rows, also those that are folded away."""
    for one in board["panels"]:
        yield from one.get("panels", []) if one["type"] == "row" else [one]


def events(board: Json) -> list[Json]:
    """What is drawn across its panels."""
    found: list[Json] = board["annotations"]["list"]
    return found


def of_all(key: str) -> list[Json]:
    """The panels of all dashboards that have a key in what holds for their fields."""
    return [one for name in NAMES for one in panels(read(name)) if key in one["fieldConfig"]["defaults"]]


def exprs(board: Json) -> list[str]:
    """All PromQL, of panels, annotations and variables."""
    found = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    found += [one["expr"] for one in events(board)]
    return found + [one["query"] for one in board["templating"]["list"] if one["type"] == "query"]


ALL = [pytest.param(panel, id=f"{name}: {panel['title']}") for name in NAMES for panel in panels(read(name))]


def test_committed_as_written() -> None:
    """The files are what the code writes, and there are no others."""
    found = {path.name: path.read_text() for path in (FOLDER / "dashboards").iterdir()}
    assert found == command.written(), "run `python -m deploy.grafana`"
    assert sorted(found) == [f"{name}.json" for name in NAMES]


def test_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes every file, and says which."""
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    command.main()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == command.written()
    assert sorted(capsys.readouterr().out.split()[1::2]) == [f"{name}.json" for name in NAMES]


@pytest.mark.parametrize("panel", ALL)
def test_each_panel_tells(panel: Json) -> None:
    """A panel has a title, a sentence, a unit that Grafana knows, words for no data, and queries."""
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert re.fullmatch(r"[A-Z`].{15,}\.", panel["description"])
    assert defaults["unit"] in UNITS
    assert len(defaults["noValue"]) > 10
    names = [target["refId"] for target in panel["targets"]]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("panel", ALL)
def test_series_can_be_told_apart(panel: Json) -> None:
    """Where a panel has several series each has a name; a label in it is one that the query keeps."""
    legends = [target["legendFormat"] for target in panel["targets"]]
    if panel["type"] in ("table", "stat"):
        return
    assert all(legends)
    assert len(set(legends)) == len(legends)
    for target in panel["targets"]:
        kept = {name for found in re.findall(r"by \(([^)]*)\)", target["expr"]) for name in found.split(", ")}
        made = set(re.findall(r'label_replace\(.*?, "(\w+)", ', target["expr"]))
        if kept:
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept | made


@pytest.mark.parametrize("name", NAMES)
def test_metrics_exist(name: str) -> None:
    """No query asks for a metric that is not exported."""
    assert {one for expr in exprs(read(name)) for one in asked(expr)} <= exported().keys()


def test_metrics_are_shown() -> None:
    """Every metric that is exported is in a panel, or with its reason in the list of those that are not."""
    series = exported()
    shown = {
        series[one]
        for name in NAMES
        for panel in panels(read(name))
        for target in panel["targets"]
        for one in asked(target["expr"])
    }
    assert set(series.values()) - shown == UNSHOWN.keys()


@pytest.mark.parametrize("name", NAMES)
def test_of_the_chosen_detectors(name: str) -> None:
    """Whatever a detector exports is asked of the chosen ones alone."""
    of_detectors = of_registry(detector_registry()) | of_registry(Families(lambda: families({})).registry)
    for panel in panels(read(name)):
        for target in panel["targets"]:
            for metric in asked(target["expr"]) & of_detectors.keys():
                selectors = re.findall(rf"\b{metric}\b({{[^}}]*}})?", target["expr"])
                assert all('instance=~"$instance"' in one for one in selectors), (panel["title"], metric)


def test_what_moves_counts_once() -> None:
    """Alerts of a partition that goes to another member and comes back are counted by the group, not by each member."""
    (panel,) = (one for one in panels(read("fraud")) if one["title"] == "Alerts" and one["type"] == "stat")
    expr = panel["targets"][0]["expr"]
    for name, value in {"$instance": "a|b", "$__range": "40m", "$__interval": "1m"}.items():
        expr = expr.replace(name, value)
    series = {
        'instance="a", partition="0"': "0+60x10 stale _x9 1260+60x19",
        'instance="b", partition="0"': "_x11 660+60x9 stale",
        'instance="b", partition="1"': "1000+30x40",
    }
    story = {
        "interval": "1m",
        "input_series": [
            {"series": f'detector_alerts_total{{job="detector", {labels}}}', "values": values}
            for labels, values in series.items()
        ],
        "promql_expr_test": [{"expr": expr, "eval_time": "40m", "exp_samples": [{"labels": "{}", "value": 3600}]}],
    }
    passed(
        promtool("test", "rules", "/dev/stdin", given=yaml.safe_dump({"evaluation_interval": "1m", "tests": [story]}))
    )


def test_lines_are_those_of_the_rules() -> None:
    """Where a panel turns red, or has its line, is where the rules tell."""
    limits = {panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"] for panel in of_all("thresholds")}
    assert f"> {OLD_DAYS} * 86400" in ALERTS["ModelOld"]["expr"]
    assert limits["Age of the model"][-1]["value"] == OLD_DAYS * 86400
    assert f"> {limits['Dead letters'][-1]['value']:g}" in ALERTS["DeadLetters"]["expr"]
    assert f"> {limits['Lag in time'][1]['value']:g} " in ALERTS["DetectorLagging"]["expr"]


@pytest.mark.parametrize("name", NAMES)
def test_variables(name: str) -> None:
    """Topic, group, model and instance can be chosen; every variable that a query has is one, and every one is used."""
    board = read(name)
    known = {one["name"] for one in board["templating"]["list"]}
    used = {one for expr in exprs(board) for one in re.findall(r"\$\{?(\w+)", expr)}
    assert {"topic", "group", "model", "instance"} <= known
    assert used - GIVEN <= known
    assert known - used <= {"datasource"}


@pytest.mark.parametrize("name", NAMES)
def test_events(name: str) -> None:
    """Changes of the model and drift are drawn across every dashboard, looked for as finely as they are compared."""
    found = {one["name"]: one for one in read(name)["annotations"]["list"]}
    assert found.keys() == {"Models", "Drift"}
    for one in found.values():
        assert one["step"] == STEP
        assert f"offset {STEP}" in one["expr"]
        assert "{{" in one["titleFormat"]


@pytest.mark.parametrize("name", NAMES)
def test_one_data_source(name: str) -> None:
    """Every query goes to the Prometheus that was chosen: no dashboard names anybody's."""
    board = read(name)
    sources = [one["datasource"] for panel in panels(board) for one in (panel, *panel["targets"])]
    sources += [one["datasource"] for one in (*board["annotations"]["list"], *board["templating"]["list"][1:])]
    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in sources)


@pytest.mark.parametrize("name", NAMES)
def test_grid(name: str) -> None:
    """Panels fill the grid's width line by line, all of a line as high, and do not overlap; each has its own number."""
    board = read(name)
    for outer in [board["panels"], *(one["panels"] for one in board["panels"] if one["type"] == "row")]:
        bottom = 0
        for y, line in groupby(outer, lambda one: one["gridPos"]["y"]):
            places = [one["gridPos"] for one in line]
            starts = [sum(one["w"] for one in places[:i]) for i in range(len(places))]
            assert [one["x"] for one in places] == starts
            assert sum(one["w"] for one in places) == WIDTH
            assert y >= bottom
            assert len({one["h"] for one in places}) == 1
            bottom = y + places[0]["h"]
    rows = [one for one in board["panels"] if one["type"] == "row"]
    numbers = [one["id"] for one in (*rows, *panels(board))]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_schema(name: str) -> None:
    """Every key is one that Grafana's schema knows at its place, its value of the type that it has there."""
    assert faults(read(name)) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("titel",), "x"),
        (("refresh",), 30),
        (("graphTooltip",), 7),
        (("panels", 1, "gridPos", "w"), "wide"),
        (("panels", 1, "options", "graphMode"), "pie"),
        (("panels", 1, "targets", 0, "expression"), "up"),
        (("panels", 8, "fieldConfig", "defaults", "custom", "lineWidth"), "thin"),
        (("annotations", "list", 0, "colour"), "red"),
    ],
)
def test_schema_refuses(place: tuple[str | int, ...], value: object) -> None:
    """A key that Grafana does not know, or a value of another type, is found at its place, and nothing else is."""
    board = read("detector")
    inner: Any = board
    for one in place[:-1]:
        inner = inner[one]
    inner[place[-1]] = value
    (fault,) = faults(board)
    assert fault.startswith(".".join(map(str, ("dashboard", *place))))


@pytest.mark.parametrize("name", NAMES)
def test_read_back(name: str) -> None:
    """Grafana's own classes read a dashboard and write it as it was, but for what is Prometheus' own in annotations."""
    register_default_plugins()
    board = read(name)
    again = json.loads(json.dumps(dashboard.Dashboard.from_json(read(name)), cls=JSONEncoder))
    for one in board["annotations"]["list"]:
        for own in ("step", "titleFormat", "textFormat", "tagKeys"):
            del one[own]
    for panel in panels(again):
        defaults = panel["fieldConfig"]["defaults"]
        if defaults.get("custom") == {}:  # the reader makes an empty one where there was none
            del defaults["custom"]
    assert again == board


def test_sections_without_panels() -> None:
    """A section that has no panels is left out."""
    built = Board("x", "X", "Nothing.", 1, [Section("empty", [])]).build()
    assert not built.panels


def test_provisioning() -> None:
    """Grafana finds one Prometheus, and the dashboards in a folder where they cannot be changed unseen."""
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    scraped = [yaml.safe_load(path.read_text()) for path in FOLDER.parent.glob("*/prometheus.yml")]
    assert {one["global"]["scrape_interval"] for one in scraped} == {source["jsonData"]["timeInterval"]}
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/dashboards.yaml").read_text())["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    assert provider["options"]["path"] in (FOLDER / "README.md").read_text()
