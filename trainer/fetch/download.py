"""One file over HTTP: continued where it broke off, never taken for whole when it is not.

What is promised:
1. Bytes go to `part`, and beside it what they are the beginning of (address, validator, length).
2. A later request asks for the rest by Range, with If-Range: a file that changed since is sent from its beginning.
   Without a strong validator nothing is continued.
3. A connection that breaks, stalls or ends early is tried again, as are 408, 429 and 5xx; the tries run out when so
   many in a row brought no new byte.
4. Any other answer ends it at once. Credentials go to the address asked for and to no other host.
5. Whether the bytes are the right ones is for the caller to say: here only their number is known.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3

from detector.errors import Failure
from trainer.fetch.cache import CHUNK, write_json

AGENT = "streaming-fraud-detector (python -m trainer fetch)"
AGAIN = (408, 429, 500, 502, 503, 504)
LONGEST_WAIT = 60.0

Told = Callable[[int, int | None], None]
Login = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for.

    connect, read: seconds for a connection and for the next byte. tries: in a row without a new byte. pause: seconds
    after the first of them, doubled after each; 0 for none, whatever the server asks for.
    """

    connect: float = 15.0
    read: float = 60.0
    tries: int = 5
    pause: float = 1.0


PATIENCE = Patience()


class Refused(Failure):
    """The server answered, and not with the file. status: its HTTP code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Broken(Exception):
    """This try came to nothing, another may not. wait: the seconds that the server asks for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be downloaded. size: its bytes where that is known beforehand.

    whole: whether a file is the one, where a digest can tell: a server may lie about the length of what it sent.
    """

    url: str
    size: int | None = None
    whole: Callable[[Path], bool] | None = None
    login: Login | None = None


def download(wanted: Wanted, part: Path, told: Told, patience: Patience, session: requests.Session) -> None:
    """Fills `part`; Failure says what stood against it, and what came is kept for the next time."""

    def attempt() -> None:
        try:
            _attempt(wanted, part, told, patience, session)
        except Broken:
            if not (wanted.whole and _length(part) and wanted.whole(part)):
                raise

    _patiently(attempt, lambda: _length(part), wanted.url, patience)
    _state(part).unlink(missing_ok=True)


def text(url: str, patience: Patience, session: requests.Session) -> str:
    """A small answer as text; Failure where there is none."""

    def attempt() -> str:
        with _answer(session, url, {}, patience, None) as answer:
            return answer.text

    return _patiently(attempt, lambda: 0, url, patience)


def forget(part: Path) -> None:
    """Removes what has come of a file."""
    part.unlink(missing_ok=True)
    _state(part).unlink(missing_ok=True)


def shown(url: str) -> str:
    """An address as it may be printed: without a password or a signature that it may hold."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _patiently(attempt: Callable[[], T], gained: Callable[[], int], url: str, patience: Patience) -> T:
    """What an attempt gives; `gained` counts what has come so far, and one that brings more makes good for others."""
    best, fruitless = gained(), 0
    while True:
        try:
            return attempt()
        except Broken as broken:
            there = gained()
            fruitless = 0 if there > best else fruitless + 1
            best = max(best, there)
            if fruitless >= patience.tries:
                raise Failure(f"{shown(url)}: {broken}; gave up after {fruitless} tries") from broken
            print(f"fetch: {broken}; trying again", file=sys.stderr, flush=True)
            if patience.pause:
                time.sleep(min(max(patience.pause * 2.0 ** (fruitless - 1), broken.wait), LONGEST_WAIT))


def _attempt(wanted: Wanted, part: Path, told: Told, patience: Patience, session: requests.Session) -> None:
    start, tag = _beginning(part, wanted.url)
    if start and start == wanted.size:
        return
    headers = {"Range": f"bytes={start}-", "If-Range": tag} if start else {}
    with _answer(session, wanted.url, headers, patience, wanted.login) as answer:
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if _total(answer) == start:
                return
            forget(part)
            raise Broken("the server has less than it sent before")
        if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
            start = 0
        elif answer.headers.get("Content-Range", "").partition("-")[0] != f"bytes {start}":
            forget(part)
            raise Broken("the server sent another part than it was asked for")
        total = _total(answer)
        if not start:
            _remember(part, wanted.url, answer)
        _copy(answer, part, start, wanted.size or total, wanted, told)
    if (there := _length(part)) < (wanted.size or total or 0):
        raise Broken(f"ended after {there} of {wanted.size or total} bytes")


