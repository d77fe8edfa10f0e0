"""A small Schema Registry: the REST calls by which schemas are registered and asked for, as Confluent's has them."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KIND = "application/vnd.schemaregistry.v1+json"


class SchemaRegistry:
    """Serves schemas on the loopback until it is closed.

    asked: the paths of all requests. down: a status that it answers instead of what was asked for. user: name:password
    that it wants, if any.
    """

    def __init__(self, user: str | None = None) -> None:
        self.asked: list[str] = []
        self.down: int | None = None
        self.user = user
        self._schemas: dict[int, dict[str, Any]] = {}
        self._subjects: dict[str, list[int]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def add(
        self, schema: Any, subject: str = "rows-value", kind: str = "AVRO", references: Sequence[dict[str, Any]] = ()
    ) -> int:
        """Registers a schema, JSON or text as it is; its number."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        number = len(self._schemas) + 1
        self._schemas[number] = {"schema": text, "references": list(references)} | (
            {} if kind == "AVRO" else {"schemaType": kind}
        )
        self._subjects.setdefault(subject, []).append(number)
        return number

    def answer(self, method: str, path: str, body: Any, authorization: str) -> tuple[int, Any]:
        """Status and content for a request."""
        self.asked.append(path)
        if self.down:
            return self.down, {"error_code": 50001, "message": "out of order"}
        if self.user and authorization != "Basic " + base64.b64encode(self.user.encode()).decode():
            return 401, {"error_code": 40101, "message": "unauthorized"}
        if path == "/schemas/types":
            return 200, ["AVRO", "JSON", "PROTOBUF"]
        if found := re.fullmatch(r"/schemas/ids/(\d+)", path):
            return self._by_number(int(found[1]))
        if found := re.fullmatch(r"/subjects/([^/]+)/versions(?:/(\d+))?", path):
            return self._register(found[1], body) if method == "POST" else self._version(found[1], int(found[2]))
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _by_number(self, number: int) -> tuple[int, Any]:
        if number not in self._schemas:
            return 404, {"error_code": 40403, "message": "Schema not found"}
        return 200, self._schemas[number]

    def _version(self, subject: str, version: int) -> tuple[int, Any]:
        numbers = self._subjects.get(subject, [])
        if not 1 <= version <= len(numbers):
            return 404, {"error_code": 40402, "message": "Version not found"}
        number = numbers[version - 1]
        return 200, {"subject": subject, "version": version, "id": number, **self._schemas[number]}

    def _register(self, subject: str, body: dict[str, Any]) -> tuple[int, Any]:
        same = [
            number for number in self._subjects.get(subject, []) if self._schemas[number]["schema"] == body["schema"]
        ]
        return 200, {"id": same[0] if same else self.add(body["schema"], subject, body.get("schemaType", "AVRO"))}

    def close(self) -> None:
        """Stops serving; its port refuses connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def schema_registry(user: str | None = None) -> Iterator[SchemaRegistry]:
    """A registry that is gone when the block ends."""
    served = SchemaRegistry(user)
    try:
        yield served
    finally:
        served.close()


def _handler(registry: SchemaRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Any) -> None:
            path = self.path.partition("?")[0]
            status, content = registry.answer(self.command, path, body, self.headers.get("Authorization", ""))
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", KIND)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    return Handler
