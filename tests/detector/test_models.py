"""Models that serve signals: of the width that is cut, and following each other with windows open."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector import artifact
from detector.artifact import FILES, MANIFEST, Artifact
from detector.errors import ModelRefused
from detector.models import Models, load, ready
from detector.rows import Message
from detector.settings import Settings
from tests.messages import FakeMessage

WIDTH = 29


@pytest.fixture
def place(artifact_dir: Path, tmp_path: Path) -> Path:
    """A directory with version 1."""
    return Path(shutil.copytree(artifact_dir, tmp_path / "model"))


def replaced(place: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Artifact:
    """Another artifact at the same place."""
    manifest = json.loads((place / MANIFEST).read_text())
    artifact.write(place, change(manifest), {name: (place / name).read_bytes() for name in FILES})
    return artifact.load(place)


def settings(place: Path, samples: int = WIDTH, **more: Any) -> Settings:
    return Settings(model=place, bootstrap_servers="b:1", window_samples=samples, reload_seconds=1000, **more)


def samples(start: int, end: int) -> list[Message]:
    return [FakeMessage(b'{"value": 0.5, "sample": %d}' % at, ("s", 0, at), at) for at in range(start, end)]


def test_a_model_of_another_width(place: Path) -> None:
    """So many samples as the model has features make a row; any other number is refused, and both are named."""
    found = load(settings(place), place)
    assert ready(settings(place), found, None).decoder.samples == WIDTH
    with pytest.raises(ModelRefused, match=r"has 29 features, as many as window_samples \(30\) wanted"):
        ready(settings(place, 30), found, None)


def test_a_model_of_texts(place: Path) -> None:
    """A sample is a number: a model with a text among its features serves no signal."""
    texts = {"categories": {"V3": ["a", "b"]}}
    found = replaced(place, lambda manifest: manifest | {"schema": manifest["schema"] | texts})
    with pytest.raises(ModelRefused, match="has feature 'V3', which is no number as samples are"):
        ready(settings(place), found, None)


def test_open_windows_outlive_a_model(place: Path) -> None:
    """A row of which some samples came before another model is scored by that one, whole; a shadow changes nothing."""
    models = Models(settings(place, shadow_model=place), refused=pytest.fail)
    first = models.serving.decoder
    assert len(first.decode(samples(0, 40))[0]) == 1
    replaced(place, lambda manifest: manifest | {"version": "2"})
    models._watch.look()
    assert models.exchange() is not None
    assert models.serving.artifact.name.version == "2"
    assert models.serving.decoder is not first
    rows, rejects = models.serving.decoder.decode(samples(40, 58))
    assert (rows.offset.tolist(), rejects) == ([57], [])
    assert models.shadow is not None
