"""`sign`: says whose an artifact is, to detectors that trust the key."""

from __future__ import annotations

import argparse
from pathlib import Path

from detector import artifact
from detector.errors import Failure, UsageError
from detector.signature import SigningKey, make_pair, public_path
from trainer.commands.arguments import signing_key

ABOUT = "sign an artifact with a private key, or make a pair of keys"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("model", metavar="DIR", nargs="?", type=Path, help="an artifact")
    keys = parser.add_mutually_exclusive_group(required=True)
    keys.add_argument("--key", metavar="FILE", type=Path, help="private key, Ed25519 in PEM (PKCS #8)")
    keys.add_argument("--new-key", metavar="FILE", type=Path, help="make a private key, and beside it the public one")


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    if arguments.key and arguments.model is None:
        raise UsageError("sign: the DIR of an artifact is wanted")
    key = _new(arguments.new_key) if arguments.new_key else signing_key(arguments.key)
    if arguments.model and key:
        _sign(arguments.model, key)


def _new(private: Path) -> SigningKey:
    key = make_pair(private)
    print(f"key {key.id}: {private} signs and is a secret; {public_path(private)} is for detectors (--trusted-key)")
    return key


def _sign(model: Path, key: SigningKey) -> None:
    try:
        place = artifact.sign(artifact.load(model), key)
    except OSError as error:
        raise Failure(f"model {model}: {error.strerror or error}") from error
    print(f"signed by key {key.id}: {place}")
