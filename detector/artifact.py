"""The directory that a training run leaves and a detector serves: written whole or not at all, verified on load."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import signature
from detector.alerts import ModelName
from detector.calibration import Calibration
from detector.drift import Reference
from detector.errors import ModelRefused
from detector.exchange import move_in_place
from detector.model import Model
from detector.schema import Schema
from detector.signature import SigningKey
from detector.statistics import Summary
from detector.threshold import RUNNING, Line, Threshold, calibrate, parse

FORMAT = 1
MANIFEST, GRAPH, KERAS, REFERENCE = "manifest.json", "model.tflite", "model.keras", "reference.npz"
FILES = (GRAPH, KERAS, REFERENCE)
SIGNATURE = "manifest.sig"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model with all that is needed to serve it.

    calibration: history's scores, in which `threshold` was found. summary: of the normal rows' scores.
    reference: what the world looked like when the model learned it.
    manifest: all of manifest.json, for people. signed_by: the trusted key that its signature is of; empty if not asked.
    """

    path: Path
    name: ModelName
    schema: Schema
    threshold: Threshold
    summary: Summary
    manifest: Mapping[str, Any]
    calibration: Calibration
    reference: Reference
    graph: bytes
    signed_by: str = ""

    @property
    def made(self) -> float:
        """When it was trained, s since 1970; NaN where the manifest does not say."""
        try:
            return datetime.fromisoformat(self.manifest["created_at"]).timestamp()
        except (KeyError, TypeError, ValueError, OverflowError):
            return math.nan

    def model(self) -> Model:
        """The served network."""
        return Model(self.graph, len(self.schema.features))

    def line(self, override: str = "") -> Line:
        """The artifact's threshold, or one that another method finds in the same history."""
        if not override:
            return Line(self.threshold)
        spec = parse(override)
        if spec.kind == RUNNING:
            return Line(self.threshold, spec)
        return Line(calibrate(spec, self.calibration))


def load(path: Path, trusted_key: Path | None = None) -> Artifact:
    """Reads and verifies an artifact; ModelRefused names the file and what is wrong with it.

    trusted_key: a PEM file of public keys; it must then be signed by one of them.
    """
    manifest = _manifest(path)
    signed_by = signature.signed_by(path / SIGNATURE, _dump(manifest), trusted_key) if trusted_key else ""
    contents = {name: _verified(path / name, digest) for name, digest in manifest["files"].items()}
    arrays = _arrays(path / REFERENCE, contents[REFERENCE])
    try:
        schema = Schema.from_dict(manifest["schema"])
        return Artifact(
            path=path,
            name=ModelName(manifest["name"], manifest["version"], manifest["files"][GRAPH]),
            schema=schema,
            threshold=Threshold(**manifest["threshold"]),
            summary=Summary(**manifest["summary"]),
            manifest=manifest,
            calibration=Calibration.from_arrays(arrays, manifest["calibration"]),
            reference=Reference.from_arrays(arrays, len(schema.features) + 1),
            graph=contents[GRAPH],
            signed_by=signed_by,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelRefused(f"model {path / MANIFEST}: {error} is not as this version writes it") from error


def _manifest(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise ModelRefused(f"model {path}: no such directory; `python -m trainer fit` makes one")
    try:
        raw = (path / MANIFEST).read_bytes()
        manifest = json.loads(raw)
        sealed, files = manifest["sha256"], manifest["files"]
    except OSError as error:
        raise ModelRefused(f"model {path / MANIFEST}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelRefused(f"model {path / MANIFEST}: not a manifest ({error})") from error
    if manifest.get("format") != FORMAT:
        raise ModelRefused(f"model {path / MANIFEST}: format {manifest.get('format')!r}, this version reads {FORMAT}")
    if not _intact(manifest, sealed, raw):
        raise ModelRefused(f"model {path / MANIFEST}: altered since it was written (its sha256 does not match)")
    if set(files) != set(FILES):
        raise ModelRefused(f"model {path / MANIFEST}: lists {sorted(files)}, {sorted(FILES)} wanted")
    return dict(manifest)


def _intact(manifest: dict[str, Any], sealed: str, raw: bytes) -> bool:
    try:
        return sealed == _seal(manifest) and raw == _dump(manifest)
    except ValueError:
        return False  # a number was altered to one beyond float64


def _verified(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"model file {path}: {error.strerror or error}") from error
    if sha256(content) != digest:
        raise ModelRefused(f"model file {path}: sha256 {sha256(content)[:12]}..., the manifest has {digest[:12]}...")
    return content


def _arrays(path: Path, content: bytes) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ModelRefused(f"model file {path}: not arrays as this version writes them ({error})") from error


def sha256(content: bytes) -> str:
    """The checksum of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _seal(manifest: Mapping[str, Any]) -> str:
    return sha256(_dump({key: value for key, value in manifest.items() if key != "sha256"}))


def _dump(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def write(
    path: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes], signing_key: SigningKey | None = None
) -> None:
    """Writes an artifact beside its place and moves it there: a reader sees the old one, or the new one, whole."""
    with _in_place_of(path) as staging:
        for name in FILES:
            _write_file(staging / name, files[name])
        sealed = {**manifest, "format": FORMAT, "files": {name: sha256(files[name]) for name in FILES}}
        content = _dump({**sealed, "sha256": _seal(sealed)})
        _write_file(staging / MANIFEST, content)
        if signing_key:
            _write_file(staging / SIGNATURE, signature.sign(content, signing_key))


def amend(found: Artifact, changes: Mapping[str, Any], signing_key: SigningKey | None = None) -> None:
    """Exchanges a loaded artifact for one whose manifest has other entries; the other files stay byte by byte.

    What was signed was the old manifest: it is signed anew, or by nobody.
    """
    path = found.path.resolve()  # what a link points at is exchanged, and not the link
    files = {name: _verified(path / name, digest) for name, digest in found.manifest["files"].items()}
    write(path, {**found.manifest, **changes}, files, signing_key)


def sign(found: Artifact, signing_key: SigningKey) -> Path:
    """Signs a loaded artifact, as it was loaded, in the place of a signature that it may have; the signature's file."""
    place = found.path.resolve() / SIGNATURE
    staging = place.with_name(f".{SIGNATURE}.{os.getpid()}")
    try:
        _write_file(staging, signature.sign(_dump(found.manifest), signing_key))
        staging.replace(place)
    finally:
        staging.unlink(missing_ok=True)
    return place


def _write_file(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def refuse_to_replace(path: Path) -> None:
    """Raises FileExistsError where `path` holds something that is no artifact: it would be lost."""
    if not path.exists():
        return
    names = {one.name for one in path.iterdir()} if path.is_dir() else {path.name}
    if names and not {MANIFEST} <= names <= {MANIFEST, SIGNATURE, *FILES}:  # a manifest.json alone is many a program's
        raise FileExistsError(f"{path} exists and is no artifact; it is left as it is")


@contextmanager
def _in_place_of(path: Path) -> Iterator[Path]:
    refuse_to_replace(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield staging
        staging.chmod(0o755)
        move_in_place(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as .npz bytes, the same bytes for the same arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(sorted(arrays.items())))
    return buffer.getvalue()
