"""The proxy passes bytes as they are, and does to a line what its methods say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from tests.proxy import Proxy


class Echo:
    """A server that answers what it is told, and remembers it."""

    def __init__(self) -> None:
        self.heard, self.more = b"", threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while piece := client.recv(1 << 16):
                with self.more:
                    self.heard += piece
                    self.more.notify_all()
                client.sendall(piece)

    def await_heard(self, wanted: bytes) -> None:
        with self.more:
            assert self.more.wait_for(lambda: self.heard == wanted, 10), self.heard

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as server:
        yield server


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with closing(Proxy(0, echo.port)) as proxy:
        yield proxy


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def received(client: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = client.recv(count - len(found))
        assert piece, f"closed after {found!r}"
        found += piece
    return found


def silent(client: socket.socket) -> bool:
    """Whether nothing comes for a while."""
    client.settimeout(0.2)
    try:
        return not client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(10)


def test_passes_all(proxy: Proxy) -> None:
    """A megabyte comes back byte for byte, also slowly."""
    sent = bytes(range(256)) * 4096
    proxy.pause = 0.001
    with connected(proxy) as client:
        threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
        assert received(client, len(sent)) == sent


def test_cut(proxy: Proxy) -> None:
    """A cut line closes what is open and refuses what is new, until it is mended."""
    with connected(proxy) as client:
        client.sendall(b"one")
        assert received(client, 3) == b"one"
        proxy.cut()
        assert client.recv(1) == b""
    with connected(proxy) as client, suppress(ConnectionError):
        assert client.recv(1) == b""
    proxy.mend()
    with connected(proxy) as client:
        client.sendall(b"two")
        assert received(client, 3) == b"two"


def test_dam(proxy: Proxy, echo: Echo) -> None:
    """Behind a dam bytes wait with their connection open, and come when it is gone."""
    with connected(proxy) as client:
        client.sendall(b"one")
        assert received(client, 3) == b"one"
        proxy.dam()
        client.sendall(b"two")
        assert silent(client)
        assert echo.heard == b"one"
        proxy.mend()
        assert received(client, 3) == b"two"


def test_dam_for_answers(proxy: Proxy, echo: Echo) -> None:
    """What was asked is heard, its answer waits; a cut then loses the answer for good."""
    with connected(proxy) as client:
        proxy.dam_answers()
        client.sendall(b"one")
        echo.await_heard(b"one")
        assert silent(client)
        proxy.cut()
        proxy.mend()
        assert client.recv(1) == b""


def test_forgotten(proxy: Proxy) -> None:
    """Nothing passes on a connection that was open, a new one is good."""
    with connected(proxy) as before:
        before.sendall(b"one")
        assert received(before, 3) == b"one"
        proxy.forget()
        before.sendall(b"two")
        with connected(proxy) as after:
            after.sendall(b"three")
            assert received(after, 5) == b"three"
        proxy.mend()
        assert silent(before)
