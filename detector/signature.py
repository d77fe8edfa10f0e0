"""Whose model it is: Ed25519 signatures (RFC 8032) of a manifest. The only file that imports cryptography.

The manifest holds the sha256 of every file, so its signature covers them all. cryptography is imported when a key is
used: a detector that is told of none does not pay for it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.errors import Failure, ModelRefused, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_SIGNED = re.compile(rb"ed25519 ([0-9a-f]{16}) ([A-Za-z0-9+/]{86}==)\n")
_MAKE_ONE = "`python -m trainer sign --new-key FILE` makes a pair"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, of which only the id is ever shown."""

    id: str
    secret: Ed25519PrivateKey = field(repr=False)


TrustedKeys = Mapping[str, "Ed25519PublicKey"]
"""Public keys by their ids."""


def sign(content: bytes, key: SigningKey) -> bytes:
    """One line of text: the algorithm, the key's id, and the 64 bytes of the signature in base64."""
    return b"ed25519 %s %s\n" % (key.id.encode(), base64.b64encode(key.secret.sign(content)))


def verify(content: bytes, signature: bytes, trusted: TrustedKeys) -> str:
    """The id of the trusted key that signed the content; ValueError says why it is none."""
    from cryptography.exceptions import InvalidSignature

    parts = _SIGNED.fullmatch(signature)
    if parts is None:
        raise ValueError("not a signature as `python -m trainer sign` writes it")
    id_, raw = parts[1].decode(), base64.b64decode(parts[2])
    if base64.b64encode(raw) != parts[2]:  # bits that base64 leaves unused are altered too
        raise ValueError("not a signature as `python -m trainer sign` writes it")
    if id_ not in trusted:
        raise ValueError(f"signed by key {id_}, a signature of {_named(trusted)} is wanted")
    try:
        trusted[id_].verify(raw, content)
    except InvalidSignature:
        raise ValueError(f"signature of key {id_} does not fit the manifest") from None
    return id_


def signed_by(file: Path, content: bytes, trusted_key: Path) -> str:
    """The id of the trusted key whose signature of a content a file holds; ModelRefused names the file and the keys."""
    trusted = read_trusted_keys(trusted_key)
    try:
        return verify(content, file.read_bytes(), trusted)
    except FileNotFoundError as error:
        raise ModelRefused(f"model file {file}: not signed, a signature of {_named(trusted)} is wanted") from error
    except OSError as error:
        raise ModelRefused(f"model file {file}: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelRefused(f"model file {file}: {error}") from error


def _named(trusted: TrustedKeys) -> str:
    return ("trusted key " if len(trusted) == 1 else "one of the trusted keys ") + ", ".join(sorted(trusted))


def read_signing_key(path: Path) -> SigningKey:
    """The private key of a PEM file (PKCS #8, no passphrase); UsageError names the file and what is wrong with it."""
    blocks = _blocks(path, "signing key")
    if len(blocks) != 1:
        raise UsageError(f"signing key {path}: holds {len(blocks)} keys, one is wanted")
    ((label, pem),) = blocks
    if label == "ENCRYPTED PRIVATE KEY":
        raise UsageError(f"signing key {path}: has a passphrase, a key without one is wanted")
    if label != "PRIVATE KEY":
        raise UsageError(f"signing key {path}: holds a {label}, a PRIVATE KEY of Ed25519 is wanted")
    return _signing_key(_loaded(path, "signing key", pem))


def read_trusted_keys(path: Path) -> TrustedKeys:
    """The public keys of a PEM file, one or more; UsageError names the file and what is wrong with it."""
    found: dict[str, Ed25519PublicKey] = {}
    for label, pem in _blocks(path, "trusted key"):
        if label != "PUBLIC KEY":
            raise UsageError(f"trusted key {path}: holds a {label}, PUBLIC KEYs of Ed25519 alone are wanted")
        key: Ed25519PublicKey = _loaded(path, "trusted key", pem)
        found[key_id(key)] = key
    return found


def _blocks(path: Path, kind: str) -> list[tuple[str, bytes]]:
    """The PEM blocks of a file, each with its label; there is at least one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{kind} {path}: {error.strerror or error}") from error
    found = [(match[1].decode(), match[0]) for match in _PEM.finditer(content)]
    if not found or len(found) != content.count(b"-----BEGIN"):
        raise UsageError(f"{kind} {path}: not a PEM file of keys; {_MAKE_ONE}")
    return found


def _loaded(path: Path, kind: str, pem: bytes) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    try:
        if kind == "signing key":
            key: Any = serialization.load_pem_private_key(pem, None)
        else:
            key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError(f"{kind} {path}: damaged, or of no known kind; {_MAKE_ONE}") from None
    if not isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)):
        found = re.sub("^_|(Public|Private)Key$", "", type(key).__name__)
        raise UsageError(f"{kind} {path}: holds a key of {found}, one of Ed25519 is wanted")
    return key


def _signing_key(secret: Ed25519PrivateKey) -> SigningKey:
    return SigningKey(key_id(secret.public_key()), secret)


def key_id(key: Ed25519PublicKey) -> str:
    """16 hexadecimal digits that name a key: the first of the sha256 of its DER form (SubjectPublicKeyInfo)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]


def open_to_others(path: Path) -> bool:
    """Whether a private key's file can be read or written by anybody but its owner."""
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) and bool(mode & 0o077)


def public_path(private: Path) -> Path:
    """Where the public key of a pair lies: beside the private one."""
    return private.with_name(f"{private.stem}.pub.pem")


def make_pair(private: Path) -> SigningKey:
    """A new pair: the private key for its owner alone (0600), the public one beside it; Failure where one is there."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    public = public_path(private)
    _write_new(public, 0o644, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    try:
        _write_new(private, 0o600, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except BaseException:
        public.unlink()
        raise
    return _signing_key(key)


def _write_new(path: Path, mode: int, content: bytes) -> None:
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise Failure(f"key {path}: exists; it is left as it is") from error
    except OSError as error:
        raise Failure(f"key {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(number)
    except OSError as error:
        path.unlink()
        raise Failure(f"key {path}: {error.strerror or error}") from error
