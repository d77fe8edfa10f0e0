"""The endpoint of metrics and probes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from detector.errors import PortInUse, UsageError
from detector.http import Answer, Endpoint, plain


def echo(accept: str) -> Answer:
    return 200, accept.encode(), "text/x-echo"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    served = Endpoint("127.0.0.1", 0, {"/echo": echo, "/sick": lambda accept: plain(False, "still")})
    yield served
    served.close()


def get(url: str, accept: str = "") -> tuple[int, bytes, str]:
    try:
        with urlopen(Request(url, headers={"Accept": accept}), timeout=10) as answer:
            return answer.status, answer.read(), answer.headers["Content-Type"]
    except HTTPError as error:
        with error:
            return error.code, error.read(), error.headers["Content-Type"]


def test_routes(endpoint: Endpoint) -> None:
    """A route gets the Accept header and gives status, body and content type; a query is no part of the path."""
    assert get(f"{endpoint.address}/echo", "x/y") == (200, b"x/y", "text/x-echo")
    assert get(f"{endpoint.address}/echo?a=b", "z") == (200, b"z", "text/x-echo")
    assert get(f"{endpoint.address}/sick") == (503, b"still\n", "text/plain; charset=utf-8")


def test_not_found(endpoint: Endpoint) -> None:
    """Any other path is not found, and says what there is."""
    assert get(f"{endpoint.address}/other") == (
        404,
        b"not found; there are /echo, /sick\n",
        "text/plain; charset=utf-8",
    )


def test_plain() -> None:
    """A probe is 200 where all is well, else 503."""
    assert plain(True, "ready") == (200, b"ready\n", "text/plain; charset=utf-8")
    assert plain(False, "no")[0] == 503


def test_close_frees_the_port() -> None:
    """A closed endpoint answers nobody, and its port can be taken at once."""
    first = Endpoint("127.0.0.1", 0, {"/echo": echo})
    port = int(first.address.rpartition(":")[2])
    first.close()
    with pytest.raises(URLError):
        get(f"{first.address}/echo")
    Endpoint("127.0.0.1", port, {}).close()


def test_port_in_use() -> None:
    """A port that another holds is named, with the way out; nobody shares it silently."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortInUse, match=f"metrics_port {port} on 127.0.0.1 is in use"):
            Endpoint("127.0.0.1", port, {})


@pytest.mark.parametrize(
    ("host", "port", "wanted"),
    [
        ("127.0.0.1", 65536, "metrics_port has value 65536, 0 to 65535 wanted"),
        ("192.0.2.1", 0, "metrics_host '192.0.2.1'"),
        ("no host", 0, "metrics_host 'no host'"),
    ],
)
def test_wrong_address(host: str, port: int, wanted: str) -> None:
    """An address that cannot be served is refused with its setting's name."""
    with pytest.raises(UsageError, match=wanted):
        Endpoint(host, port, {})
