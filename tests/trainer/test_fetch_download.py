"""A file that comes over HTTP is whole or not there, whatever the server does; what has come is not asked for again."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import Failure
from tests.trainer import publisher as play
from tests.trainer.publisher import Publisher, publishing
from trainer.fetch.cache import CHUNK
from trainer.fetch.download import Patience, Refused, Wanted, _refuse, download, shown, text

CONTENT = b"".join(b"%d," % number for number in range(20_000))
HASTY = Patience(connect=5, read=5, tries=3, pause=0)
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as one:
        yield one


def got(wanted: Wanted | str, part: Path, patience: Patience = HASTY) -> bytes:
    """What a download leaves."""
    with requests.Session() as session:
        one = Wanted(wanted) if isinstance(wanted, str) else wanted
        download(one, part, lambda there, total: None, patience, session)
    return part.read_bytes()


def is_content(part: Path) -> bool:
    return part.read_bytes() == CONTENT


def test_a_file_comes(publisher: Publisher, tmp_path: Path) -> None:
    """One request brings a file, asked for as it is; what is beside the part of it goes when it is whole."""
    assert got(publisher.publish("/x", CONTENT), tmp_path / "x.part") == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["x.part"]
    assert publisher.asked[0][1]["Accept-Encoding"] == "identity"
    assert publisher.ranges == [None]


@given(cuts=st.lists(st.integers(1, len(CONTENT)), max_size=5))
def test_a_server_that_hangs_up(cuts: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    """However often the server hangs up, the file is whole, and no byte that had come is asked for again."""
    with publishing() as publisher:
        publisher.script = [play.cut(count) for count in cuts]
        part = tmp_path_factory.mktemp("cut") / "x.part"
        assert got(publisher.publish("/x", CONTENT), part) == CONTENT
    starts = [sum(cuts[:number]) for number in range(len(publisher.asked))]
    assert publisher.ranges == [f"bytes={start}-" if start else None for start in starts]


def test_a_rest_without_a_validator(publisher: Publisher, tmp_path: Path) -> None:
    """A server that names the content with the whole file alone is asked for one rest after the other all the same."""
    publisher.script = [play.cut(100), play.cut(100, named=False)]
    assert got(publisher.publish("/x", CONTENT), tmp_path / "x.part") == CONTENT
    assert publisher.ranges == [None, "bytes=100-", "bytes=200-"]


def test_what_an_earlier_call_left(publisher: Publisher, tmp_path: Path) -> None:
    """A download that was given up is continued by the next call."""
    url = publisher.publish("/x", CONTENT)
    publisher.script = [play.cut(100), *[play.status(503)] * 3]
    with pytest.raises(Failure, match="HTTP 503 Service Unavailable; gave up after 3 tries"):
        got(url, tmp_path / "x.part")
    assert (tmp_path / "x.part").read_bytes() == CONTENT[:100]
    assert got(url, tmp_path / "x.part") == CONTENT
    assert publisher.ranges[-1] == "bytes=100-"


def test_an_interrupted_download(publisher: Publisher, tmp_path: Path) -> None:
    """Ctrl-C keeps what has come for the next call."""
    content = CONTENT * 30
    url, part = publisher.publish("/x", content), tmp_path / "x.part"

    def interrupt(there: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with requests.Session() as session, pytest.raises(KeyboardInterrupt):
        download(Wanted(url), part, interrupt, HASTY, session)
    kept = part.stat().st_size
    assert 0 < kept <= CHUNK < len(content)
    assert got(url, part) == content
    assert publisher.ranges == [None, f"bytes={kept}-"]


def test_an_interrupted_download_of_another_file(publisher: Publisher, tmp_path: Path) -> None:
    """What came from one address is not continued from another."""
    publisher.script = [play.cut(100), *[play.status(503)] * 3]
    with pytest.raises(Failure):
        got(publisher.publish("/x", CONTENT), tmp_path / "part")
    assert got(publisher.publish("/y", CONTENT[::-1]), tmp_path / "part") == CONTENT[::-1]
    assert publisher.ranges[-1] is None


def test_a_file_that_changed(publisher: Publisher, tmp_path: Path) -> None:
    """A file that changed between two requests is fetched from its beginning: no mixture of two."""
    changed = CONTENT.replace(b"7", b"8")

    def cut_and_change(handler: play.Handler, content: bytes) -> None:
        play.cut(5_000)(handler, content)
        publisher.files["/x"] = changed

    publisher.script = [cut_and_change]
    assert got(publisher.publish("/x", CONTENT), tmp_path / "x.part") == changed
    assert publisher.asked[1][1]["If-Range"] == play.tag(CONTENT)


def test_without_a_validator(publisher: Publisher, tmp_path: Path) -> None:
    """Where the server gives nothing to tell two contents apart by, nothing is continued."""
    publisher.script = [play.unnamed_cut(500)]
    assert got(publisher.publish("/x", CONTENT), tmp_path / "x.part") == CONTENT
    assert publisher.ranges == [None, None]


@pytest.mark.parametrize("cuts", [[300], [300, 4_000, 20_000]])
def test_a_server_without_ranges(cuts: list[int], publisher: Publisher, tmp_path: Path) -> None:
    """A server that knows no Range sends the file from its beginning, and so it is taken."""
    publisher.script = [*map(play.whole_cut, cuts), play.always_whole]
    assert got(publisher.publish("/x", CONTENT), tmp_path / "x.part") == CONTENT


def test_a_file_in_chunks(publisher: Publisher, tmp_path: Path) -> None:
    """A file of unknown length is whole when its last chunk says so, and not when the connection just ends."""
    publisher.script = [play.chunked_cut, play.chunked]
    assert got(publisher.publish("/x", CONTENT), tmp_path / "x.part") == CONTENT
    assert publisher.ranges == [None, "bytes=5000-"]


def test_a_server_that_never_gets_further(publisher: Publisher, tmp_path: Path) -> None:
    """Tries that bring no new byte run out."""
    publisher.script = [play.whole_cut(300)] * 50
    with pytest.raises(Failure, match="the connection broke; gave up after 3 tries"):
        got(publisher.publish("/x", CONTENT), tmp_path / "x.part")
    assert len(publisher.asked) == 4


def test_a_server_that_stalls(publisher: Publisher, tmp_path: Path) -> None:
    """A server that stops sending is left after the time that it was given, and asked again for the rest."""
    publisher.script = [play.stalled(1_000)]
    patience = Patience(connect=5, read=0.2, tries=2, pause=0)
    assert got(publisher.publish("/x", CONTENT), tmp_path / "x.part", patience) == CONTENT
    assert publisher.ranges == [None, "bytes=1000-"]


def test_a_server_that_stalls_for_good(publisher: Publisher, tmp_path: Path) -> None:
    """Whoever always stalls is given up, with the time that was waited."""
    publisher.script = [play.stalled(1_000), *[play.stalled(0)] * 9]
    patience = Patience(connect=5, read=0.2, tries=2, pause=0)
    with pytest.raises(Failure, match=r"nothing came for 0\.2 s; gave up after 2 tries"):
        got(publisher.publish("/x", CONTENT), tmp_path / "x.part", patience)
    assert (tmp_path / "x.part").read_bytes() == CONTENT[:1_000]


def test_a_length_that_is_too_long(publisher: Publisher, tmp_path: Path) -> None:
    """A server that promises more than there is: where a digest can tell, the file is known to be whole."""
    url = publisher.publish("/x", CONTENT)
    publisher.script = [play.lying(+10)]
    assert got(Wanted(url, whole=is_content), tmp_path / "x.part") == CONTENT
    assert len(publisher.asked) == 1


def test_a_length_that_is_too_long_without_a_digest(publisher: Publisher, tmp_path: Path) -> None:
    """Where nothing can tell, a file that is shorter than promised is not taken."""
    publisher.script = [play.lying(+10)] * 9
    with pytest.raises(Failure, match="the connection broke; gave up after 3 tries"):
        got(publisher.publish("/x", CONTENT), tmp_path / "x.part")


def test_a_length_that_is_too_short(publisher: Publisher, tmp_path: Path) -> None:
    """A server that promises less than there is: where the size is known, the rest is asked for."""
    url = publisher.publish("/x", CONTENT)
    publisher.script = [play.lying(-10)]
    assert got(Wanted(url, size=len(CONTENT)), tmp_path / "x.part") == CONTENT
    assert len(publisher.asked) == 2


def test_more_than_the_size(publisher: Publisher, tmp_path: Path) -> None:
    """A file that is longer than it should be is refused before it fills the disk."""
    url = publisher.publish("/x", CONTENT)
    with pytest.raises(Refused, match="sends more than the 100 bytes it should"):
        got(Wanted(url, size=100), tmp_path / "x.part")
    assert len(publisher.asked) == 1


def test_all_is_there_already(publisher: Publisher, tmp_path: Path) -> None:
    """Where all had come but nobody knew, the server says so and nothing is sent again."""
    url = publisher.publish("/x", CONTENT)
    publisher.script = [play.cut(len(CONTENT) - 1), *[play.status(503)] * 3]
    with pytest.raises(Failure):
        got(url, tmp_path / "x.part")
    with (tmp_path / "x.part").open("ab") as part:
        part.write(CONTENT[-1:])
    assert got(url, tmp_path / "x.part") == CONTENT
    assert publisher.ranges[-1] == f"bytes={len(CONTENT)}-"


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_refused(code: int, publisher: Publisher, tmp_path: Path) -> None:
    """An answer that no second request would better ends it, with its status."""
    publisher.script = [play.status(code)]
    with pytest.raises(Refused, match=rf"^http://127\.0\.0\.1:\d+/x: HTTP {code} \w+") as refused:
        got(publisher.publish("/x", CONTENT), tmp_path / "x.part")
    assert refused.value.status == code
    assert len(publisher.asked) == 1
    assert not (tmp_path / "x.part").exists()


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_asked_again(code: int, publisher: Publisher, tmp_path: Path, capsys: Capture) -> None:
    """A server that is busy is asked again, and the person told so."""
    publisher.script = [play.status(code, Retry_After="3600")] * 2
    assert got(publisher.publish("/x", CONTENT), tmp_path / "x.part") == CONTENT
    assert capsys.readouterr().err.count(f"fetch: HTTP {code} ") == 2


def test_a_redirect(publisher: Publisher, tmp_path: Path) -> None:
    """A redirect is followed, also for the rest of a file."""
    url = publisher.publish("/x", CONTENT)
    publisher.publish("/old", b"")
    led = play.status(302, Location=url)
    publisher.script = [led, play.cut(77), led]
    assert got(publisher.url("/old"), tmp_path / "x.part") == CONTENT
    assert publisher.ranges == [None, None, "bytes=77-", "bytes=77-"]


def test_a_circle_of_redirects(publisher: Publisher, tmp_path: Path) -> None:
    """A redirect that leads back is no file."""
    url = publisher.publish("/x", CONTENT)
    publisher.script = [play.status(302, Location=url)] * 99
    with pytest.raises(Failure, match="leads in a circle"):
        got(url, tmp_path / "x.part")


def test_a_login_stays_with_its_host(publisher: Publisher, tmp_path: Path) -> None:
    """Name and key go to the host that was asked and to no other that it leads to."""
    url = publisher.publish("/x", CONTENT)
    with publishing() as storage:
        storage.publish("/x", CONTENT)
        publisher.script = [play.status(302, Location=storage.url("/x", "localhost"))]
        assert got(Wanted(url, login=("me", "key")), tmp_path / "x.part") == CONTENT
    assert publisher.asked[0][1]["Authorization"] == "Basic bWU6a2V5"
    assert "Authorization" not in storage.asked[0][1]


def test_no_way_out_of_encryption() -> None:
    """An https address that leads to one without encryption is refused."""
    answer = requests.Response()
    answer.status_code, answer.url = 200, "http://example.org/x?signature=s"
    with pytest.raises(
        Refused, match=r"^https://example\.org/x: led to http://example\.org/x, which is not encrypted$"
    ):
        _refuse("https://example.org/x", answer)


def test_compressed_though_not_asked(publisher: Publisher, tmp_path: Path) -> None:
    """A file that comes compressed would have another length and digest: refused."""
    publisher.script = [lambda handler, content: handler.start(200, 3, Content_Encoding="gzip")]
    with pytest.raises(Refused, match="sent as gzip, which was not asked for"):
        got(publisher.publish("/x", CONTENT), tmp_path / "x.part")


def test_the_server_is_gone(tmp_path: Path) -> None:
    """A server that does not answer is named."""
    with socket.socket() as bound:  # a port that nobody listens on
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/x"
        with pytest.raises(Failure, match=f"^{url}: cannot be reached; gave up after 3 tries$"):
            got(url, tmp_path / "x.part")


def test_a_full_disk(publisher: Publisher, tmp_path: Path) -> None:
    """A disk that is full is named, at once."""
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    (tmp_path / "x.part").symlink_to("/dev/full")
    with pytest.raises(Failure, match=r"x\.part: No space left on device; the 0 bytes that came are kept"):
        got(publisher.publish("/x", CONTENT), tmp_path / "x.part")
    assert len(publisher.asked) == 1


def test_a_disk_that_fills(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk still took is continued when there is room again."""
    content = CONTENT * 30
    url, part = publisher.publish("/x", content), tmp_path / "x.part"

    def fill(there: int, total: int | None) -> None:
        raise OSError(28, "No space left on device")

    with requests.Session() as session, pytest.raises(Failure, match=r"No space left on device; the [1-9]"):
        download(Wanted(url), part, fill, HASTY, session)
    assert got(url, part) == content
    assert publisher.ranges[1] is not None


