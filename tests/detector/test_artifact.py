"""An artifact is written whole or not at all, and refused when a byte of it is not as it was written."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detector import artifact
from detector.artifact import FILES, GRAPH, KERAS, MANIFEST, REFERENCE, Artifact
from detector.errors import ModelRefused
from detector.statistics import summarize
from detector.threshold import Threshold, calibrate, parse
from tests.arrays import f32

PARTS = (*FILES, MANIFEST)


@pytest.fixture
def copy(artifact_dir: Path, tmp_path: Path) -> Path:
    """An artifact to be damaged."""
    return Path(shutil.copytree(artifact_dir, tmp_path / "model"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def manifest_of(folder: Path) -> dict[str, Any]:
    """What is given to `write`: the manifest without what `write` adds."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return {key: value for key, value in manifest.items() if key not in ("format", "files", "sha256")}


def refused(folder: Path) -> str:
    with pytest.raises(ModelRefused) as refusal:
        artifact.load(folder)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_round_trip(artifact_dir: Path, tmp_path: Path) -> None:
    """What was written is what is loaded: schema, threshold, arrays, graph; written again it is the same bytes."""
    found = artifact.load(artifact_dir)
    manifest = json.loads((artifact_dir / MANIFEST).read_text())
    assert found.manifest == manifest
    assert found.schema.to_dict() == manifest["schema"]
    assert found.threshold == Threshold(**manifest["threshold"])
    assert found.graph == (artifact_dir / GRAPH).read_bytes()
    assert found.name.sha256 == artifact.sha256(found.graph) == manifest["files"][GRAPH]
    artifact.write(tmp_path / "deep" / "again", manifest_of(artifact_dir), files_of(artifact_dir))
    assert contents(tmp_path / "deep" / "again") == contents(artifact_dir)
    assert sorted(contents(artifact_dir)) == sorted(PARTS)


def test_what_the_artifact_knows(cards_artifact: Artifact) -> None:
    """Threshold and summary are those of the calibration; drift has a bin row for each feature and score."""
    known = cards_artifact.calibration
    assert cards_artifact.summary == summarize(known.scores)
    assert cards_artifact.threshold == calibrate(parse("percentile:99.5"), known)
    reference = cards_artifact.reference
    assert len(reference.edges) == len(cards_artifact.schema.features) + 1
    assert {int(counts.sum()) for counts in reference.counts} == {len(known.held_out)}


def test_line(cards_artifact: Artifact) -> None:
    """The line is the artifact's own, or what another method finds in its history, or a running one above its own."""
    assert cards_artifact.line().calibrated == cards_artifact.threshold
    for method in ("mad:5", "f1", "recall@precision:0.5", "budget:40/hour"):
        assert cards_artifact.line(method).calibrated == calibrate(parse(method), cards_artifact.calibration)
    running = cards_artifact.line("running-mad:4")
    assert running.calibrated == cards_artifact.threshold
    assert running.running == parse("running-mad:4")
    with pytest.raises(ValueError, match="'often' is none of"):
        cards_artifact.line("often")


def test_missing_directory(tmp_path: Path) -> None:
    """A directory that is not there is named, and what makes one; a file is no directory."""
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "absent", tmp_path / "file"):
        assert refused(path) == f"model {path}: no such directory; `python -m trainer fit` makes one"


@pytest.mark.parametrize("name", PARTS)
def test_missing_file(name: str, copy: Path) -> None:
    """Each file that is missing is named."""
    (copy / name).unlink()
    assert f"{copy / name}: No such file or directory" in refused(copy)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_truncated_file(name: str, cut: int, copy: Path) -> None:
    """Each file that was cut short is named."""
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:cut])
    assert str(copy / name) in refused(copy)


