"""The directory that a training run leaves and a detector serves: written whole or not at all, verified on load."""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.alerts import ModelName
from detector.calibration import Calibration
from detector.drift import Reference
from detector.errors import ModelRefused
from detector.model import Model
from detector.schema import Schema
from detector.statistics import Summary
from detector.threshold import RUNNING, Line, Threshold, calibrate, parse

FORMAT = 1
MANIFEST, GRAPH, KERAS, REFERENCE = "manifest.json", "model.tflite", "model.keras", "reference.npz"
FILES = (GRAPH, KERAS, REFERENCE)
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux' fcntl.h and fs.h


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model with all that is needed to serve it.

    calibration: history's scores, in which `threshold` was found. summary: of the normal rows' scores.
    reference: what the world looked like when the model learned it.
    manifest: all of manifest.json, for people.
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


def load(path: Path) -> Artifact:
    """Reads and verifies an artifact; ModelRefused names the file and what is wrong with it."""
    manifest = _manifest(path)
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


def write(path: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Writes an artifact beside its place and moves it there: a reader sees the old one, or the new one, whole."""
    with _in_place_of(path) as staging:
        for name in FILES:
            _write_file(staging / name, files[name])
        sealed = {**manifest, "format": FORMAT, "files": {name: sha256(files[name]) for name in FILES}}
        _write_file(staging / MANIFEST, _dump({**sealed, "sha256": _seal(sealed)}))


def amend(found: Artifact, changes: Mapping[str, Any]) -> None:
    """Exchanges a loaded artifact for one whose manifest has other entries; the rest stays byte by byte."""
    path = found.path.resolve()  # what a link points at is exchanged, and not the link
    files = {name: _verified(path / name, digest) for name, digest in found.manifest["files"].items()}
    write(path, {**found.manifest, **changes}, files)


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
    if names and not {MANIFEST} <= names <= {MANIFEST, *FILES}:  # a manifest.json alone is many a program's
        raise FileExistsError(f"{path} exists and is no artifact; it is left as it is")


@contextmanager
def _in_place_of(path: Path) -> Iterator[Path]:
    refuse_to_replace(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield staging
        staging.chmod(0o755)
        _move(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move(staging: Path, path: Path) -> None:
    """One rename; where an older artifact stands there, one exchange with it, and it goes with the staging directory.

    Where the system cannot exchange (Linux can) it takes two renames, the first taken back if the second fails.
    """
    if not path.exists():
        staging.rename(path)
    elif not _exchanged(staging, path):
        retired = staging.with_name(f"{staging.name}.old")
        path.rename(retired)
        try:
            staging.rename(path)
        except OSError:
            retired.rename(path)
            raise
        shutil.rmtree(retired)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchanges two directories in one step by Linux' renameat2; False where that cannot be done."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as .npz bytes, the same bytes for the same arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(sorted(arrays.items())))
    return buffer.getvalue()
