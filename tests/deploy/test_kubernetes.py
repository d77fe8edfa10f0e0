"""The manifests of Kubernetes, validated without a cluster."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from deploy.kubernetes import rules
from detector.reload import directory
from detector.settings import Settings, load
from tests.deploy.manifests import FOLDER, OVERLAYS, SPECS, Manifest, built, documents, of_kind, pod_specs

VERSIONS = ["1.30.0", kubernetes_validate.latest_version()]
OWN = ("v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1")


def valid(manifest: Manifest, version: str) -> None:
    """Fails where a manifest has a field that its kind has not, or lacks one."""
    if manifest["apiVersion"] in OWN:
        kubernetes_validate.validate(manifest, version, strict=True)
    else:
        jsonschema.validate(manifest["spec"], SPECS[manifest["kind"]])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", documents())
def test_each_is_valid(name: str, version: str) -> None:
    """Each manifest is what an old and the newest Kubernetes, KEDA and the Prometheus operator know by its kind."""
    valid(documents()[name], version)


def test_the_validation_can_fail() -> None:
    """A field that no kind has is refused, in Kubernetes' own and in the others."""
    for name, place in (("base/statefulset.yaml", "spec"), ("components/autoscaling/scaledobject.yaml", "spec")):
        wrong = documents()[name]
        wrong[place]["replica"] = 1
        with pytest.raises((kubernetes_validate.ValidationError, jsonschema.ValidationError)):
            valid(wrong, VERSIONS[-1])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_are_valid(overlay: str, version: str) -> None:
    """What kustomize makes of an overlay is valid as a whole, all in one namespace."""
    for manifest in built(overlay):
        valid(manifest, version)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "fraud"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings_are_those_of_the_detector(overlay: str) -> None:
    """The file in the ConfigMap is one that the detector reads, and its pods get it at the place that they look for."""
    found = built(overlay)
    config = of_kind(found, "ConfigMap")
    spec = pod_specs([of_kind(found, "StatefulSet")])[0]
    (container,) = spec["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert {"configMap": {"name": config["metadata"]["name"]}, "name": "settings"} in spec["volumes"]
    assert environment["DETECTOR_CONFIG"] == "/settings/detector.toml"
    assert "DETECTOR_INSTANCE" in environment
    assert tomllib.loads(config["data"]["detector.toml"])["model"] == "/models/current"


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("detector.toml")), ids=lambda path: path.parent.name)
def test_settings_load(file: Path) -> None:
    """Each such file is one that the detector takes."""
    found = load(Settings, {"config": str(file)}, "NOT_SET_")
    assert (found.group, found.input_topic, found.metrics_port) == ("detector", "transactions", 9108)


