"""A model that is replaced while it is served: a good one is taken once and whole, a bad one is told once."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector import artifact, model, signature
from detector.artifact import FILES, GRAPH, KERAS, MANIFEST, SIGNATURE, Artifact
from detector.errors import ModelRefused, UsageError
from detector.reload import Watch, directory
from detector.rows import Decoder
from detector.serving import Serving
from detector.threshold import calibrate, parse

NEVER = 0.0
"""Seconds between two looks of a watch that looks when it is told."""


@pytest.fixture(scope="module")
def served(cards_artifact: Artifact) -> Serving:
    return Serving.of(cards_artifact)


@pytest.fixture
def place(artifact_dir: Path, tmp_path: Path) -> Path:
    """A directory with version 1."""
    return Path(shutil.copytree(artifact_dir, tmp_path / "model"))


def write(path: Path, like: Path, version: str, **entries: Any) -> Path:
    """Puts another version of an artifact at a path, in one step."""
    manifest = json.loads((like / MANIFEST).read_text())
    files = {name: (like / name).read_bytes() for name in FILES}
    artifact.write(path, manifest | {"version": version} | entries, files)
    return path


@dataclass
class Counted:
    """`load` and `prepare` of a watch, counted, and what it refused."""

    served: Serving
    loads: int = 0
    prepared: int = 0
    refused: list[str] = field(default_factory=list)

    def load(self, path: Path) -> Artifact:
        self.loads += 1
        return artifact.load(path)

    def prepare(self, found: Artifact) -> Serving:
        """Without a network of its own, which would take most of the time."""
        self.prepared += 1
        return replace(self.served, artifact=found, line=found.line())

    def watch(self, path: Path, **more: Any) -> Watch:
        wanted: dict[str, Any] = {"load": self.load, "prepare": self.prepare, "refused": self.refused.append} | more
        return Watch(path, NEVER, self.served, **wanted)


@pytest.fixture
def counted(served: Serving) -> Counted:
    return Counted(served)


def versions(watch: Watch, looks: int = 1) -> list[str]:
    """What is taken when a watch looked so many times, and until there is nothing more."""
    for _ in range(looks):
        watch.look()
    return [one.artifact.name.version for one in iter(watch.take, None)]


def test_nothing_happens(place: Path, counted: Counted) -> None:
    """Where nothing changes the artifact is read once, nothing is prepared, offered or refused."""
    watch = counted.watch(place)
    assert versions(watch, looks=5) == []
    assert (counted.loads, counted.prepared, counted.refused, watch.refusals) == (1, 0, [], 0)
    assert watch.served is counted.served


def test_a_directory_that_is_exchanged(place: Path, counted: Counted) -> None:
    """Another version at the path is offered once, whole, and is then what is served."""
    watch = counted.watch(place)
    assert versions(watch) == []
    write(place, place, "2")
    assert watch.take() is None
    assert versions(watch, looks=3) == ["2"]
    assert watch.served.artifact.name.version == "2"
    assert versions(watch, looks=3) == []
    assert (counted.loads, counted.prepared) == (2, 1)


def test_a_directory_that_is_renamed_into_place(place: Path, counted: Counted) -> None:
    """The same where the old directory is moved away and a new one renamed to its place, in two steps seen apart."""
    watch = counted.watch(place)
    write(place.with_name("next"), place, "2")
    place.rename(place.with_name("old"))
    place.with_name("next").rename(place)
    assert versions(watch) == ["2"]
    place.rename(place.with_name("older"))
    place.with_name("old").rename(place)
    assert versions(watch) == ["1"]
    assert counted.refused == []


def test_a_link_that_is_moved(place: Path, counted: Counted) -> None:
    """A link to a directory is followed when it is replaced; which directory it was says the artifact."""
    other = write(place.with_name("v2"), place, "2")
    link = place.with_name("current")
    link.symlink_to(place)
    watch = counted.watch(link)
    assert versions(watch) == []
    place.with_name("next").symlink_to(other)
    place.with_name("next").replace(link)
    assert versions(watch, looks=2) == ["2"]
    assert watch.served.artifact.path == other


def test_a_link_above_the_directory_is_moved(place: Path, counted: Counted, tmp_path: Path) -> None:
    """A link higher up, as a Kubernetes volume has it, is followed too."""
    for number, version in ((1, "1"), (2, "2")):
        write(tmp_path / f"..data_{number}" / "model", place, version)
    (tmp_path / "..data").symlink_to("..data_1")
    watch = counted.watch(tmp_path / "..data" / "model")
    assert versions(watch) == []
    (tmp_path / "..data_tmp").symlink_to("..data_2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert versions(watch) == ["2"]


@pytest.mark.parametrize("text", ["v2", "v2\n", "  ./v2  \n", "{}/v2"])
def test_a_pointer(text: str, place: Path, counted: Counted) -> None:
    """A file that names a directory is followed, from where the file is or from the root, when it is replaced."""
    other = write(place.with_name("v2"), place, "2")
    pointer = place.with_name("pointer")
    pointer.write_text(place.name)
    watch = counted.watch(pointer)
    assert versions(watch) == []
    place.with_name("next").write_text(text.format(place.parent))
    place.with_name("next").replace(pointer)
    assert versions(watch, looks=2) == ["2"]
    assert watch.served.artifact.path == other
    write(other, place, "3")
    assert versions(watch) == ["3"]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "0 lines, the path of a directory is wanted"),
        (b" \n", "0 lines, "),
        (b"model\nv2\n", "2 lines, "),
        (b"mo\0del", "1 lines, "),
        (b"\xff\xfe", "a file that is no text; a directory, or a file with its path"),
        (b"absent", "absent: no such directory"),
        (b"pointer", "pointer: no such directory"),
    ],
)
def test_a_pointer_that_leads_nowhere(content: bytes, wanted: str, place: Path, counted: Counted) -> None:
    """A file that names no directory is refused once; the old model goes on, and a right one is taken up again."""
    write(place.with_name("v2"), place, "2")
    pointer = place.with_name("pointer")
    pointer.write_text(place.name)
    watch = counted.watch(pointer)
    assert versions(watch) == []
    pointer.write_bytes(content)
    assert versions(watch, looks=4) == []
    (why,) = counted.refused
    assert why.startswith("model ")
    assert wanted in why
    assert "\n" not in why
    pointer.write_text("v2")
    assert versions(watch) == ["2"]
    assert watch.refusals == 1


def test_directory(place: Path, tmp_path: Path) -> None:
    """A directory, a link and a pointer lead to the same; a path of nothing stays as it is, a circle is refused."""
    (tmp_path / "link").symlink_to(place)
    (tmp_path / "pointer").write_text("link")
    assert {directory(tmp_path / name) for name in ("model", "link", "pointer")} == {place}
    assert directory(Path("absent")) == Path("absent")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ModelRefused, match="circle: no such directory"):
        artifact.load(directory(tmp_path / "circle"))


def test_a_bad_one_then_a_good_one(place: Path, counted: Counted, caplog: pytest.LogCaptureFixture) -> None:
    """A bad artifact is refused in one line, once, and not read again; the old goes on until a good one comes."""
    watch = counted.watch(place)
    assert versions(watch) == []
    bad = write(place.with_name("bad"), place, "2")
    with (bad / GRAPH).open("ab") as graph:
        graph.write(b"\0")
    place.rename(place.with_name("old"))
    bad.rename(place)
    caplog.clear()
    assert versions(watch, looks=5) == []
    assert (watch.refusals, counted.loads) == (1, 2)
    assert counted.refused[0].startswith(f"model file {place / GRAPH}: sha256 ")
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.getMessage().startswith(f"model_refused why='model file {place / GRAPH}: sha256 ")
    assert line.getMessage().endswith(f"still_served={counted.served.artifact.name.name} version=1")
    write(place, place.with_name("old"), "3")
    assert versions(watch, looks=2) == ["3"]
    assert watch.refusals == 1


def test_another_bad_one_is_told_too(place: Path, counted: Counted) -> None:
    """Each bad artifact is told, and the first again when it comes again."""
    watch, good = counted.watch(place), place.with_name("good")
    shutil.copytree(place, good)
    for name in (GRAPH, MANIFEST, GRAPH):
        write(place, good, "1")
        (place / name).write_bytes(b"bad")
        assert versions(watch, looks=2) == []
    assert [why.partition(":")[0].split("/")[-1] for why in counted.refused] == [GRAPH, MANIFEST, GRAPH]


def test_a_graph_that_cannot_be_served(place: Path, served: Serving) -> None:
    """An artifact with every checksum right but a graph that does not run is refused when it is made ready."""
    refused: list[str] = []
    watch = Watch(place, NEVER, served, artifact.load, refused=refused.append)
    manifest, files = json.loads((place / MANIFEST).read_text()), {name: (place / name).read_bytes() for name in FILES}
    artifact.write(place, manifest, files | {GRAPH: b"no graph"})
    assert versions(watch, looks=2) == []
    (why,) = refused
    assert why.startswith("model.tflite cannot be served for 29 features: ")


def test_the_same_content_again(place: Path, counted: Counted) -> None:
    """The same artifact written again is read, and is no change: nothing is made ready or taken."""
    watch = counted.watch(place)
    assert versions(watch) == []
    for _ in range(2):
        write(place, place, "1")
        assert versions(watch, looks=2) == []
    (place / MANIFEST).touch()
    assert versions(watch) == []
    assert (counted.loads, counted.prepared, counted.refused) == (4, 0, [])


def test_a_threshold_that_is_moved(place: Path, counted: Counted) -> None:
    """An artifact of which only the threshold moved is taken: the same model, another line."""
    watch = counted.watch(place)
    before = artifact.load(place)
    artifact.amend(before, {"threshold": {"value": 7.5, "method": "value:7.5"}})
    watch.look()
    taken = watch.take()
    assert taken is not None
    assert taken.artifact.name == before.name
    assert taken.line.calibrated.value == 7.5


def test_a_directory_that_goes(place: Path, counted: Counted) -> None:
    """Where the directory is deleted the old model goes on, it is told once, and the same one back is no change."""
    watch = counted.watch(place)
    assert versions(watch) == []
    away = place.with_name("away")
    place.rename(away)
    assert versions(watch, looks=4) == []
    assert counted.refused == [f"model {place}: no such directory; `python -m trainer fit` makes one"]
    away.rename(place)
    assert versions(watch, looks=2) == []
    write(place, place, "2")
    assert versions(watch) == ["2"]
    assert watch.refusals == 1


@pytest.mark.parametrize("name", [MANIFEST, *FILES])
def test_a_file_that_comes_late(name: str, place: Path, counted: Counted, artifact_dir: Path) -> None:
    """A directory that is filled file by file is refused while one is missing, and taken when that one comes."""
    watch = counted.watch(place)
    write(place, place, "2")
    content = (place / name).read_bytes()
    (place / name).unlink()
    assert versions(watch, looks=2) == []
    assert f"{place / name}: No such file or directory" in counted.refused[0]
    (place / name).write_bytes(content)
    assert versions(watch) == ["2"]


def test_a_signature_that_comes_late(place: Path, counted: Counted, tmp_path: Path) -> None:
    """Where keys are trusted an unsigned artifact is refused once; signed in its place it is taken."""
    key = signature.make_pair(tmp_path / "key.pem")
    public = signature.public_path(tmp_path / "key.pem")
    artifact.sign(artifact.load(place), key)
    watch = counted.watch(place, load=lambda path: artifact.load(path, public))
    assert versions(watch) == []
    write(place, place, "2")
    assert versions(watch, looks=3) == []
    wanted = f"model file {place / SIGNATURE}: not signed, a signature of trusted key {key.id} is wanted"
    assert counted.refused == [wanted]
    artifact.sign(artifact.load(place), key)
    assert versions(watch, looks=2) == ["2"]
    assert watch.served.artifact.signed_by == key.id


def test_keys_that_change(place: Path, counted: Counted, tmp_path: Path) -> None:
    """A key that is trusted only later lets in what was refused; a key file that breaks is told, and nothing stops."""
    keys = [signature.make_pair(tmp_path / name) for name in ("old.pem", "new.pem")]
    trusted = tmp_path / "trusted.pem"
    shutil.copy(tmp_path / "old.pub.pem", trusted)
    watch = counted.watch(place, load=lambda path: artifact.load(path, trusted), beside=[trusted])
    write(place, place, "2")
    artifact.sign(artifact.load(place), keys[1])
    assert versions(watch, looks=2) == []
    assert f"signed by key {keys[1].id}, a signature of trusted key {keys[0].id} is wanted" in counted.refused[0]
    shutil.copy(tmp_path / "new.pub.pem", trusted)
    assert versions(watch, looks=2) == ["2"]
    trusted.write_text("")
    assert versions(watch, looks=2) == []
    assert counted.refused[1].startswith(f"trusted key {trusted}: not a PEM file of keys")
    assert watch.served.artifact.name.version == "2"


def test_the_newest_is_taken(place: Path, counted: Counted) -> None:
    """Of two versions that came before the loop asked it gets the newer; back to what is served is nothing to take."""
    watch, first = counted.watch(place), place.with_name("first")
    shutil.copytree(place, first)
    for version in ("2", "3"):
        write(place, first, version)
        watch.look()
    assert versions(watch) == ["3"]
    write(place, first, "4")
    watch.look()
    write(place, first, "3")
    assert versions(watch) == []
    assert watch.served.artifact.name.version == "3"


def test_a_bad_one_after_one_that_waits(place: Path, counted: Counted) -> None:
    """A version that is ready and waits stays so when a bad one follows it."""
    watch = counted.watch(place)
    write(place, place, "2")
    watch.look()
    (place / GRAPH).write_bytes(b"bad")
    assert versions(watch) == ["2"]
    assert watch.refusals == 1


def exchanging(place: Path, times: int) -> Callable[[Path], Artifact]:
    """Reads an artifact of which, the first so many times, another takes the place while it is read."""
    manifest, files = json.loads((place / MANIFEST).read_text()), {name: (place / name).read_bytes() for name in FILES}
    left, read = iter(range(2, 2 + times)), Path.read_bytes

    def interrupted(self: Path) -> bytes:
        content = read(self)
        if self.name == MANIFEST and (version := next(left, None)):
            other = files | {KERAS: b"%d" % version}  # half of one and half of another is then none
            artifact.write(place, manifest | {"version": str(version)}, other)
        return content

    def load(path: Path) -> Artifact:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "read_bytes", interrupted)
            return artifact.load(path)

    return load


@pytest.mark.parametrize(("times", "looks"), [(1, 1), (2, 2), (3, 2), (4, 3)])
def test_exchanged_while_it_is_read(times: int, looks: int, place: Path, counted: Counted) -> None:
    """Who is read while another takes its place is read again, at once or by the next look, and nothing is refused."""
    watch = counted.watch(place, load=exchanging(place, times))
    for _ in range(looks):
        assert watch.take() is None
        watch.look()
    assert versions(watch, looks=0) == [str(times + 1)]
    assert counted.refused == []


@pytest.mark.parametrize("error", [MemoryError("16 GiB"), ZeroDivisionError(), RecursionError("deep")])
def test_whatever_goes_wrong(error: Exception, place: Path, counted: Counted) -> None:
    """Whatever error reading or making ready ends with, it is a refusal, and the next version is taken."""

    def fail(_: object) -> Any:
        raise error

    for step in ("load", "prepare"):
        watch = counted.watch(place, **{step: fail})
        write(place, place, f"for {step}")
        assert versions(watch, looks=2) == []
        assert counted.refused.pop() == f"{type(error).__name__}: {error}"
    watch = counted.watch(place, prepare=counted.prepare)
    assert versions(watch) == ["for prepare"]


def test_a_threshold_that_the_new_one_does_not_have(place: Path, served: Serving, counted: Counted) -> None:
    """A method that is asked for is found in each new artifact, and one that has none is refused."""
    asked: list[str] = ["mad:5"]
    watch = counted.watch(place, prepare=lambda found: Serving.of(found, asked[0]))
    write(place, place, "2")
    watch.look()
    taken = watch.take()
    assert taken is not None
    assert taken.line.calibrated == calibrate(parse("mad:5"), taken.artifact.calibration)
    asked[0] = "budget:0.001/day"
    write(place, place, "3")
    assert versions(watch) == []
    assert counted.refused[0].startswith("threshold 'budget:0.001/day': its rows can tell no fewer alerts a day")


def as_packed(serving: Serving) -> Serving:
    return replace(serving, decoder=Decoder(serving.artifact.schema, "packed"))


@pytest.mark.parametrize("how", ["fewer", "order", "texts", "booleans"])
def test_packed_rows_keep_their_columns(how: str, place: Path, served: Serving, counted: Counted) -> None:
    """Where rows come packed a successor has the same columns; where they name their values it may have others."""
    schema = served.artifact.schema
    last = schema.features[-1]
    other = {
        "fewer": lambda: replace(schema, features=schema.features[:-1]),
        "order": lambda: replace(schema, features=schema.features[::-1]),
        "texts": lambda: replace(schema, categories={last: ("a", "b")}),
        "booleans": lambda: replace(schema, booleans=(last,)),
    }[how]()
    write(place, place, "2", schema=other.to_dict())
    for current, wanted in ((served, ["2"]), (as_packed(served), [])):
        watch = Counted(current, refused=counted.refused).watch(place)
        assert versions(watch) == wanted
    (why,) = counted.refused
    name = served.artifact.name
    told = f"its features are not those of {name.name} version {name.version}; start a detector with it"
    assert why == f"model {place}: packed rows have no names, and {told}"
    write(place, place, "3", schema=schema.to_dict())
    assert versions(Counted(as_packed(served)).watch(place)) == ["3"]


def test_serving_of(cards_artifact: Artifact, unseen_rows: NDArray[np.float32]) -> None:
    """What is served is ready: the artifact's line or the method asked for, its decoder, its network's scores."""
    one = Serving.of(cards_artifact, "percentile:90", lambda schema: Decoder(schema, "packed", 99))
    assert one.line.calibrated == calibrate(parse("percentile:90"), cards_artifact.calibration)
    assert (one.decoder.schema, one.decoder.default_format) == (cards_artifact.schema, "packed")
    assert one.decoder.max_row_bytes == 99
    assert one.seal == cards_artifact.manifest["sha256"]
    assert one.model.score(unseen_rows).tobytes() == cards_artifact.model().score(unseen_rows).tobytes()
    assert Serving.of(cards_artifact).line.calibrated == cards_artifact.threshold
    with pytest.raises(UsageError, match="'budget:0\\.001/day'"):
        Serving.of(cards_artifact, "budget:0.001/day")


def awaited(watch: Watch) -> Serving:
    """What a watch that looks by itself offers."""
    until = time.monotonic() + 30
    while (taken := watch.take()) is None:
        assert time.monotonic() < until
        threading.Event().wait(0.002)
    return taken


@pytest.fixture
def watching(place: Path, served: Serving) -> Iterator[tuple[Watch, threading.Event]]:
    """A watch that looks by itself, and an event for its first refusal."""
    told = threading.Event()
    watch = Watch(place, 0.005, served, artifact.load, refused=lambda why: told.set())
    watch.start()
    yield watch, told
    watch.close()


def test_by_itself(
    watching: tuple[Watch, threading.Event], place: Path, unseen_rows: NDArray[np.float32], served: Serving
) -> None:
    """In a thread of its own it finds, makes ready and offers; the network gives the same bits in the loop's thread."""
    watch, told = watching
    wanted = served.model.score(unseen_rows).tobytes()
    for version in ("2", "3"):
        write(place, place, version)
        taken = awaited(watch)
        assert taken.artifact.name.version == version
        assert taken.model.score(unseen_rows).tobytes() == wanted
    assert not told.is_set()
    good = place.with_name("good")
    shutil.copytree(place, good)
    shutil.rmtree(place)
    assert told.wait(30)
    assert watch.take() is None
    write(place, good, "4")
    assert awaited(watch).artifact.name.version == "4"


