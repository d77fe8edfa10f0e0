"""The rules of Prometheus: valid, each alert fired and left quiet by a test of promtool, each in the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.metric_names import RECORDED, asked, exported
from tests.prometheus import IMAGE

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOK = ROOT / "deploy" / "runbook.md"
NO_PROMTOOL = (
    f"The rules are checked by promtool: on the path, or in the image {IMAGE} of a Docker engine; found neither."
)
FILES = ("rules/recording.yml", "rules/alerts.yml")


def rules(kind: str) -> list[dict[str, Any]]:
    """All rules of a kind, record or alert."""
    groups = [group for file in FILES for group in yaml.safe_load((PROMETHEUS / file).read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


ALERTS = {rule["alert"]: rule for rule in rules("alert")}


def promtool(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Runs it in deploy/prometheus. given: its standard input."""
    if shutil.which("promtool"):
        command, place = ["promtool"], str(PROMETHEUS)
    elif shutil.which("docker"):
        mount = ["-v", f"{PROMETHEUS}:/rules:ro", "-w", "/rules", "--network", "none"]
        command, place = ["docker", "run", "--rm", "-i", *mount, "--entrypoint", "promtool", IMAGE], str(ROOT)
    else:
        pytest.fail(NO_PROMTOOL)
    return subprocess.run([*command, *arguments], input=given, capture_output=True, text=True, cwd=place, timeout=120)


def passed(done: subprocess.CompletedProcess[str]) -> str:
    """What a run said that found nothing wrong."""
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_rules_are_valid() -> None:
    """promtool finds nothing wrong with the rules and the example configuration."""
    said = passed(promtool("check", "rules", *FILES))
    assert f"{len(ALERTS)} rules found" in said
    assert "valid" in passed(promtool("check", "config", "prometheus.yml"))


@pytest.mark.parametrize("file", sorted(path.name for path in (PROMETHEUS / "tests").iterdir()))
def test_rules_do_as_they_say(file: str) -> None:
    """promtool's own tests of the rules pass."""
    assert "SUCCESS" in passed(promtool("test", "rules", f"tests/{file}"))


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "tests" / "alerts_test.yml").read_text())["tests"]
    return found


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_tested_both_ways(alert: str) -> None:
    """There is a case in which it fires, and says so, and one in which it is quiet, as is every other alert."""
    firing = [one for one in cases() if one["name"].startswith(f"{alert} fires")]
    quiet = [one for one in cases() if one["name"].startswith(f"{alert} is quiet")]
    assert firing
    assert quiet
    for one in firing:
        (expected,) = one["promql_expr_test"][0]["exp_samples"]
        assert f'alertname="{alert}"' in expected["labels"]
    for one in quiet:
        assert one["promql_expr_test"][0]["exp_samples"] == []


def test_a_test_that_is_wrong_fails() -> None:
    """promtool's tests can fail: a case that expects no alert where one fires is told."""
    wrong = promtool("test", "rules", "/dev/stdin", given=_wrong())
    assert wrong.returncode == 1
    assert "DetectorAbsent" in wrong.stdout + wrong.stderr


def _wrong() -> str:
    one = {"interval": "1m", "input_series": [], "promql_expr_test": [{**_ABSENT, "exp_samples": []}]}
    rules = [str(Path("/rules" if not shutil.which("promtool") else PROMETHEUS) / file) for file in FILES]
    return str(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": [one]}))


_ABSENT = {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "6m"}


def test_the_runbook_has_every_alert_and_no_other() -> None:
    """Each alert has a heading in the runbook, which its link leads to, and each heading is an alert's."""
    assert re.findall(r"^## (.+)$", RUNBOOK.read_text(), re.MULTILINE) == list(ALERTS)
    for name, rule in ALERTS.items():
        link = f"{{{{ $externalLabels.repository }}}}deploy/runbook.md#{name.lower()}"
        assert rule["annotations"]["runbook_url"] == link


def test_the_runbooks_links_lead_somewhere() -> None:
    """A link inside the runbook leads to one of its headings, one out of it to a file."""
    for link in re.findall(r"\]\(([^)]+)\)", RUNBOOK.read_text()):
        file, _, heading = link.partition("#")
        if file:
            assert (RUNBOOK.parent / file).exists(), link
        else:
            assert heading in {name.lower() for name in ALERTS}, link


@pytest.mark.parametrize("alert", ALERTS)
def test_alerts_say_what_to_do_and_to_whom(alert: str) -> None:
    """A summary, what to look at, whose it is and whether it wakes them; and the routes know who that is."""
    rule = ALERTS[alert]
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert "Look at" in rule["annotations"]["description"]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["labels"]["owner"] in ("platform", "fraud", "model")


def test_routes_lead_to_receivers() -> None:
    """Every route of the Alertmanager's example has a receiver, every receiver a route, and inhibitions name alerts."""
    example = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    routes = [example["route"], *example["route"]["routes"]]
    receivers = [one["name"] for one in example["receivers"]]
    assert {route["receiver"] for route in routes} == set(receivers)
    assert len(receivers) == len(set(receivers))
    named = [
        one
        for rule in example["inhibit_rules"]
        for part in ("source_matchers", "target_matchers")
        for one in rule[part]
    ]
    assert {name for one in named for name in re.findall(r"[A-Z][A-Za-z]+", one)} <= set(ALERTS)


def test_rules_ask_for_metrics_that_exist() -> None:
    """Every metric that a rule asks for is exported, and every recorded name is recorded."""
    there, recorded = exported().keys(), {rule["record"] for rule in rules("record")}
    for rule in (*rules("record"), *ALERTS.values()):
        assert asked(rule["expr"]) <= there, rule
        assert set(RECORDED.findall(rule["expr"])) <= recorded, rule
    assert {name for rule in ALERTS.values() for name in asked(rule["expr"])} >= {"detector_feature_drifting"}