@pytest.mark.parametrize("name", ["base/statefulset.yaml", "components/retraining/cronjob.yaml"])
def test_pods_are_restricted(name: str) -> None:
    """Every pod keeps the standard `restricted`, on a root that nothing can write to, without a token."""
    (pod,) = pod_specs([documents()[name]])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    kinds = {next(key for key in volume if key != "name") for volume in pod["volumes"]}
    assert kinds <= {"configMap", "secret", "persistentVolumeClaim", "emptyDir"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_labels_find_each_other() -> None:
    """Service, budget, network policy and monitor select the pods; ports and paths are the detector's."""
    found = documents()
    pods = found["base/statefulset.yaml"]["spec"]["template"]
    labels, (container,) = pods["metadata"]["labels"], pods["spec"]["containers"]
    selectors = [
        found["base/statefulset.yaml"]["spec"]["selector"]["matchLabels"],
        found["base/service.yaml"]["spec"]["selector"],
        found["base/poddisruptionbudget.yaml"]["spec"]["selector"]["matchLabels"],
        found["base/networkpolicy.yaml"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors)
    monitor = found["components/monitoring/servicemonitor.yaml"]["spec"]
    assert monitor["selector"]["matchLabels"] == found["base/service.yaml"]["metadata"]["labels"]
    assert monitor["endpoints"][0]["port"] == found["base/service.yaml"]["spec"]["ports"][0]["name"]
    assert container["ports"] == [{"name": "metrics", "containerPort": Settings.metrics_port}]
    assert {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "startupProbe")} == {"/healthz"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_no_more_members_than_partitions() -> None:
    """The autoscaler stops where there are no more partitions, as many as the page says to make; fewer than its least
    are an alert."""
    told = re.search(r"create-topics .*--partitions (\d+)", (FOLDER / "README.md").read_text())
    scaled = documents()["components/autoscaling/scaledobject.yaml"]["spec"]
    assert told
    assert scaled["maxReplicaCount"] == scaled["fallback"]["replicas"] == int(told[1])
    assert "replicas" not in documents()["base/statefulset.yaml"]["spec"]
    told_to_detectors = tomllib.loads((FOLDER / "overlays/production/detector.toml").read_text())["replicas"]
    assert told_to_detectors == scaled["minReplicaCount"]


def test_no_secret_stands_here() -> None:
    """No manifest holds a secret: they are named, and made by whoever applies them."""
    assert not [name for name, one in documents().items() if one["kind"] == "Secret"]
    text = "".join(path.read_text() for path in FOLDER.rglob("*.toml"))
    assert "password" not in text


def test_rules_are_those_of_prometheus() -> None:
    """The PrometheusRule is what is made of the rules now."""
    assert rules.WRITTEN.read_text() == rules.manifest(rules.rule_files()), "run `python -m deploy.kubernetes.rules`"


def test_rules_of_files(tmp_path: Path) -> None:
    """Groups of all files of rules come together; a test of rules, which has no groups of rules, is no such file."""
    group = {"name": "one", "rules": [{"alert": "Down", "expr": "up == 0", "for": "1m"}]}
    (tmp_path / "a.yml").write_text(yaml.safe_dump({"groups": [group]}))
    (tmp_path / "a_test.yml").write_text(yaml.safe_dump({"rule_files": ["a.yml"], "tests": []}))
    found = rules.rule_files(tmp_path)
    assert [path.name for path in found] == ["a.yml"]
    made = yaml.safe_load(rules.manifest(found))
    valid(made, VERSIONS[-1])
    assert made["spec"]["groups"] == [group]


# --- retraining


def retrain(folder: Path, trainer: str) -> subprocess.CompletedProcess[str]:
    """Runs the job's script on folders of a test's own, with a stand-in for Python."""
    cronjob: Any = documents()["components/retraining/cronjob.yaml"]
    (container,) = pod_specs([cronjob])[0]["containers"]
    (folder / "models").mkdir(exist_ok=True)
    (folder / "python").write_text(f"#!/bin/sh\n{trainer}\n")
    (folder / "python").chmod(0o755)
    script = container["args"][0].replace("/models", str(folder / "models"))
    own = {one["name"]: one["value"] for one in container["env"]}
    environment = {**os.environ, **own, "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run([*container["command"], script], env=environment, capture_output=True, text=True, timeout=30)


FIT = 'if [ "$3" = fit ]; then mkdir "$6"; fi'


def test_retraining_points_to_the_new_model(tmp_path: Path) -> None:
    """When it is trained and evaluated, the pointer that the detectors read names the new artifact."""
    done = retrain(tmp_path, FIT)
    assert done.returncode == 0, done.stderr
    found = directory(tmp_path / "models" / "current")
    assert found.parent == tmp_path / "models"
    assert found.name.startswith("cards-")


@pytest.mark.parametrize("broken", ["fit", "evaluate"])
def test_retraining_that_fails_changes_nothing(tmp_path: Path, broken: str) -> None:
    """Where training or evaluating fails, the detectors keep the model that they have."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "old").mkdir()
    (tmp_path / "models" / "current").write_text(f"{tmp_path}/models/old\n")
    assert retrain(tmp_path, f'{FIT}; [ "$3" != {broken} ]').returncode != 0
    assert directory(tmp_path / "models" / "current").name == "old"
