"""What kustomize makes of the manifests, and schemas of the kinds that are not Kubernetes' own."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())

Manifest = dict[str, Any]
TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}


def documents() -> dict[str, Manifest]:
    """Every manifest as it stands in a file, but kustomize's own and patches of another."""
    found = {}
    for path in sorted(FOLDER.rglob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        if document["kind"] not in ("Kustomization", "Component") and path.name != "kafka-access.yaml":
            found[str(path.relative_to(FOLDER))] = document
    return found


def _tool() -> list[str]:
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    pytest.skip(
        "OVERLAYS ARE NOT BUILT: neither kustomize nor kubectl is on the path; each manifest is validated alone"
    )


@cache
def built(overlay: str) -> list[Manifest]:
    """What `kubectl apply -k` would send."""
    command = [*_tool(), str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(found: list[Manifest], kind: str) -> Manifest:
    """The only manifest of a kind."""
    (one,) = [manifest for manifest in found if manifest["kind"] == kind]
    return one


def pod_specs(found: list[Manifest]) -> list[Manifest]:
    """The pods that manifests make."""
    specs = [one["spec"]["template"]["spec"] for one in found if one["kind"] in ("StatefulSet", "Deployment")]
    jobs = [one["spec"]["jobTemplate"]["spec"]["template"]["spec"] for one in found if one["kind"] == "CronJob"]
    return specs + jobs


def _object(required: tuple[str, ...], **properties: Any) -> Manifest:
    """An object of these fields and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Manifest) -> Manifest:
    return {"type": "array", "items": items}


TEXTS = {"type": "object", "additionalProperties": TEXT}
DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$"}
POLICY = _object(
    ("type", "value", "periodSeconds"), type={"enum": ["Pods", "Percent"]}, value=NUMBER, periodSeconds=NUMBER
)
SCALING = _object((), stabilizationWindowSeconds=NUMBER, policies=_list(POLICY), selectPolicy=TEXT)
RULE = {
    **_object(
        ("expr",), alert=TEXT, record=TEXT, expr={"type": ["string", "integer"]}, labels=TEXTS, annotations=TEXTS
    ),
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
}
RULE["properties"] |= {"for": DURATION, "keep_firing_for": DURATION}
RELABELING = _object((), sourceLabels=_list(TEXT), targetLabel=TEXT)
GROUP = _object(("name",), name=TEXT, interval=DURATION, rules=_list(RULE), limit=NUMBER)
TRIGGER = _object(
    ("type", "metadata"),
    type=TEXT,
    name=TEXT,
    metadata=TEXTS,
    authenticationRef=_object(("name",), name=TEXT, kind=TEXT),
)

SPECS: dict[str, Manifest] = {
    "ScaledObject": _object(
        ("scaleTargetRef", "triggers"),
        scaleTargetRef=_object(("name",), apiVersion=TEXT, kind=TEXT, name=TEXT),
        minReplicaCount=NUMBER,
        maxReplicaCount=NUMBER,
        pollingInterval=NUMBER,
        cooldownPeriod=NUMBER,
        fallback=_object(("failureThreshold", "replicas"), failureThreshold=NUMBER, replicas=NUMBER),
        advanced=_object(
            (),
            horizontalPodAutoscalerConfig=_object((), behavior=_object((), scaleUp=SCALING, scaleDown=SCALING)),
        ),
        triggers=_list(TRIGGER),
    ),
    "TriggerAuthentication": _object(
        (),
        secretTargetRef=_list(_object(("parameter", "name", "key"), parameter=TEXT, name=TEXT, key=TEXT)),
    ),
    "ServiceMonitor": _object(
        ("selector", "endpoints"),
        jobLabel=TEXT,
        selector=_object((), matchLabels=TEXTS),
        endpoints=_list(_object((), port=TEXT, path=TEXT, interval=DURATION, relabelings=_list(RELABELING))),
    ),
    "PrometheusRule": _object((), groups=_list(GROUP)),
}
"""Of the kinds of KEDA and of the Prometheus operator, the fields that stand here, by their own documentation."""