def test_secrets_in_an_address(publisher: Publisher, tmp_path: Path, capsys: Capture) -> None:
    """Neither password nor signature of an address is printed or kept on the disk."""
    assert shown("https://me:hidden@example.org/x?signature=hidden#hidden") == "https://example.org/x"
    publisher.publish("/x", CONTENT)
    url = f"http://me:hidden@127.0.0.1:{publisher.port}/x?key=hidden"
    publisher.script = [play.cut(10), *[play.status(500)] * 3]
    with pytest.raises(Failure) as failure:
        got(url, tmp_path / "x.part")
    told = str(failure.value) + capsys.readouterr().err
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert "hidden" not in told
    assert b"hidden" not in kept
    assert hashlib.sha256(url.encode()).hexdigest().encode() in kept


@pytest.mark.parametrize("url", ["nonsense", "ftp://example.org/x", "http://"])
def test_no_address(url: str, tmp_path: Path) -> None:
    """What is no address of HTTP is refused."""
    with pytest.raises(Failure, match="not an address to fetch from"):
        got(url, tmp_path / "x.part")


def test_text(publisher: Publisher) -> None:
    """A small answer is text; a busy server is asked again, and given up like for a file."""
    url = publisher.publish("/t", "Umlaut ä".encode())
    publisher.script = [play.status(503)]
    with requests.Session() as session:
        assert text(url, HASTY, session) == "Umlaut ä"
        publisher.script = [play.status(503)] * 3
        with pytest.raises(Failure, match="gave up after 3 tries"):
            text(url, HASTY, session)
