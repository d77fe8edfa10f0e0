"""Who may look at the console, and what a browser may do with its pages."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detector.console.access import SESSION_SECONDS, Access, Request, loopback
from detector.console.guard import MOST_FORM, WHO, Guard, Receive, Scope, Send
from detector.errors import UsageError
from detector.settings import ConsoleSettings

TOKEN, OTHER = "correct-horse-battery", "staple-staple-staple"
CHOSEN = ConsoleSettings(bootstrap_servers="localhost:9092", user="ada")


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# people\nada: {TOKEN}\n\nbob:{OTHER}\n")
    return path


def test_this_machine_alone_needs_no_sign_in() -> None:
    """By default it listens here, everybody here is the account that runs it, and other names do not lead to it."""
    access = Access.of(CHOSEN)
    assert access.who(Request({"host": "localhost:9110"}), 0) == "ada"
    assert access.refused(Request({"host": "127.0.0.1:9110"})) is None
    assert access.refused(Request({"host": "[::1]:9110"})) is None
    rebound = access.refused(Request({"host": "evil.example:9110"}))
    assert rebound
    assert rebound.status == 421


@pytest.mark.parametrize(
    "chosen",
    [
        replace(CHOSEN, console_host="0.0.0.0"),
        replace(CHOSEN, console_host="::"),
        replace(CHOSEN, console_host="192.168.1.7"),
        replace(CHOSEN, console_host="console.example"),
        replace(CHOSEN, address="https://fraud.example"),
    ],
)
def test_exposed_to_everybody_is_refused(chosen: ConsoleSettings) -> None:
    """An address that others reach, with neither tokens nor a proxy's header, ends it at the start."""
    with pytest.raises(UsageError, match="token_file, or user_header"):
        Access.of(chosen)


@pytest.mark.parametrize(
    ("headers", "scheme", "status"),
    [
        ({"origin": "http://localhost:9110"}, "http", None),
        ({"origin": "http://localhost:9110"}, "ws", None),
        ({"origin": "http://evil.example"}, "ws", 403),
        ({"origin": "http://localhost:9111"}, "ws", 403),
        ({"origin": "https://localhost:9110"}, "http", 403),
        ({"origin": "null"}, "http", 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, "http", 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "http", None),
        ({}, "ws", None),
    ],
)
def test_pages_of_other_sites_are_refused(headers: dict[str, str], scheme: str, status: int | None) -> None:
    """A request or websocket of another site's page gets nothing; a link from there may be followed."""
    refused = Access.of(CHOSEN).refused(Request({"host": "localhost:9110", **headers}, scheme=scheme))
    assert (refused.status if refused else None) == status


def test_tokens(tokens: Path) -> None:
    """A token signs its person in; the cookie holds for a day's work, for that person, until the token changes."""
    access = Access.of(replace(CHOSEN, console_host="0.0.0.0", token_file=tokens))
    assert (access.sign_in(TOKEN), access.sign_in(OTHER), access.sign_in("no"), access.sign_in("")) == (
        "ada", "bob", None, None,
    )  # fmt: skip
    cookie = access.cookie("bob", 1000)
    asked = Request({"host": "anything", "cookie": f"a=b; console={cookie}"})
    assert access.refused(asked) is None
    assert access.who(asked, 1001) == "bob"
    assert access.who(asked, 1000 + SESSION_SECONDS) is None
    assert replace(access, tokens={"bob": "another-token-of-his"}).who(asked, 1001) is None
    assert replace(access, tokens={"ada": TOKEN}).who(asked, 1001) is None
    assert access.who(Request({}), 1001) is None
    assert TOKEN not in repr(access)


@pytest.mark.parametrize("change", range(8))
def test_cookies_that_were_altered(tokens: Path, change: int) -> None:
    """A cookie with another name, end or signature is nobody's."""
    access = Access.of(replace(CHOSEN, token_file=tokens))
    name, end, signature = access.cookie("ada", 1000).split(".")
    bob = b"bob".hex()
    forged = [
        f"{bob}.{end}.{signature}", f"{name}.{int(end) + 1}.{signature}", f"{name}.{end}.{'0' * 64}", f"{name}.{end}.",
        f"{name}.{end}", "", "..", f"zz.{end}.{signature}é",
    ]  # fmt: skip
    assert access.who(Request({"cookie": f"console={forged[change]}"}), 1001) is None


@pytest.mark.parametrize("text", ["", "ada", "ada:short", ":long-enough-for-a-token", "#ada:long-enough-for-a-token"])
def test_token_files_that_are_refused(tmp_path: Path, text: str) -> None:
    """A line without name, or with a short token, is refused by its number; what it holds is not repeated."""
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        Access.of(replace(CHOSEN, token_file=path))
    assert "short" not in str(refused.value)
    assert "long-enough" not in str(refused.value)


def test_a_reverse_proxy_says_who() -> None:
    """Its header is believed from its own addresses alone, and its address is an origin too."""
    chosen = replace(CHOSEN, user_header="X-Forwarded-User", proxies="10.0.0.0/8", address="https://fraud.example")
    access = Access.of(chosen)
    told = {"host": "fraud.example", "x-forwarded-user": " grace ", "origin": "https://fraud.example"}
    assert access.who(Request(told, "10.1.2.3"), 0) == "grace"
    assert access.who(Request(told, "192.168.0.1"), 0) is None
    assert access.who(Request(told, ""), 0) is None
    assert access.who(Request({**told, "x-forwarded-user": "a\nb"}, "10.1.2.3"), 0) is None
    assert access.who(Request({"host": "fraud.example"}, "10.1.2.3"), 0) is None
    assert access.refused(Request(told, "10.1.2.3")) is None
    assert access.secure


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"user_header": "X-User", "proxies": "somewhere"}, "proxies"),
        ({"user_header": "X-User", "address": "fraud.example"}, "address"),
        ({"user_header": "X-User", "address": "https://fraud.example/console"}, "address"),
    ],
)
def test_settings_that_are_refused(other: dict[str, Any], why: str) -> None:
    """What is no address is named."""
    with pytest.raises(UsageError, match=f"setting {why} has value"):
        Access.of(replace(CHOSEN, **other))


