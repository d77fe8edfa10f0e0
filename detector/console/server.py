"""Serves the pages: one process, one event loop, no file and no address but its own."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from nicegui import app as pages
from nicegui import ui

from detector.console.access import Access
from detector.console.guard import Asgi, Guard
from detector.console.pages.alert import alert_page
from detector.console.pages.boards import drift_page, letters_page, line_page
from detector.console.pages.frame import Console
from detector.console.pages.listing import listing_page
from detector.errors import PortInUse, UsageError

STATIC = Path(__file__).parent / "static"
GOODBYE_SECONDS = 1
"""How long open connections may take when it ends."""

KEPT_SECONDS = 15.0
"""How long a page's place is kept while its browser is away; a longer absence loads the page anew."""

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1d4ed8"/>'
    '<path d="M6 21h6l3-12 4 14 2-6h5" fill="none" stroke="#fff" stroke-width="3"/></svg>'
)


def application(console: Console, access: Access) -> Asgi:
    """The pages behind their guard."""
    _pages(console)
    inner = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    ui.run_with(
        inner,
        title="fraud console",
        favicon=ICON,
        language="en-US",
        reconnect_timeout=KEPT_SECONDS,
        tailwind=False,
        gzip_middleware_factory=None,  # it comes behind the guard, which reads pages
        show_welcome_message=False,
    )
    return GZipMiddleware(Guard(inner, access), minimum_size=1000)


def _pages(console: Console) -> None:
    """What is asked for at which address."""
    pages.add_static_files("/static", STATIC, max_cache_age=60)
    ui.page("/")(lambda: listing_page(console))
    ui.page("/drift")(lambda: drift_page(console))
    ui.page("/dead-letters")(lambda: letters_page(console))
    ui.page("/line")(lambda: line_page(console))

    @ui.page("/alert")
    def alert(id: str = "", model: str = "") -> None:
        alert_page(console, id, model)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; PortInUse or UsageError where it cannot."""
    try:
        kind = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(kind[0], socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(kind[4])
            bound.listen()
        except OSError:
            bound.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"console_port {port} on {host} is in use; take another, or 0 for any") from error
        raise UsageError(f"console_host {host!r}, console_port {port}: {error.strerror or error}") from error
    return bound


def address_of(host: str, bound: socket.socket) -> str:
    """How a socket is reached by a browser."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{bound.getsockname()[1]}"


def serve(asgi: Asgi, bound: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT, whose handlers of before are called at the end."""
    config = uvicorn.Config(
        asgi,
        log_config=None,  # what is logged goes where this process' other lines go
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who asks is believed from proxies alone: see access
        timeout_graceful_shutdown=GOODBYE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[bound])
