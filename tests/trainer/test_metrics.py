"""What Prometheus is told of a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from detector.artifact import Artifact
from detector.errors import Failure
from tests.deploy.test_prometheus import passed, promtool
from trainer.metrics import METRICS, write


def told(path: Path) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, but for the model's name."""
    families = text_string_to_metric_families(path.read_text())
    return {
        (one.name, *(value for label, value in sorted(one.labels.items()) if label != "model")): one.value
        for family in families
        for one in family.samples
    }


def test_written(cards_artifact: Artifact, tmp_path: Path) -> None:
    """The file has what the manifest says, every metric that is told of, and nothing that promtool finds wrong."""
    path = tmp_path / "cards.prom"
    write(path, cards_artifact, 12.5)
    found, training = told(path), cards_artifact.manifest["training"]
    assert found["trainer_duration_seconds",] == 12.5
    assert found["trainer_last_success_timestamp_seconds",] == cards_artifact.made
    assert found["trainer_rows", "training"] == training["training_rows"]
    assert found["trainer_loss", "held_out"] == training["held_out_losses"][training["best_epoch"] - 1]
    assert found["trainer_model_info", cards_artifact.name.sha256, cards_artifact.name.version] == 1
    assert {name for name, *_ in found} == {f"trainer_{name}" for name in METRICS}
    assert passed(promtool("check", "metrics", given=path.read_text())) == ""
    assert list(tmp_path.iterdir()) == [path]


def test_without_epochs(cards_artifact: Artifact, tmp_path: Path) -> None:
    """A recipe that learns nothing by epochs has no loss."""
    manifest = cards_artifact.manifest
    training = {**manifest["training"], "best_epoch": 0, "epochs": 0, "losses": [], "held_out_losses": []}
    write(tmp_path / "m.prom", replace(cards_artifact, manifest={**manifest, "training": training}), 1.0)
    assert not any(name == "trainer_loss" for name, *_ in told(tmp_path / "m.prom"))


def test_a_place_that_is_none(cards_artifact: Artifact, tmp_path: Path) -> None:
    """Where nothing can be written that is said, with the path."""
    with pytest.raises(Failure, match=r"metrics .*none/m\.prom: No such file or directory"):
        write(tmp_path / "none" / "m.prom", cards_artifact, 1.0)