@pytest.mark.parametrize("name", FILES)
def test_one_byte_altered(name: str, copy: Path) -> None:
    """One byte altered anywhere in a file, or one more, and the file is named with both checksums."""
    content = (copy / name).read_bytes()
    for place in [0, 1, len(content) - 1, *range(7, len(content), len(content) // 20)]:
        altered = bytearray(content)
        altered[place] ^= 1
        (copy / name).write_bytes(altered)
        assert f"{copy / name}: sha256 {artifact.sha256(bytes(altered))[:12]}..." in refused(copy)
    (copy / name).write_bytes(content + b"\n")
    assert str(copy / name) in refused(copy)


def one_byte_off(content: bytes) -> Iterator[bytes]:
    """The content with each byte in turn altered to two others, and with white space added or taken."""
    for place, byte in enumerate(content):
        for other in {byte ^ 1, ord("5"), ord(" ")} - {byte}:
            yield content[:place] + bytes([other]) + content[place + 1 :]
    for place in [place for place, byte in enumerate(content) if chr(byte) in '\n {,"'][::5]:
        yield content[:place] + b" " + content[place:]
        yield content[:place] + content[place + 1 :]


def test_one_byte_of_the_manifest_altered(artifact_dir: Path, tmp_path: Path) -> None:
    """Any byte of the manifest altered, white space too, and it is refused by name; there is no other outcome."""
    manifest = manifest_of(artifact_dir)
    short = manifest | {"schema": manifest["schema"] | {"features": ["a", "b"]}, "training": {"loss": 1.5e-05}}
    folder = tmp_path / "model"
    artifact.write(folder, short, dict.fromkeys(FILES, b"x"))
    content = (folder / MANIFEST).read_bytes()
    assert b"1.5e-05" in content
    for altered in one_byte_off(content):
        (folder / MANIFEST).write_bytes(altered)
        assert f"model {folder / MANIFEST}: " in refused(folder)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"7", b'"sha256"', b"{}", b"\xff", b"[" * 100_000, b'{"sha256": 1, "files": 2}']
)
def test_no_manifest(content: bytes, copy: Path) -> None:
    """A manifest.json that is none is refused by name."""
    (copy / MANIFEST).write_bytes(content)
    assert f"model {copy / MANIFEST}: " in refused(copy)


def test_another_format(artifact_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact that another version wrote is refused with both formats."""
    with monkeypatch.context() as patch:
        patch.setattr(artifact, "FORMAT", artifact.FORMAT + 1)
        artifact.write(tmp_path / "m", manifest_of(artifact_dir), files_of(artifact_dir))
    assert f"format {artifact.FORMAT + 1}, this version reads {artifact.FORMAT}" in refused(tmp_path / "m")


@pytest.mark.parametrize("listed", [(GRAPH, KERAS), (*FILES, "notes")])
def test_wrong_list_of_files(
    listed: tuple[str, ...], artifact_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest that lists other files than an artifact has is refused with both lists."""
    with monkeypatch.context() as patch:
        patch.setattr(artifact, "FILES", listed)
        artifact.write(tmp_path / "m", manifest_of(artifact_dir), files_of(artifact_dir) | {"notes": b"x"})
    assert f"lists {sorted(listed)}" in refused(tmp_path / "m")


@pytest.mark.parametrize("key", ["name", "version", "schema", "threshold", "calibration", "summary"])
def test_manifest_without(key: str, artifact_dir: Path, tmp_path: Path) -> None:
    """A manifest that is whole but lacks what this version needs is refused, naming it."""
    manifest = manifest_of(artifact_dir)
    del manifest[key]
    artifact.write(tmp_path / "m", manifest, files_of(artifact_dir))
    assert f"'{key}' is not as this version writes it" in refused(tmp_path / "m")


def pickled() -> bytes:
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=True, scores=np.array([{"code": "run me"}], dtype=object))
    return packed.getvalue()


@pytest.mark.parametrize("make", [pickled, lambda: b"", lambda: b"\x80\x04.", lambda: b"PK\x03\x04 no zip"])
def test_no_pickle(make: Callable[[], bytes], artifact_dir: Path, tmp_path: Path) -> None:
    """Arrays that are pickled objects, or no arrays, are refused by the file's name, though every checksum is right."""
    artifact.write(tmp_path / "m", manifest_of(artifact_dir), files_of(artifact_dir) | {REFERENCE: make()})
    assert f"model file {tmp_path / 'm' / REFERENCE}: not arrays" in refused(tmp_path / "m")


def test_made_for_other_features(artifact_dir: Path, tmp_path: Path) -> None:
    """A graph that is not for the schema's features is refused before any row comes."""
    manifest = manifest_of(artifact_dir)
    manifest["schema"]["features"].pop()
    artifact.write(tmp_path / "m", manifest, files_of(artifact_dir))
    with pytest.raises(ModelRefused, match="cannot be served for 28 features"):
        artifact.load(tmp_path / "m").model()


class Stopped(Mapping[str, bytes]):
    """Files of which one cannot be had."""

    def __init__(self, files: Mapping[str, bytes], name: str, error: BaseException) -> None:
        self.files, self.name, self.error = files, name, error

    def __getitem__(self, name: str) -> bytes:
        if name == self.name:
            raise self.error
        return self.files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failing_write_leaves_nothing(name: str, error: BaseException, artifact_dir: Path, tmp_path: Path) -> None:
    """A write that fails at any file, or is interrupted, leaves nothing behind, not even beside its place."""
    with pytest.raises(type(error)):
        artifact.write(tmp_path / "m", manifest_of(artifact_dir), Stopped(files_of(artifact_dir), name, error))
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_the_old_one(copy: Path) -> None:
    """Where an artifact stands already, a write that fails leaves it as it was."""
    before = contents(copy)
    with pytest.raises(OSError, match="full"):
        artifact.write(copy, manifest_of(copy), Stopped(files_of(copy), REFERENCE, OSError(28, "full")))
    assert contents(copy) == before
    assert list(copy.parent.iterdir()) == [copy]