def test_closing(place: Path, served: Serving) -> None:
    """A closed watch has no thread any more, and one that is told never to look has none at all."""
    watch = Watch(place, 0.005, served, artifact.load)
    before = threading.active_count()
    watch.start()
    assert threading.active_count() == before + 1
    watch.close()
    assert threading.active_count() == before
    never = Watch(place, NEVER, served, artifact.load)
    never.start()
    assert threading.active_count() == before
    never.close()


def test_other_threads_log_meanwhile(cards_artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is made beside the loop holds back nothing of what others write to stderr."""

    def never() -> None:
        raise AssertionError("held back")

    monkeypatch.setattr(model, "held_back", never)
    made: list[model.Model] = []
    thread = threading.Thread(target=lambda: made.append(cards_artifact.model()))
    thread.start()
    thread.join()
    assert len(made) == 1
    with pytest.raises(AssertionError, match="held back"):
        cards_artifact.model()


ACTIONS = st.lists(st.sampled_from(["good", "same", "bad", "gone", "look", "look", "take"]), max_size=12)


@given(actions=ACTIONS)
def test_any_story(actions: list[str], served: Serving, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever comes to the path in whatever order, what is served is the last good one that was looked at."""
    place = tmp_path_factory.mktemp("story") / "model"
    counted = Counted(served)
    offered: str | None = None
    current, at, version = served.artifact.name.version, "nothing", 1
    watch = counted.watch(place, load=lambda path: fake(path, served.artifact))
    for number, action in enumerate(actions):
        if action == "look":
            watch.look()
            if at.startswith("good "):
                found = at.removeprefix("good ")
                offered = None if found == current else found
        elif action == "take":
            taken = watch.take()
            assert (None if taken is None else taken.artifact.name.version) == offered
            current, offered = offered or current, None
        else:
            version += action == "good"
            at = {"gone": "nothing", "bad": "bad"}.get(action, f"good {version}")
            put(place, at, number)
        assert watch.served.artifact.name.version == current
    assert watch.refusals == len(counted.refused) <= 1 + sum(action in ("bad", "gone") for action in actions)


def put(place: Path, content: str, number: int) -> None:
    """A directory with a manifest of one line, or none, in one step."""
    staging = place.with_name(f"staging {number}")
    if place.exists():
        place.rename(place.with_name(f"retired {number}"))
    if content != "nothing":
        staging.mkdir()
        (staging / MANIFEST).write_text(content)
        os.rename(staging, place)


def fake(path: Path, like: Artifact) -> Artifact:
    """An artifact by its manifest of one line."""
    if not path.is_dir() or not (text := (path / MANIFEST).read_text()).startswith("good "):
        raise ModelRefused(f"model {path}: bad")
    version = text.removeprefix("good ")
    seal = like.manifest["sha256"] if version == like.name.version else version
    return replace(like, name=type(like.name)("m", version, ""), manifest={**like.manifest, "sha256": seal})
