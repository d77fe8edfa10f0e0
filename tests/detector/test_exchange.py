"""A directory takes its place whole, and of what stood there nothing stays, or all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detector import exchange
from detector.exchange import move_in_place


@pytest.fixture(params=["exchange", "renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the system does it: in one exchange, as Linux can, or by two renames."""
    if request.param == "renames":
        monkeypatch.setattr(exchange, "_exchanged", lambda one, other: False)
    return str(request.param)


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """What is to be moved."""
    return folder(tmp_path / ".staging", "new")


def folder(path: Path, content: str) -> Path:
    """A directory with a file, and one within it."""
    (path / "within").mkdir(parents=True)
    for name in ("file", "within/file"):
        (path / name).write_text(content)
    return path


def there(path: Path) -> dict[str, str]:
    """Every file below a directory with its content."""
    return {str(one.relative_to(path)): one.read_text() for one in path.rglob("*") if one.is_file()}


NEW = {"place/file": "new", "place/within/file": "new"}


def test_a_free_place(staging: Path, tmp_path: Path, way: str) -> None:
    """Where nothing stands the directory is moved."""
    move_in_place(staging, tmp_path / "place")
    assert there(tmp_path) == NEW


def test_an_empty_directory(staging: Path, tmp_path: Path, way: str) -> None:
    """An empty directory gives way."""
    (tmp_path / "place").mkdir()
    move_in_place(staging, tmp_path / "place")
    assert there(tmp_path) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_an_older_one(staging: Path, tmp_path: Path, way: str) -> None:
    """An older directory is replaced, and nothing of it is left, nor anything beside it."""
    older = folder(tmp_path / "place", "old")
    (older / "more").write_text("old")
    move_in_place(staging, older)
    assert there(tmp_path) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_link(staging: Path, tmp_path: Path, way: str) -> None:
    """A link is replaced; what it points at stays."""
    (tmp_path / "place").symlink_to(folder(tmp_path / "elsewhere", "old"))
    move_in_place(staging, tmp_path / "place")
    assert there(tmp_path) == NEW | {"elsewhere/file": "old", "elsewhere/within/file": "old"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "place"]


def test_one_step(staging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system can exchange there is no rename, between which a reader would find nothing."""

    def never(self: Path, target: Path) -> Path:
        raise AssertionError("renamed")

    folder(tmp_path / "place", "old")
    monkeypatch.setattr(Path, "rename", never)
    move_in_place(staging, tmp_path / "place")
    assert there(tmp_path) == NEW


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_failing_move_brings_the_old_one_back(
    error: BaseException, staging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system cannot exchange, and the second of two renames fails, the old one returns to its place."""
    folder(tmp_path / "place", "old")
    before, rename, calls = there(tmp_path), Path.rename, iter([True, False, True])

    def second_fails(self: Path, target: Path) -> Path:
        if not next(calls):
            raise error
        return rename(self, target)

    monkeypatch.setattr(exchange, "_exchanged", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(type(error)):
        move_in_place(staging, tmp_path / "place")
    assert there(tmp_path) == before


def test_an_older_one_that_cannot_be_removed(
    staging: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the older one cannot be removed is no failure: the new one stands in its place."""

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    folder(tmp_path / "place", "old")
    with monkeypatch.context() as patch:
        patch.setattr("os.unlink", denied)
        move_in_place(staging, tmp_path / "place")
    assert there(tmp_path / "place") == {"file": "new", "within/file": "new"}