@contextmanager
def _answer(
    session: requests.Session, url: str, headers: dict[str, str], patience: Patience, login: Login | None
) -> Iterator[requests.Response]:
    """An answer that has a body to read; what went wrong is told in a few words, without the address' secrets."""
    # Compressed on the way, a file would have neither the length nor the ranges of the file.
    plain = {"User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
    waits = (patience.connect, patience.read)
    try:
        with session.get(url, headers=plain, stream=True, timeout=waits, auth=login) as answer:
            _refuse(url, answer)
            yield answer
    except (requests.exceptions.SSLError, requests.TooManyRedirects) as error:
        raise Failure(f"{shown(url)}: {_why(error, patience)}") from error
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise Broken(_why(error, patience)) from error
    except requests.RequestException as error:
        raise Failure(f"{shown(url)}: not an address to fetch from ({type(error).__name__})") from error


def _refuse(url: str, answer: requests.Response) -> None:
    status = answer.status_code
    if urlsplit(url).scheme == "https" and urlsplit(answer.url).scheme != "https":
        raise Refused(f"{shown(url)}: led to {shown(answer.url)}, which is not encrypted", status)
    if status in AGAIN:
        wait = answer.headers.get("Retry-After", "")
        raise Broken(f"HTTP {status} {answer.reason}", float(wait) if wait.isdigit() else 0.0)
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        raise Refused(f"{shown(url)}: HTTP {status} {answer.reason}", status)
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(f"{shown(url)}: sent as {answer.headers['Content-Encoding']}, which was not asked for", status)


def _why(error: Exception, patience: Patience) -> str:
    match error:
        case requests.ConnectTimeout():
            return f"no connection within {patience.connect:g} s"
        case requests.ReadTimeout() | urllib3.exceptions.ReadTimeoutError():
            return f"nothing came for {patience.read:g} s"
        case requests.exceptions.SSLError():
            return "the certificate was not accepted"
        case requests.TooManyRedirects():
            return "leads in a circle"
        case requests.exceptions.ChunkedEncodingError() | urllib3.exceptions.ProtocolError():
            return "the connection broke"
        case _:
            return "cannot be reached"


def _copy(answer: requests.Response, part: Path, start: int, total: int | None, wanted: Wanted, told: Told) -> None:
    there = start
    try:
        with part.open("ab" if start else "wb") as file:
            # read1 gives what has come; read would wait for more, and lose it all with the connection.
            for chunk in iter(lambda: answer.raw.read1(CHUNK, decode_content=False), b""):
                there += len(chunk)
                if wanted.size is not None and there > wanted.size:
                    raise Refused(f"{shown(wanted.url)}: sends more than the {wanted.size} bytes it should", 200)
                file.write(chunk)
                told(there, total)
    except requests.RequestException:  # which are OSErrors too
        raise
    except OSError as error:
        kept = f"the {_length(part)} bytes that came are kept for the next time"
        raise Failure(f"{part}: {error.strerror or error}; {kept}") from error


def _total(answer: requests.Response) -> int | None:
    """Bytes of the whole file, as the answer has it."""
    if answer.status_code == HTTPStatus.OK:
        length = answer.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None
    whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(whole) if whole.isdigit() else None


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _state(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _beginning(part: Path, url: str) -> tuple[int, str]:
    """How many bytes of this file are there, and its validator; 0 where they cannot be continued."""
    try:
        state = json.loads(_state(part).read_bytes())
        tag = state["validator"] if state["url"] == _fingerprint(url) else None
    except (OSError, ValueError, KeyError, TypeError):
        tag = None
    return (_length(part), tag) if isinstance(tag, str) and tag else (0, "")


def _fingerprint(url: str) -> str:
    """To tell addresses apart without keeping a password or a signature that they may hold."""
    return hashlib.sha256(url.encode()).hexdigest()


def _remember(part: Path, url: str, answer: requests.Response) -> None:
    tag = answer.headers.get("ETag", "")
    strong = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
    try:
        write_json(_state(part), {"url": _fingerprint(url), "validator": strong})
    except OSError as error:
        raise Failure(f"{part}: {error.strerror or error}") from error
