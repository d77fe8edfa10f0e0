"""Prometheus' rules as Kubernetes wants them: one PrometheusRule of all the groups in deploy/prometheus."""

from __future__ import annotations

from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[1]
WRITTEN = Path(__file__).parent / "components" / "monitoring" / "prometheusrule.yaml"
HEAD = "# Written by `python -m deploy.kubernetes.rules` from the rules of deploy/prometheus; not to be edited.\n"


def rule_files(folder: Path = DEPLOY / "prometheus") -> list[Path]:
    """The files of rules: those that have groups of rules at the top; tests of rules have none."""
    files = sorted(path for ending in ("yml", "yaml") for path in folder.rglob(f"*.{ending}"))
    return [path for path in files if _groups(path)]


def _groups(path: Path) -> list[object]:
    found = yaml.safe_load(path.read_text())
    groups = found.get("groups", []) if isinstance(found, dict) else []
    return list(groups) if all(isinstance(one, dict) and "rules" in one for one in groups) else []


def manifest(files: list[Path]) -> str:
    """The PrometheusRule."""
    groups = [group for path in files for group in _groups(path)]
    told = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "detector"},
        "spec": {"groups": groups},
    }
    return HEAD + str(yaml.safe_dump(told, sort_keys=False, width=120))


if __name__ == "__main__":
    WRITTEN.write_text(manifest(rule_files()))