def test_both_ways_at_once_are_refused(tokens: Path) -> None:
    """Tokens and a proxy's header do not go together."""
    with pytest.raises(UsageError, match="one of them"):
        replace(CHOSEN, token_file=tokens, user_header="X-User")


def test_loopback() -> None:
    """What is this machine's own alone."""
    own = ("localhost", "127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "example.org", "")
    assert [loopback(one) for one in own] == [True, True, True, True, False, False, False]


class Asked:
    """What an inner application was asked, and what came back through the guard."""

    def __init__(self, access: Access, body: bytes = b"<html><script>1</script></html>") -> None:
        self.scopes: list[Scope] = []
        self.sent: list[MutableMapping[str, Any]] = []
        self._body = body
        self.guard = Guard(self._inner, access)

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % len(self._body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._body[:9], "more_body": True})
        await send({"type": "http.response.body", "body": self._body[9:]})

    def ask(self, path: str, kind: str = "http", method: str = "GET", form: bytes = b"", **headers: str) -> None:
        """One request."""
        named = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        told = [(name.encode(), value.encode()) for name, value in named.items()]
        scope = {"type": kind, "path": path, "method": method, "headers": told, "client": ("127.0.0.1", 5)}

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": form, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            self.sent.append(message)

        asyncio.run(self.guard(scope, receive, send))

    @property
    def status(self) -> int:
        return int(self.sent[0].get("status", 0))

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}


def test_pages_carry_their_policy() -> None:
    """A page's own scripts get a nonce that no other page has, and the policy lets nothing else run or be asked."""
    asked, again = Asked(Access.of(CHOSEN)), Asked(Access.of(CHOSEN))
    asked.ask("/", x_forwarded_prefix="/evil")
    again.ask("/")
    policy, body = asked.headers["content-security-policy"], asked.sent[1]["body"].decode()
    nonce = body.split('nonce="')[1].split('"')[0]
    assert f"'nonce-{nonce}'" in policy
    assert nonce not in again.sent[1]["body"].decode()
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert "frame-ancestors 'none'" in policy
    assert int(asked.headers["content-length"]) == len(asked.sent[1]["body"])
    assert asked.scopes[0][WHO] == "ada"
    assert b"x-forwarded-prefix" not in dict(asked.scopes[0]["headers"])


def test_nobody_gets_in_without_a_token(tokens: Path) -> None:
    """Pages lead to the sign-in, everything else and the websocket are refused, before the pages hear of it."""
    access = Access.of(replace(CHOSEN, console_host="0.0.0.0", token_file=tokens))
    for path, method, kind, status in (
        ("/", "GET", "http", 303), ("/_nicegui_ws/socket.io/", "POST", "http", 401), ("/x", "GET", "websocket", 0),
    ):  # fmt: skip
        asked = Asked(access)
        asked.ask(path, kind, method)
        assert asked.status == status
        assert asked.scopes == []
    assert asked.sent[0]["type"] == "websocket.close"


def test_signing_in(tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right token brings a cookie that no script reads; a wrong one, or a flood, a page that says so."""
    monkeypatch.setattr("detector.console.guard.WRONG_TOKEN_SECONDS", 0.0)
    access = Access.of(replace(CHOSEN, token_file=tokens))
    right, wrong = Asked(access), Asked(access)
    right.ask("/sign-in", method="POST", form=f"token={TOKEN}".encode())
    assert (right.status, right.headers["location"]) == (303, "/")
    assert "HttpOnly; SameSite=Lax" in right.headers["set-cookie"]
    page = Asked(access)
    page.ask("/", cookie=right.headers["set-cookie"].partition(";")[0])
    assert page.scopes[0][WHO] == "ada"
    for form in (b"token=no", b"", b"x" * 2 * MOST_FORM, f"token={TOKEN}".encode()[:-1]):
        wrong = Asked(access)
        wrong.ask("/sign-in", method="POST", form=form)
        assert wrong.status == 401
        assert "set-cookie" not in wrong.headers
    other = Asked(access)
    other.ask("/sign-in", method="POST", form=f"token={TOKEN}".encode(), origin="http://evil.example")
    assert other.status == 403


def test_probe_and_sign_out(tokens: Path) -> None:
    """The probe answers anybody; signing out takes the cookie back, which a link, on whatever site, does not."""
    access = Access.of(replace(CHOSEN, token_file=tokens))
    probe, out, link = Asked(access), Asked(access), Asked(access)
    probe.ask("/healthz")
    assert (probe.status, probe.sent[1]["body"]) == (200, b"ok\n")
    out.ask("/sign-out", method="POST")
    assert "Max-Age=0" in out.headers["set-cookie"]
    link.ask("/sign-out")
    assert "set-cookie" not in link.headers


def test_an_account_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no name for the account, as in a container, its number stands for it."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987_654_321)
    assert Access.of(replace(CHOSEN, user="")).user == "uid 987654321"
