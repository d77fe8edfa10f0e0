"""Who may ask: decided from a request's headers, its peer and the settings alone.

Four kinds of console, by what was set:
- on this machine alone: everybody on it may, as the account that runs it. Pages of other sites may not: their requests
  carry another Origin, and a name of theirs that leads here (DNS rebinding) is another Host.
- with tokens: who signed in, known by a cookie that is signed with the token.
- behind a reverse proxy: who the proxy says, believed from the proxy's own addresses alone.
- reachable from elsewhere with neither: refused at the start.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from detector.errors import UsageError
from detector.settings import ConsoleSettings

COOKIE = "console"
SESSION_SECONDS = 12 * 3600
"""How long a sign-in holds: a working day."""

LEAST_TOKEN = 16
MOST_NAME = 100
OWN_NAMES = ("localhost", "127.0.0.1", "::1")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Request:
    """What is looked at of a request. peer: the address that it came from. header names are lower case."""

    headers: Mapping[str, str]
    peer: str = ""
    scheme: str = "http"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request gets no answer: the status, and a sentence."""

    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Access:
    """The rules. tokens: by person. hosts: names that it may be asked by, none: any. origin: the address people use."""

    user: str
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    header: str = ""
    proxies: tuple[Network, ...] = ()
    hosts: tuple[str, ...] = ()
    origin: str = ""

    @classmethod
    def of(cls, chosen: ConsoleSettings) -> Access:
        """Those of the settings; UsageError where it would be open to everybody."""
        local, known = loopback(chosen.console_host), bool(chosen.token_file or chosen.user_header)
        if not known and (not local or chosen.address):
            name, value = ("address", chosen.address) if local else ("console_host", chosen.console_host)
            why = "so that others can reach it: token_file, or user_header of a reverse proxy, wanted"
            raise UsageError(f"setting {name} has value {value!r}, {why}")
        origin = _origin(chosen.address)
        hosts = (*OWN_NAMES, *([urlsplit(origin).hostname or ""] if origin else []))
        return cls(
            user=chosen.user or account(),
            tokens=_tokens(chosen.token_file) if chosen.token_file else {},
            header=chosen.user_header.lower(),
            proxies=_networks(chosen.proxies),
            hosts=hosts if local else (),
            origin=origin,
        )

    def refused(self, request: Request) -> Refusal | None:
        """Why a request is none of this console's own pages, whoever asks; None where it may be one."""
        host = request.headers.get("host", "")
        name = _hostname(host)
        if self.hosts and name not in self.hosts:
            return Refusal(421, f"This console is not {name!r}. Open it as {' or '.join(self.hosts)}.")
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins(request, host):
            return Refusal(403, "A page of another site asked for this; that is not allowed.")
        if (
            request.headers.get("sec-fetch-site") == "cross-site"
            and request.headers.get("sec-fetch-mode") != "navigate"
        ):
            return Refusal(403, "A page of another site asked for this; that is not allowed.")
        return None

    def _origins(self, request: Request, host: str) -> tuple[str, ...]:
        scheme = {"ws": "http", "wss": "https"}.get(request.scheme, request.scheme)
        return (self.origin, f"{scheme}://{host}") if self.origin else (f"{scheme}://{host}",)

    def who(self, request: Request, now: float) -> str | None:
        """Who asks; None where that is not known. now: s since 1970."""
        if self.header:
            told = request.headers.get(self.header, "").strip() if self.believed(request.peer) else ""
            return told[:MOST_NAME] if told.isprintable() and told else None
        if self.tokens:
            return self._signed_in(_cookie(request.headers.get("cookie", "")), now)
        return self.user

    def believed(self, peer: str) -> bool:
        """Whether an address is a proxy's."""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.proxies)

    def sign_in(self, token: str) -> str | None:
        """Whose token it is; None where nobody's. Every token is compared, each in the same time."""
        given, found = _digest(token), None
        for name, own in self.tokens.items():
            if hmac.compare_digest(given, _digest(own)):
                found = name
        return found

    def cookie(self, name: str, now: float) -> str:
        """What a browser keeps for a person who signed in: name, end and their signature."""
        told = f"{name.encode().hex()}.{int(now) + SESSION_SECONDS}"
        return f"{told}.{self._signature(name, told)}"

    def _signed_in(self, cookie: str, now: float) -> str | None:
        told, _, signature = cookie.rpartition(".")
        name_hex, _, end = told.partition(".")
        try:
            name = bytes.fromhex(name_hex).decode()
        except ValueError:
            return None
        if name not in self.tokens or not hmac.compare_digest(signature.encode(), self._signature(name, told).encode()):
            return None
        return name if now < int(end) else None

    def _signature(self, name: str, told: str) -> str:
        return hmac.new(_digest(self.tokens[name]), told.encode(), hashlib.sha256).hexdigest()

    @property
    def secure(self) -> bool:
        """Whether cookies travel over TLS alone."""
        return self.origin.startswith("https:")


def account() -> str:
    """The account that this process runs under: its name, or its number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def loopback(host: str) -> bool:
    """Whether an address is this machine's own alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _cookie(header: str) -> str:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _origin(address: str) -> str:
    """The origin of the address that people use; empty where none is given."""
    if not address:
        return ""
    found = urlsplit(address)
    if found.scheme not in ("http", "https") or not found.hostname or found.path not in ("", "/"):
        raise UsageError(f"setting address has value {address!r}, one like https://fraud.example.org wanted")
    return f"{found.scheme}://{found.netloc}"


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"setting proxies has value {text!r}, addresses or networks wanted: {error}") from error


def _tokens(path: Path) -> dict[str, str]:
    """Tokens by person. No message repeats a line: it may hold a token."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"setting token_file has value {str(path)!r}: {error}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, token = (part.strip() for part in line.partition(":"))
        if not (colon and 0 < len(name) <= MOST_NAME and name.isprintable() and len(token) >= LEAST_TOKEN):
            wish = f"NAME:TOKEN with a token of at least {LEAST_TOKEN} characters wanted"
            raise UsageError(f"token_file {path} line {number}: {wish}")
        found[name] = token
    if not found:
        raise UsageError(f"token_file {path}: no line NAME:TOKEN")
    return found
