"""`fetch` brings a set into the cache whole and verified, or says in one line why not, and then it is there by name."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import lzma
import os
import pickle
import re
import socket
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector import table
from detector.errors import DataRefused
from tests.conftest import real
from tests.trainer import publisher as play
from tests.trainer.publisher import Publisher, publishing
from trainer.__main__ import main
from trainer.datasets import open_data
from trainer.fetch import SOURCES, Source, fetched
from trainer.fetch import download as http
from trainer.fetch.cache import git_blob, place, sha256
from trainer.fetch.daily import digests
from trainer.fetch.download import Patience
from trainer.fetch.fetching import Fetched, Order, fetch
from trainer.fetch.progress import amount, told

Capture = pytest.CaptureFixture[str]
BEATS = "".join(f"{number}.5,{number % 7},{number % 2}.0\n" for number in range(500)).encode()
ACCOUNTS = pd.DataFrame(
    {"created_at": "2016-10-15 21:32:11", "description": "x,\ny", "account_type": ["bot", "human", "human"] * 20}
)
DAYS = ("2018-04-01", "2018-04-02", "2018-04-03")


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as one:
        yield one


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person's cache and login are those of a test, and nobody waits."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(http, "PATIENCE", Patience(connect=5, read=5, tries=2, pause=0))


@pytest.fixture
def ecg(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A set of one file in the shape of the heartbeats, published here."""
    url = publisher.publish("/ecg.csv", BEATS)
    return known(monkeypatch, "ecg", url=url, sha256=sha(BEATS), size=len(BEATS), rows=500, anomalous=250, label="c2")


