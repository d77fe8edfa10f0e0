"""Stands before every request and every websocket: who may ask, and what a browser may do with the answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from detector.console.access import COOKIE, SESSION_SECONDS, Access, Refusal, Request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

WHO = "console.who"
"""Where a request's scope says who asks."""

WRONG_TOKEN_SECONDS = 1.0
"""How long a wrong token waits for its answer."""

MOST_FORM = 4096
"""Bytes of a sign-in."""

ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
"""Scripts of this host alone, and those that the page itself begins with. NiceGUI's Vue compiles its templates in the
browser, which is eval; styles are set in elements. Handlers and scripts that markup brings along do not run."""

SIGN_IN = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in: fraud console</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/static/console.css">
</head><body class="plain"><main><h1>Fraud console</h1><form method="post" action="/sign-in">
<label for="token">Your token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<p class="wrong" role="alert">{why}</p><button type="submit">Sign in</button></form>
<p>Whoever runs this console gives tokens out, in the file that <code>--token-file</code> names.</p>
</main></body></html>"""

OPEN = ("/sign-in", "/healthz", "/static/console.css", "/favicon.ico")
"""What anybody may ask for."""


class Guard:
    """An ASGI application before another one."""

    def __init__(self, inner: Asgi, access: Access) -> None:
        self._inner, self._access = inner, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """1. is it one of our own pages that asks; 2. who; 3. on to the pages, with the policy on what they answer."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        request = _request(scope)
        if (refusal := self._access.refused(request)) is not None:
            await _refuse(scope, refusal, send)
        elif scope["type"] == "http" and scope["path"] in ("/sign-in", "/healthz", "/sign-out"):
            await self._own(scope, receive, send)
        elif (who := self._access.who(request, time.time())) is None and scope["path"] not in OPEN:
            await self._unknown(scope, send)
        else:
            if scope["type"] == "websocket":
                receive = self._while_known(request, receive, send)
            await self._pass(scope, receive, send, who)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, who: str | None) -> None:
        # What names a path before ours is a proxy's to say, and none is wanted: it would be written into the page.
        headers = [(name, value) for name, value in scope["headers"] if name != b"x-forwarded-prefix"]
        nonce = secrets.token_urlsafe(16)
        answer: Send = Answer(send, nonce) if scope["type"] == "http" else send
        await self._inner({**scope, "headers": headers, WHO: who}, receive, answer)

    def _while_known(self, request: Request, receive: Receive, send: Send) -> Receive:
        """What a websocket hears, until its sign-in has ended: pages say something every half minute at least."""

        async def hear() -> MutableMapping[str, Any]:
            message = await receive()
            if self._access.who(request, time.time()) is not None:
                return message
            await send({"type": "websocket.close", "code": 1008})
            return {"type": "websocket.disconnect", "code": 1008}

        return hear

    async def _unknown(self, scope: Scope, send: Send) -> None:
        """To the sign-in where there is one; who comes round the proxy is told so."""
        if self._access.tokens and scope["type"] == "http" and scope["method"] == "GET":
            await _say(send, 303, b"", [(b"location", b"/sign-in")])
            return
        why = "Sign in first." if self._access.tokens else "Nobody is known: come through the reverse proxy."
        await _refuse(scope, Refusal(401, why), send)

    async def _own(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The sign-in, its end, and the probe."""
        if scope["path"] == "/healthz":
            await _say(send, 200, b"ok\n", [(b"content-type", b"text/plain")])
        elif scope["path"] == "/sign-out" and scope["method"] == "POST":  # no link of another site ends a sign-in
            await _say(send, 303, b"", [(b"location", b"/sign-in"), self._cookie("", 0)])
        elif scope["method"] == "POST":
            await self._sign_in(await _form(receive), send)
        else:
            await _page(send, 200, SIGN_IN.format(why=""))

    async def _sign_in(self, form: dict[str, list[str]], send: Send) -> None:
        name = self._access.sign_in(form.get("token", [""])[0].strip())
        if name is None:
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            await _page(send, 401, SIGN_IN.format(why="That token is not known. Look for a missing character."))
            return
        cookie = self._cookie(self._access.cookie(name, time.time()), SESSION_SECONDS)
        await _say(send, 303, b"", [(b"location", b"/"), cookie])

    def _cookie(self, value: str, seconds: int) -> tuple[bytes, bytes]:
        secure = "; Secure" if self._access.secure else ""
        told = f"{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        return b"set-cookie", told.encode()


class Answer:
    """An answer on its way: a page gets its policy, and its own scripts the nonce by which they run."""

    def __init__(self, send: Send, nonce: str) -> None:
        self._send, self._nonce = send, nonce
        self._start: MutableMapping[str, Any] | None = None
        self._body = b""

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Passes on what is no page; holds a page back until it is whole."""
        if message["type"] == "http.response.start":
            headers: Headers = [*message.get("headers", []), *ALWAYS]
            message = {**message, "headers": headers}
            if any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in headers):
                self._start = message
                return
        elif self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._whole(self._start)
            return
        await self._send(message)

    async def _whole(self, start: MutableMapping[str, Any]) -> None:
        # What came from Kafka has no "<" here: NiceGUI writes the elements of a page as escaped JSON.
        body = self._body.replace(b"<script", f'<script nonce="{self._nonce}"'.encode())
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        headers += [
            (b"content-length", str(len(body)).encode()),
            (b"content-security-policy", POLICY.format(nonce=self._nonce).encode()),
        ]
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _request(scope: Scope) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(headers, (scope.get("client") or ("",))[0], scope.get("scheme", "http"))


async def _form(receive: Receive) -> dict[str, list[str]]:
    body = b""
    while len(body) <= MOST_FORM:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return parse_qs(body[:MOST_FORM].decode("latin-1"))


async def _refuse(scope: Scope, refusal: Refusal, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": HTTPStatus(refusal.status).phrase})
    else:
        await _say(send, refusal.status, f"{refusal.why}\n".encode(), [(b"content-type", b"text/plain; charset=utf-8")])


async def _page(send: Send, status: int, text: str) -> None:
    policy = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    kind = (b"content-type", b"text/html; charset=utf-8")
    await _say(send, status, text.encode(), [kind, (b"content-security-policy", policy.encode())])


async def _say(send: Send, status: int, body: bytes, headers: Headers) -> None:
    told = [*headers, *ALWAYS, (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