def test_replacing_is_one_step(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact is exchanged with the older one without a rename in between, and the older one is gone."""

    def never(self: Path, target: Path) -> Path:
        raise AssertionError("renamed")

    manifest, files = manifest_of(copy), files_of(copy)
    monkeypatch.setattr(Path, "rename", never)
    artifact.write(copy, {**manifest, "version": "2"}, files)
    assert artifact.load(copy).name.version == "2"
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_replacing(copy: Path) -> None:
    """A new artifact takes an old one's place, and nothing of the old one stays."""
    artifact.write(copy, manifest_of(copy) | {"version": "2"}, files_of(copy))
    assert artifact.load(copy).name.version == "2"
    assert sorted(contents(copy)) == sorted(PARTS)
    assert list(copy.parent.iterdir()) == [copy]


def test_amend(copy: Path) -> None:
    """Amending exchanges entries of the manifest alone: other entries, files and so the model's sha256 stay."""
    before, found = contents(copy), artifact.load(copy)
    artifact.amend(found, {"threshold": {"value": 7.5, "method": "value:7.5"}, "note": 1})
    after = artifact.load(copy)
    assert after.threshold == Threshold(7.5, "value:7.5")
    assert after.name == found.name
    changed = {key for key in after.manifest if after.manifest[key] != found.manifest.get(key)}
    assert changed == {"threshold", "note", "sha256"}
    assert {name: content for name, content in contents(copy).items() if before[name] != content}.keys() == {MANIFEST}
    assert list(copy.parent.iterdir()) == [copy]


def test_amend_follows_a_link(copy: Path) -> None:
    """Where the artifact is reached by a link, what it points at is exchanged; the link stays."""
    link = copy.with_name("current")
    link.symlink_to(copy)
    artifact.amend(artifact.load(link), {"note": 1})
    assert link.readlink() == copy
    assert artifact.load(copy).manifest["note"] == 1
    assert sorted(path.name for path in copy.parent.iterdir()) == ["current", copy.name]


@pytest.mark.parametrize("name", FILES)
def test_amend_seals_nothing_that_was_altered(name: str, copy: Path) -> None:
    """A file that was altered after it was loaded is refused, not sealed anew."""
    found = artifact.load(copy)
    (copy / name).write_bytes(b"altered")
    before = contents(copy)
    with pytest.raises(ModelRefused, match=name):
        artifact.amend(found, {"note": 1})
    assert contents(copy) == before


def test_an_empty_directory_is_free(artifact_dir: Path, tmp_path: Path) -> None:
    """A directory with nothing in it may be written over."""
    (tmp_path / "m").mkdir()
    artifact.write(tmp_path / "m", manifest_of(artifact_dir), files_of(artifact_dir))
    assert artifact.load(tmp_path / "m").manifest == artifact.load(artifact_dir).manifest


@pytest.mark.parametrize("present", [("thesis.txt",), (MANIFEST, "index.html"), (GRAPH,), (*PARTS, "notes")])
def test_what_is_no_artifact_is_not_replaced(present: tuple[str, ...], artifact_dir: Path, tmp_path: Path) -> None:
    """A directory that holds anything else, a manifest.json of another program's too, is left as it is."""
    for name in present:
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / name).write_text("precious")
    with pytest.raises(FileExistsError, match="is no artifact; it is left as it is"):
        artifact.write(tmp_path / "m", manifest_of(artifact_dir), files_of(artifact_dir))
    assert contents(tmp_path / "m") == dict.fromkeys(present, b"precious")
    assert list(tmp_path.iterdir()) == [tmp_path / "m"]


def test_a_file_is_not_replaced(artifact_dir: Path, tmp_path: Path) -> None:
    """A file in the artifact's place is left as it is."""
    (tmp_path / "m").write_text("precious")
    with pytest.raises(FileExistsError):
        artifact.write(tmp_path / "m", manifest_of(artifact_dir), files_of(artifact_dir))
    assert (tmp_path / "m").read_text() == "precious"


def test_pack_arrays() -> None:
    """The same arrays pack to the same bytes in whatever order they come, and nothing needs a pickle."""
    arrays: dict[str, NDArray[Any]] = {"b": np.arange(3), "a": f32([1.5])}
    packed = artifact.pack_arrays(arrays)
    assert packed == artifact.pack_arrays(dict(reversed(arrays.items())))
    with np.load(io.BytesIO(packed), allow_pickle=False) as found:
        assert {name: found[name].tolist() for name in found} == {"a": [1.5], "b": [0, 1, 2]}
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        artifact.pack_arrays({"o": np.array([{}], dtype=object)})