@pytest.fixture
def twitter(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A set behind a login, in a zip, without a published digest."""
    url = publisher.publish("/twitter", zipped(ACCOUNTS.to_csv(index=False)))
    return known(monkeypatch, "twitter", url=url, rows=60, anomalous=20)


@pytest.fixture
def handbook(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Three days of transactions, listed by a commit."""
    for number, day in enumerate(DAYS):
        publisher.publish(f"/data/{day}.pkl", pickled(transactions(number)))
    entries = [
        {"path": path.removeprefix("/"), "type": "blob", "sha": git_blob(content)}
        for path, content in publisher.files.items()
    ]
    listing = {"tree": [{"path": "data", "type": "tree", "sha": "0" * 40}, *entries]}
    tree = publisher.publish("/tree", json.dumps(listing).encode())
    daily = SOURCES["handbook"].daily
    assert daily
    return known(
        monkeypatch,
        "handbook",
        url=publisher.url("/data"),
        rows=30,
        anomalous=3,
        daily=replace(daily, last=date(2018, 4, 3), tree=f"{tree}?recursive=1", digests=None),
    )


def known(monkeypatch: pytest.MonkeyPatch, name: str, **changes: object) -> Source:
    """Puts a changed set in the place of a known one."""
    source: Source = replace(SOURCES[name], **changes)  # type: ignore[arg-type]
    monkeypatch.setitem(SOURCES, name, source)
    return source


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zipped(text: str, name: str = "twitter_human_bots_dataset.csv") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return out.getvalue()


def transactions(number: int) -> pd.DataFrame:
    """A day of ten transactions, one a fraud."""
    return pd.DataFrame(
        {
            "TRANSACTION_ID": np.arange(10) + 10 * number,
            "TX_DATETIME": pd.date_range(DAYS[number], periods=10, freq="h").as_unit("ns"),
            "CUSTOMER_ID": pd.Series(list(range(10)), dtype=object),
            "TX_AMOUNT": np.arange(10) / 7,
            "TX_FRAUD": [0] * 9 + [1],
            "TX_FRAUD_SCENARIO": [0] * 9 + [2],
        }
    )


def pickled(frame: pd.DataFrame) -> bytes:
    return pickle.dumps(frame.set_axis(frame.columns.astype(object), axis=1), protocol=4)


def got(name: str, **order: object) -> Fetched:
    return fetch(name, SOURCES[name], Order(**order))  # type: ignore[arg-type]


def ran(capture: Capture, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `trainer fetch`."""
    code = main(["fetch", *map(str, arguments)])
    return code, *capture.readouterr()


def failed(capture: Capture, code: int, *arguments: object) -> str:
    """The one line of a fetch that fails, after what it told of its progress."""
    found, out, err = ran(capture, *arguments)
    assert (found, out) == (code, "")
    *before, last = err.splitlines()
    assert all(line.startswith("fetch: ") for line in before)
    assert last.startswith("error: ")
    return last


def left(name: str) -> set[str]:
    """What is in a set's folder of the cache but for the lock."""
    return {path.name for path in place(name).rglob("*")} - {"lock"}


def test_fetch(ecg: Source, publisher: Publisher, capsys: Capture) -> None:
    """A set comes, is verified, and is told of: rows, whence, digest, licence, citation, path; the progress apart."""
    code, out, err = ran(capsys, "ecg")
    path = fetched("ecg")
    assert code == 0
    assert path is not None
    assert path.read_bytes() == BEATS
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert lines["path"] == str(path)
    assert lines["sha256"] == sha(BEATS)
    assert lines["from"] == ecg.url
    assert (lines["licence"], lines["cite"]) == (ecg.licence, ecg.citation)
    assert lines["rows"] == "500, 250 of them anomalous (c2 is not 1)"
    assert err == "fetch: ecg 0.0 of 0.0 MB\n"
    assert left("ecg") == {"ecg.csv", "record.json"}


def test_what_is_there_is_not_fetched(ecg: Source, publisher: Publisher, capsys: Capture) -> None:
    """A set that is there is verified again and nothing is asked of anybody."""
    first = got("ecg")
    second = got("ecg")
    assert (first.fresh, second.fresh) == (True, False)
    assert second.record == first.record
    assert len(publisher.asked) == 1
    assert "nothing was asked now" in ran(capsys, "ecg")[1]


def test_what_is_damaged_is_fetched_again(ecg: Source, publisher: Publisher, capsys: Capture) -> None:
    """A file that is no longer what was fetched is not handed out."""
    path = got("ecg").path
    path.write_bytes(BEATS[:-1])
    assert got("ecg").fresh
    assert path.read_bytes() == BEATS
    assert f"{path} is not what was fetched; fetching it again" in capsys.readouterr().err


def test_force(ecg: Source, publisher: Publisher, capsys: Capture) -> None:
    """--force asks again, from the beginning; until the new file is verified the old one stays."""
    got("ecg")
    publisher.script = [play.cut(10), play.status(404)]
    failed(capsys, 1, "ecg", "--force")
    assert fetched("ecg", None) is not None
    assert ran(capsys, "ecg", "--force")[0] == 0
    assert publisher.ranges == [None, None, "bytes=10-", None]


def test_cache(ecg: Source, tmp_path: Path, capsys: Capture) -> None:
    """--cache keeps it elsewhere."""
    assert ran(capsys, "ecg", "--cache", tmp_path / "other")[0] == 0
    assert (tmp_path / "other" / "ecg" / "ecg.csv").read_bytes() == BEATS
    assert fetched("ecg") is None
    assert fetched("ecg", tmp_path / "other") is not None


def test_a_cache_that_cannot_be(ecg: Source, tmp_path: Path, capsys: Capture) -> None:
    """A place where nothing can be kept is named."""
    (tmp_path / "file").write_text("x")
    assert "file/ecg: Not a directory" in failed(capsys, 1, "ecg", "--cache", tmp_path / "file")


def test_wrong_bytes(ecg: Source, publisher: Publisher, capsys: Capture) -> None:
    """Wrong bytes of the right length are refused with both digests, and nothing of them is kept."""
    wrong = BEATS[::-1]
    publisher.script = [play.other(wrong)]
    assert failed(capsys, 8, "ecg") == (
        f"error: {ecg.url}: sha256 is {sha(wrong)}, {sha(BEATS)} wanted; the file was removed"
    )
    assert left("ecg") == set()


def test_a_mirror(ecg: Source, publisher: Publisher, capsys: Capture) -> None:
    """--url takes another address, also of a zip, and holds it to the same digest."""
    publisher.publish("/zip", zipped(BEATS.decode(), "ecg.csv"))
    publisher.publish("/bad", BEATS + b"\n")
    assert "sha256 is" in failed(capsys, 8, "ecg", "--url", publisher.url("/bad"))
    code, out, _ = ran(capsys, "ecg", "--url", f"http://me:hidden@127.0.0.1:{publisher.port}/zip?key=hidden")
    assert code == 0
    assert f"from      {publisher.url('/zip')}\n" in out
    assert left("ecg") == {"ecg.csv", "record.json"}
    assert "hidden" not in out + (place("ecg") / "record.json").read_text()


def test_a_file_that_the_person_has(ecg: Source, publisher: Publisher, tmp_path: Path, capsys: Capture) -> None:
    """--from takes a file, plain or in a zip, asks nobody, and holds it to the same digest."""
    (tmp_path / "mine.zip").write_bytes(zipped(BEATS.decode(), "ecg.csv"))
    (tmp_path / "bad.csv").write_bytes(BEATS[:-1])
    assert "bad.csv: sha256 is" in failed(capsys, 8, "ecg", "--from", tmp_path / "bad.csv")
    assert "absent.csv: no such file" in failed(capsys, 8, "ecg", "--from", tmp_path / "absent.csv")
    code, out, _ = ran(capsys, "ecg", "--from", tmp_path / "mine.zip")
    assert code == 0
    assert f"from      {tmp_path / 'mine.zip'}\n" in out
    assert publisher.asked == []


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_out(ending: str, ecg: Source, tmp_path: Path, capsys: Capture) -> None:
    """--out writes the same rows to a file; the same bytes where nothing is to be converted."""
    out = tmp_path / f"beats{ending}"
    assert ran(capsys, "ecg", "--out", out)[0] == 0
    path = fetched("ecg")
    assert path is not None
    pd.testing.assert_frame_equal(table.read(out), table.read(path), check_exact=True, check_dtype=False)
    assert ending != ".csv" or out.read_bytes() == BEATS


@pytest.mark.parametrize("name", ["absent/x.csv", "file/x.csv", "folder.csv", "x.txt"])
def test_out_that_cannot_be(name: str, ecg: Source, tmp_path: Path, capsys: Capture) -> None:
    """A file that cannot be written is named; the set is in the cache all the same."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.csv").mkdir()
    assert "out " in failed(capsys, 8, "ecg", "--out", tmp_path / name)
    assert fetched("ecg") is not None
    assert not list(tmp_path.glob(".part*"))


@pytest.mark.parametrize("arguments", [[], ["--list"], ["ecg", "--list"]])
def test_list(arguments: list[str], capsys: Capture) -> None:
    """Without a name, or with --list, every set is told of with its size and licence."""
    code, out, err = ran(capsys, *arguments)
    assert (code, err) == (0, "")
    for name, source in SOURCES.items():
        assert re.search(rf"^{name}\n  {re.escape(source.about)}\n.* to download", out, re.MULTILINE)
        assert source.licence in out


def test_list_says_what_is_there(ecg: Source, capsys: Capture) -> None:
    """A set in the cache is marked in the list."""
    got("ecg")
    assert "ecg (in the cache)\n" in ran(capsys)[1]


@pytest.mark.parametrize(
    "arguments",
    [["cards"], ["ecg", "--url", "nonsense"], ["ecg", "--url", "http://[x"], ["ecg", "--url", "u", "--from", "f"]],
)
def test_wrong_arguments(arguments: list[str], capsys: Capture) -> None:
    """Arguments that make no sense are refused as such."""
    with pytest.raises(SystemExit) as ended:
        main(["fetch", *arguments])
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_variant_of_what_has_none(capsys: Capture) -> None:
    """Only the handbook has variants."""
    assert failed(capsys, 2, "ecg", "--variant", "raw") == "error: --variant raw: ecg has no variants, handbook has"


def test_the_server_is_gone(ecg: Source, capsys: Capture) -> None:
    """Where nobody answers the person is told so."""
    with socket.socket() as bound:  # a port that nobody listens on
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/x"
        assert failed(capsys, 1, "ecg", "--url", url) == f"error: {url}: cannot be reached; gave up after 2 tries"


def test_no_such_file(ecg: Source, publisher: Publisher, capsys: Capture) -> None:
    """An address without a file is told with the server's words."""
    url = publisher.url("/nothing")
    assert failed(capsys, 1, "ecg", "--url", url) == f"error: {url}: HTTP 404 Not Found"


def test_a_full_disk(ecg: Source, capsys: Capture) -> None:
    """A full disk ends it with one line that says where."""
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    place("ecg").mkdir(parents=True)
    (place("ecg") / "ecg.csv.part").symlink_to("/dev/full")
    assert "ecg.csv.part: No space left on device" in failed(capsys, 1, "ecg")


def test_a_disk_that_fills_after_the_download(
    ecg: Source, publisher: Publisher, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no room for what is made of the download, that too is one line."""
    publisher.publish("/zip", zipped(BEATS.decode(), "ecg.csv"))

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("trainer.fetch.fetching.shutil.copyfileobj", full)
    text = failed(capsys, 1, "ecg", "--url", publisher.url("/zip"))
    assert text == f"error: {place('ecg')}: No space left on device"
    assert fetched("ecg") is None


def test_two_at_once(ecg: Source, publisher: Publisher) -> None:
    """Of two that fetch one set at once one asks, and both have it."""
    begun = threading.Barrier(2)
    results: list[Fetched] = []

    def work() -> None:
        begun.wait(10)
        results.append(got("ecg"))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(one.fresh for one in results) == [False, True]
    assert results[0].path == results[1].path
    assert len(publisher.asked) == 1


def test_the_second_waits(ecg: Source, publisher: Publisher, capsys: Capture) -> None:
    """The one that comes second says that it waits, and goes on when the first is done."""
    publisher.script = [play.stalled(10)]
    first = threading.Thread(target=got, args=("ecg",))
    first.start()
    seen = threading.Event()

    def second() -> None:
        while not publisher.asked:
            seen.wait(0.01)
        got("ecg")

    waiting = threading.Thread(target=second)
    waiting.start()
    err = ""
    while "another one is fetching ecg; waiting for it" not in err:
        assert waiting.is_alive()
        err += capsys.readouterr().err
        seen.wait(0.01)
    publisher.released.set()
    for thread in (first, waiting):
        thread.join(30)
    assert publisher.ranges == [None, "bytes=10-"]


def test_by_name(ecg: Source) -> None:
    """A fetched set is opened by its name, with the meaning of its columns."""
    with pytest.raises(DataRefused, match=r"'ecg' is not in the cache; fetch it first: python -m trainer fetch ecg$"):
        open_data("ecg")
    got("ecg")
    data = open_data("ecg")
    assert (data.name, data.label, data.normal, data.time) == ("ecg", "c2", "1", None)
    assert list(data.frame.columns) == ["c0", "c1", "c2"]
    assert int(table.anomalous(data.frame, "c2", "1").sum()) == 250


def test_progress_lines(capsys: Capture) -> None:
    """Where nobody watches, a line tells when all is there."""
    with told("x", "MB") as tell:
        tell(2_500_000, 5_000_000)
        tell(3_000_000, 5_000_000)
        tell(5_000_000, 5_000_000)
    assert capsys.readouterr().err.splitlines()[-1] == "fetch: x 5.0 of 5.0 MB"
    assert (amount(3, 183, "files"), amount(1_500_000, None, "MB")) == ("3 of 183 files", "1.5 MB")


def test_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a person watches, a bar fills."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with told("creditcard", "MB") as tell:
        tell(1_000_000, 2_000_000)
        tell(2_000_000, 2_000_000)
    assert "creditcard" in screen.getvalue()
    assert "2.0 of 2.0 MB" in screen.getvalue()


def test_twitter_without_a_login(twitter: Source, publisher: Publisher, capsys: Capture) -> None:
    """Without a login nothing is asked; the person is told where to get one, and what else to do."""
    text = failed(capsys, 2, "twitter")
    for wanted in ("https://www.kaggle.com/settings", "KAGGLE_USERNAME", "kaggle.json", "--from FILE"):
        assert wanted in text
    assert publisher.asked == []


def in_environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "hidden")


def in_a_file(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (home / ".kaggle").mkdir()
    (home / ".kaggle" / "kaggle.json").write_text('{"username": "me", "key": "hidden"}')


def in_another_folder(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home))
    (home / "kaggle.json").write_text('{"username": "me", "key": "hidden"}')


@pytest.mark.parametrize("where", [in_environment, in_a_file, in_another_folder])
def test_twitter(
    where: Callable[[pytest.MonkeyPatch, Path], None],
    twitter: Source,
    publisher: Publisher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    """With a login the zip comes and is unpacked; that its digest is trusted on first use is said; no key is shown."""
    where(monkeypatch, tmp_path)
    code, out, err = ran(capsys, "twitter")
    path = fetched("twitter")
    assert code == 0
    assert path is not None
    pd.testing.assert_frame_equal(table.read(path), ACCOUNTS)
    assert publisher.asked[0][1]["Authorization"] == "Basic bWU6aGlkZGVu"
    assert "TRUSTED ON FIRST USE" in out
    assert "never redistribute" in out
    assert "hidden" not in out + err
    assert not [path for path in place("twitter").iterdir() if b"hidden" in path.read_bytes()]
    assert left("twitter") == {"twitter_human_bots_dataset.csv", "record.json", "first-use.json"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"username": "me"}', "hidden"])
def test_a_login_that_is_none(content: str, twitter: Source, tmp_path: Path, capsys: Capture) -> None:
    """A kaggle.json that cannot be read is named, and not quoted."""
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle" / "kaggle.json").write_text(content)
    text = failed(capsys, 2, "twitter")
    assert 'kaggle.json: {"username": ..., "key": ...} wanted' in text
    assert "hidden" not in text


@pytest.mark.parametrize("code", [401, 403])
def test_a_login_that_is_refused(
    code: int, twitter: Source, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    """A name or key that is not accepted is told as that."""
    in_environment(monkeypatch, tmp_path)
    publisher.script = [play.status(code)]
    text = failed(capsys, 2, "twitter")
    assert f"HTTP {code} " in text
    assert "the name or the key is not accepted. Kaggle wants a login" in text


def test_a_mirror_gets_no_login(
    twitter: Source, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A mirror is none of the publisher's: no login goes to it, and none is needed."""
    in_environment(monkeypatch, tmp_path)
    got("twitter", url=publisher.publish("/mirror", ACCOUNTS.to_csv(index=False).encode()))
    assert "Authorization" not in publisher.asked[0][1]


def test_trusted_on_first_use(twitter: Source, tmp_path: Path, capsys: Capture) -> None:
    """A later file with the right counts and other bytes is refused with both digests, and how to trust it."""
    for name, text in (("one", "x"), ("two", "y")):
        ACCOUNTS.assign(description=text).to_csv(tmp_path / f"{name}.csv", index=False)
    got("twitter", given=tmp_path / "one.csv")
    text = failed(capsys, 8, "twitter", "--from", tmp_path / "two.csv")
    assert sha256(tmp_path / "one.csv") in text
    assert sha256(tmp_path / "two.csv") in text
    (place("twitter") / "first-use.json").unlink()
    assert got("twitter", given=tmp_path / "two.csv").fresh


def test_other_counts(twitter: Source, tmp_path: Path, capsys: Capture) -> None:
    """Without a digest, a file with other rows than its publisher counts is refused."""
    ACCOUNTS.head(59).to_csv(tmp_path / "x.csv", index=False)
    text = failed(capsys, 8, "twitter", "--from", tmp_path / "x.csv")
    assert text.endswith("59 rows, 20 of them anomalous; 60 and 20 wanted")
    ACCOUNTS.drop(columns="account_type").to_csv(tmp_path / "x.csv", index=False)
    assert "label column 'account_type' is not in the data" in failed(
        capsys, 8, "twitter", "--from", tmp_path / "x.csv"
    )


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (zipped("x", "other.csv"), "a zip without twitter_human_bots_dataset.csv"),
        (zipped(ACCOUNTS.to_csv(index=False)).replace(b"PK\x03\x04", b"PK\x03\x05"), "a zip that cannot be unpacked"),
        (b"<html>\nsign in\n</html>", "label column 'account_type' is not in the data"),
    ],
)
def test_what_is_no_set(content: bytes, wanted: str, twitter: Source, tmp_path: Path, capsys: Capture) -> None:
    """A zip that is damaged or holds something else, or a page, is refused and not kept."""
    (tmp_path / "x").write_bytes(content)
    assert wanted in failed(capsys, 8, "twitter", "--from", tmp_path / "x")
    assert left("twitter") == set()


def test_a_zip_that_bursts(twitter: Source, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small zip that would fill the disk is refused before it does."""
    monkeypatch.setattr("trainer.fetch.fetching.LARGEST", 1_000)
    (tmp_path / "x.zip").write_bytes(zipped("x" * 1_001))
    assert "would unpack to 1001 bytes, at most 1000 wanted" in failed(
        capsys, 8, "twitter", "--from", tmp_path / "x.zip"
    )


def test_handbook(handbook: Source, publisher: Publisher, capsys: Capture) -> None:
    """A file a day becomes a folder of Parquet files, each verified by the digest of the pinned commit."""
    code, out, err = ran(capsys, "handbook")
    path = fetched("handbook")
    assert code == 0
    assert path is not None
    assert [file.name for file in sorted(path.iterdir())] == [f"{day}.parquet" for day in DAYS]
    assert "each of 3 files is that of commit 6e67dbd0" in out
    assert err.endswith("fetch: handbook 3 of 3 files\n")
    assert got("handbook").fresh is False
    assert len(publisher.asked) == 4
    assert left("handbook") == {"days", "record.json", *(f"{day}.parquet" for day in DAYS)}


def test_handbook_by_name(handbook: Source) -> None:
    """By name all days are one table, without the column that tells the label."""
    got("handbook")
    data = open_data("handbook")
    whole = pd.concat([transactions(number) for number in range(3)], ignore_index=True)
    wanted = whole.astype({"CUSTOMER_ID": np.int64}).drop(columns="TX_FRAUD_SCENARIO")
    pd.testing.assert_frame_equal(data.frame, wanted, check_exact=True)
    assert (data.label, data.normal, data.time) == ("TX_FRAUD", "0", "TX_DATETIME")


def test_handbook_out(handbook: Source, tmp_path: Path, capsys: Capture) -> None:
    """--out writes all days to one file."""
    assert ran(capsys, "handbook", "--out", tmp_path / "all.parquet")[0] == 0
    assert table.read(tmp_path / "all.parquet")["TRANSACTION_ID"].tolist() == list(range(30))


def test_handbook_variant(handbook: Source, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The transformed variant is a set of its own."""
    monkeypatch.setitem(SOURCES, "handbook-transformed", handbook)
    assert ran(capsys, "handbook", "--variant", "transformed")[0] == 0
    assert fetched("handbook") is None
    assert fetched("handbook-transformed") is not None


def test_handbook_goes_on(handbook: Source, publisher: Publisher, capsys: Capture) -> None:
    """Days that came are not asked for again when a later one failed."""
    good = publisher.files.pop("/data/2018-04-03.pkl")
    assert "2018-04-03.pkl: HTTP 404" in failed(capsys, 1, "handbook")
    assert fetched("handbook") is None
    publisher.files["/data/2018-04-03.pkl"] = good
    publisher.asked.clear()
    assert ran(capsys, "handbook")[0] == 0
    assert [path for path, _ in publisher.asked] == ["/tree?recursive=1", "/data/2018-04-03.pkl"]


def test_handbook_wrong_bytes(handbook: Source, publisher: Publisher, capsys: Capture) -> None:
    """A day with other bytes is refused with both digests before it is read, and not kept."""
    wrong = pickled(transactions(0))
    wanted = git_blob(publisher.files["/data/2018-04-02.pkl"])
    publisher.files["/data/2018-04-02.pkl"] = wrong
    text = failed(capsys, 8, "handbook")
    assert f"2018-04-02.pkl: git's SHA-1 is {git_blob(wrong)}, {wanted} wanted" in text
    assert not list(place("handbook").rglob("2018-04-02*"))


def test_handbook_hostile(handbook: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Even a pickle of the right digest cannot run anything."""
    mark, clone = tmp_path / "ran", tmp_path / "clone"

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {mark}",)

    content = pickle.dumps(Hostile())
    clone.mkdir()
    for day in DAYS:
        (clone / f"{day}.pkl").write_bytes(content)
    monkeypatch.setattr("trainer.fetch.fetching.digests", lambda daily, ask: dict.fromkeys(DAYS, git_blob(content)))
    assert f"the pickle asks for {os.name}.system" in failed(capsys, 8, "handbook", "--from", clone)
    assert not mark.exists()


def test_handbook_counts(handbook: Source, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Days that together are not the set are refused and removed."""
    known(monkeypatch, "handbook", anomalous=4)
    assert failed(capsys, 8, "handbook").endswith("30 rows, 3 of them anomalous; 30 and 4 wanted")
    assert left("handbook") == set()


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (b"<html>", "/tree: not the listing of a commit"),
        (b"{}", "/tree: not the listing of a commit"),
        (b'{"tree": []}', "lists no 2018-04-01.pkl, 3 days wanted"),
    ],
)
def test_handbook_without_a_listing(
    answer: bytes, wanted: str, handbook: Source, publisher: Publisher, capsys: Capture
) -> None:
    """Without the commit's listing there is nothing to verify by, and nothing is fetched."""
    publisher.files["/tree"] = answer
    assert wanted in failed(capsys, 8, "handbook")
    assert len(publisher.asked) == 1


@pytest.mark.parametrize("folder", ["", "data"])
def test_handbook_from_a_clone(
    folder: str, handbook: Source, publisher: Publisher, tmp_path: Path, capsys: Capture
) -> None:
    """--from takes the days from a folder, or from a clone of the repository."""
    (tmp_path / "clone" / folder).mkdir(parents=True)
    for day in DAYS[:2]:
        (tmp_path / "clone" / folder / f"{day}.pkl").write_bytes(publisher.files[f"/data/{day}.pkl"])
    assert "clone: no 2018-04-03.pkl in this folder" in failed(capsys, 8, "handbook", "--from", tmp_path / "clone")
    (tmp_path / "clone" / folder / "2018-04-03.pkl").write_bytes(publisher.files["/data/2018-04-03.pkl"])
    assert ran(capsys, "handbook", "--from", tmp_path / "clone")[0] == 0
    assert {path for path, _ in publisher.asked} == {"/tree?recursive=1"}


def test_handbook_again(handbook: Source, publisher: Publisher, capsys: Capture) -> None:
    """--force replaces the folder; a damaged one is seen and replaced too."""
    path = got("handbook").path
    assert got("handbook", again=True).fresh
    (path / "2018-04-02.parquet").unlink()
    assert got("handbook").fresh
    assert len(list(path.iterdir())) == 3
    assert left("handbook") >= {"days", "record.json"}
    assert not [name for name in left("handbook") if name.endswith((".old", ".part"))]


def test_pinned() -> None:
    """Every digest that is kept here is one; the Handbook's raw days are all there, and no two alike."""
    for source in SOURCES.values():
        assert source.sha256 is None or re.fullmatch("[0-9a-f]{64}", source.sha256)
        assert source.url.startswith("https://")
    daily = SOURCES["handbook"].daily
    assert daily
    found = digests(daily, lambda url: pytest.fail("nobody is to be asked"))
    assert tuple(found) == daily.days
    assert (len(daily.days), daily.days[-1]) == (183, "2018-09-30")
    assert len(set(found.values())) == 183
    assert all(re.fullmatch("[0-9a-f]{40}", one) for one in found.values())
    assert daily.commit in SOURCES["handbook"].url


def test_git_blob() -> None:
    """The digest is git's: that of the empty file is known."""
    assert git_blob(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert git_blob(b"hello world\n") == "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"


def test_the_real_heartbeats(publisher: Publisher, capsys: Capture) -> None:
    """The file that TensorFlow serves has the digest, the size and the counts that are kept here."""
    content = lzma.decompress(real("ecg.csv.xz").read_bytes())
    publisher.script = [play.cut(1_000_000), play.cut(3_000_000)]
    assert len(content) == SOURCES["ecg"].size
    assert ran(capsys, "ecg", "--url", publisher.publish("/ecg.csv", content))[0] == 0
    data = open_data("ecg")
    assert data.label == "c140"
    assert data.normal == "1"
    anomalous = int(table.anomalous(data.frame, data.label, data.normal).sum())
    assert (len(data.frame), anomalous) == (SOURCES["ecg"].rows, SOURCES["ecg"].anomalous)
