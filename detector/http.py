"""/metrics, /healthz and /readyz."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from detector.errors import PortInUse, UsageError

Answer = tuple[int, bytes, str]
Route = Callable[[str], Answer]
"""Takes the Accept header, gives status, body and content type."""


def plain(ok: bool, body: str) -> Answer:
    """A probe's answer: 200 where all is well, else 503."""
    return (200 if ok else 503), f"{body}\n".encode(), "text/plain; charset=utf-8"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: who hangs up in the middle of an answer does not want it."""

    # Two detectors on one port must not share it silently.
    allow_reuse_port = False


class Endpoint:
    """Serves routes from a thread of its own until it is closed."""

    def __init__(self, host: str, port: int, routes: dict[str, Route]) -> None:
        try:
            self._server = _Server((host, port), _handler(routes))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"metrics_port {port} on {host} is in use; take another, or 0 for any") from error
            raise UsageError(f"metrics_host {host!r}, metrics_port {port}: {error.strerror or error}") from error
        except OverflowError as error:
            raise UsageError(f"metrics_port has value {port}, 0 to 65535 wanted") from error
        self.address = f"http://{host}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def close(self) -> None:
        """Stops serving and frees the port."""
        self._server.shutdown()
        self._server.server_close()


def _handler(routes: dict[str, Route]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            route = routes.get(self.path.partition("?")[0])
            missing = plain(False, f"not found; there are {', '.join(routes)}")[1:]
            status, body, kind = route(self.headers.get("Accept", "")) if route else (404, *missing)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a scrape every few seconds is no news."""

    return Handler
