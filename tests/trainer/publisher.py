"""A publisher of files on this machine that can be told to misbehave, one request at a time."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler", bytes], None]


@dataclass
class Publisher:
    """files: content by path. script: how the next requests are answered; those after them properly.

    asked: path and headers of every request. released: ends what stalls.
    """

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    script: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def publish(self, path: str, content: bytes) -> str:
        """Puts a file there; its address."""
        self.files[path] = content
        return self.url(path)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The address of a path."""
        return f"http://{host}:{self.port}{path}"

    @property
    def ranges(self) -> list[str | None]:
        """The Range of every request."""
        return [headers.get("Range") for _, headers in self.asked]


class Handler(BaseHTTPRequestHandler):
    """Answers as the script says."""

    server: Server

    def do_GET(self) -> None:
        """Answers one request."""
        publisher = self.server.publisher
        publisher.asked.append((self.path, dict(self.headers.items())))
        path = self.path.partition("?")[0]
        answer = publisher.script.pop(0) if publisher.script else properly
        if path in publisher.files:
            answer(self, publisher.files[path])
        else:
            status(404)(self, b"")

    def start(self, code: int, length: int | None, **headers: str) -> None:
        """The beginning of an answer."""
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Keeps still."""


class Server(ThreadingHTTPServer):
    """Knows its publisher."""

    publisher: Publisher

    def handle_error(self, *args: Any) -> None:
        """That a client hangs up is part of the play."""


def tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def asked_from(handler: Handler, content: bytes) -> int:
    """The first byte that a request wants of this content: 0 where it wants all, or the beginning of another one."""
    wanted = handler.headers.get("Range")
    if wanted is None or handler.headers.get("If-Range") != tag(content):
        return 0
    return int(wanted.removeprefix("bytes=").removesuffix("-"))


def properly(handler: Handler, content: bytes) -> None:
    """As a good server does: the whole file, or the rest of it."""
    cut(len(content))(handler, content)


def cut(count: int, named: bool = True) -> Answer:
    """Promises all and hangs up after `count` bytes more; named: the rest of a file has its validator too."""

    def answer(handler: Handler, content: bytes) -> None:
        start = asked_from(handler, content)
        rest = content[start:]
        if start and not rest:
            handler.start(416, 0, Content_Range=f"bytes */{len(content)}")
            return
        part = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        validator = {"ETag": tag(content)} if named or not start else {}
        handler.start(206 if start else 200, len(rest), **validator, **part)
        handler.wfile.write(rest[:count])

    return answer


def stalled(count: int) -> Answer:
    """Sends `count` bytes and then nothing, until it is released."""

    def answer(handler: Handler, content: bytes) -> None:
        cut(count)(handler, content)
        handler.wfile.flush()
        handler.server.publisher.released.wait(30)

    return answer


def lying(more: int) -> Answer:
    """Says that the file is so much longer than it is, or shorter, and never sends less than all of it."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(200, len(content) + more)
        handler.wfile.write(content)

    return answer


def always_whole(handler: Handler, content: bytes) -> None:
    """Knows no Range."""
    handler.start(200, len(content), ETag=tag(content))
    handler.wfile.write(content)


def whole_cut(count: int) -> Answer:
    """Knows no Range and hangs up early."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(200, len(content), ETag=tag(content))
        handler.wfile.write(content[:count])

    return answer


def unnamed_cut(count: int) -> Answer:
    """Hangs up early and gave no validator."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(200, len(content))
        handler.wfile.write(content[:count])

    return answer


def chunked(handler: Handler, content: bytes) -> None:
    """Sends all in chunks and does not say how much it is."""
    handler.start(200, None, Transfer_Encoding="chunked", ETag=tag(content))
    for start in range(0, len(content), 40_000):
        piece = content[start : start + 40_000]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    handler.wfile.write(b"0\r\n\r\n")


def chunked_cut(handler: Handler, content: bytes) -> None:
    """Hangs up within a chunk."""
    handler.start(200, None, Transfer_Encoding="chunked", ETag=tag(content))
    handler.wfile.write(b"%x\r\n%s" % (len(content), content[:5_000]))


def other(content: bytes) -> Answer:
    """Sends something else."""
    return lambda handler, _: properly(handler, content)


def status(code: int, **headers: str) -> Answer:
    """Nothing but a status."""
    return lambda handler, _: handler.start(code, 0, **headers)


@contextmanager
def publishing() -> Iterator[Publisher]:
    """A publisher that listens until the end."""
    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.publisher = Publisher(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.publisher
    finally:
        server.publisher.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
