"""A signed artifact is loaded for who trusts its key; one byte off, or another key, and it is refused by name."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from detector import artifact, signature
from detector.artifact import FILES, GRAPH, KERAS, MANIFEST, REFERENCE, SIGNATURE
from detector.errors import Failure, ModelRefused, UsageError
from detector.signature import SigningKey

PARTS = (*FILES, MANIFEST)

RFC_8032 = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
        "24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302a"
        "eeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed2"
        "8dc027beceea1ec40a",
    ),
)
"""Secret key, message and signature of the tests 1 to 3 of its section 7.1."""


def private_pem(key: Any, encryption: KeySerializationEncryption | None = None) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))


def public_pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key with its public one beside it."""
    private = tmp_path_factory.mktemp("keys") / "private.pem"
    signature.make_pair(private)
    return private


@pytest.fixture(scope="module")
def key(pair: Path) -> SigningKey:
    return signature.read_signing_key(pair)


@pytest.fixture(scope="module")
def trusted(pair: Path) -> Path:
    return signature.public_path(pair)


@pytest.fixture
def model(artifact_dir: Path, tmp_path: Path, key: SigningKey) -> Path:
    """A signed artifact to be damaged."""
    copy = Path(shutil.copytree(artifact_dir, tmp_path / "model"))
    assert artifact.sign(artifact.load(copy), key) == copy / SIGNATURE
    return copy


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another pair."""
    signature.make_pair(tmp_path / "other.pem")
    return tmp_path / "other.pem"


def refused(folder: Path, trusted: Path) -> str:
    with pytest.raises(ModelRefused) as refusal:
        artifact.load(folder, trusted)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return manifest


@pytest.mark.parametrize(("secret", "message", "wanted"), RFC_8032)
def test_known_signatures(secret: str, message: str, wanted: str, tmp_path: Path) -> None:
    """Signatures are those of RFC 8032, in base64 on one line after the key's id."""
    raw = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    (tmp_path / "key.pem").write_bytes(private_pem(raw))
    (tmp_path / "key.pub.pem").write_bytes(public_pem(raw))
    key = signature.read_signing_key(tmp_path / "key.pem")
    signed = signature.sign(bytes.fromhex(message), key)
    assert signed == b"ed25519 " + key.id.encode() + b" " + base64.b64encode(bytes.fromhex(wanted)) + b"\n"
    known = signature.read_trusted_keys(tmp_path / "key.pub.pem")
    assert signature.verify(bytes.fromhex(message), signed, known) == key.id


def test_openssl_agrees(tmp_path: Path) -> None:
    """OpenSSL's keys sign here, its own check takes what was signed here, and the id is that of its DER form."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl; the signatures of RFC 8032 are tested without it")

    def openssl(*arguments: str) -> bytes:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, check=True).stdout

    openssl("genpkey", "-algorithm", "ed25519", "-out", "key.pem")
    openssl("pkey", "-in", "key.pem", "-pubout", "-out", "key.pub.pem")
    key = signature.read_signing_key(tmp_path / "key.pem")
    der = openssl("pkey", "-pubin", "-in", "key.pub.pem", "-outform", "DER")
    assert key.id == hashlib.sha256(der).hexdigest()[:16]
    (tmp_path / "content").write_bytes(b"a manifest")
    (tmp_path / "raw.sig").write_bytes(base64.b64decode(signature.sign(b"a manifest", key).split()[2]))
    check = ("-verify", "-pubin", "-inkey", "key.pub.pem", "-rawin", "-in", "content", "-sigfile", "raw.sig")
    assert b"Verified Successfully" in openssl("pkeyutl", *check)


@given(st.binary(max_size=300), st.data())
def test_what_was_signed_and_nothing_else(key: SigningKey, trusted: Path, content: bytes, data: st.DataObject) -> None:
    """Any content that was signed is accepted; with a byte more, less, or another one it is not."""
    known, signed = signature.read_trusted_keys(trusted), signature.sign(content, key)
    assert signature.verify(content, signed, known) == key.id
    at = data.draw(st.integers(0, len(content)))
    others = [content[:at] + b"x" + content[at:], content[:at] + content[at + 1 :]]
    others += [content[:at] + bytes([byte ^ 1]) + content[at + 1 :] for byte in content[at : at + 1]]
    for other in others:
        if other != content:
            with pytest.raises(ValueError, match=f"signature of key {key.id} does not fit the manifest"):
                signature.verify(other, signed, known)


def one_byte_off(content: bytes) -> Iterator[bytes]:
    """The content with each byte in turn altered to several others, left out, or preceded by another."""
    for place, byte in enumerate(content):
        for changed in {byte ^ 1, byte ^ 2, byte ^ 32, ord("A"), ord("="), ord(" "), ord("\n")} - {byte}:
            yield content[:place] + bytes([changed]) + content[place + 1 :]
        yield content[:place] + content[place + 1 :]
        for more in b"A =\n":
            yield content[:place] + bytes([more]) + content[place:]
    yield content + b"\n"
    yield content + content


def verdict(content: bytes, signed: bytes, trusted: Path) -> str:
    """Why a signature is none; empty where it is one."""
    try:
        signature.verify(content, signed, signature.read_trusted_keys(trusted))
    except ValueError as error:
        return str(error)
    return ""


def test_every_byte_of_the_signature_matters(key: SigningKey, trusted: Path) -> None:
    """Any byte of manifest.sig that is altered, added or taken away makes it none."""
    signed = signature.sign(b"manifest", key)
    assert verdict(b"manifest", signed, trusted) == ""
    found = [verdict(b"manifest", altered, trusted) for altered in one_byte_off(signed) if altered != signed]
    told = ("not a signature", "signed by key ", f"signature of key {key.id} does not fit")
    assert len(found) > 1000
    assert {next((one for one in told if why.startswith(one)), why) for why in found} == set(told)


def test_a_signed_artifact(model: Path, trusted: Path, key: SigningKey) -> None:
    """A signed artifact is loaded, and says by which key; who trusts no key gets it too, and is told of none."""
    found = artifact.load(model, trusted)
    assert found.signed_by == key.id
    assert sorted(path.name for path in model.iterdir()) == sorted((*PARTS, SIGNATURE))
    assert artifact.load(model).signed_by == ""
    assert artifact.load(model).manifest == found.manifest


def test_an_unsigned_artifact(artifact_dir: Path, trusted: Path, key: SigningKey) -> None:
    """An unsigned one is refused with the file that is not there and the key that should have signed."""
    wanted = f"model file {artifact_dir / SIGNATURE}: not signed, a signature of trusted key {key.id} is wanted"
    assert refused(artifact_dir, trusted) == wanted


def test_nothing_of_the_signature_is_read_without_a_key(model: Path) -> None:
    """Where no key is trusted a signature is not looked at, whatever it is."""
    (model / SIGNATURE).write_bytes(b"\xff garbage")
    assert artifact.load(model).signed_by == ""


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"ed25519", b"{}", b"A" * 100_000, b"-----BEGIN"])
def test_no_signature(content: bytes, model: Path, trusted: Path) -> None:
    """A manifest.sig that is none is refused by name."""
    (model / SIGNATURE).write_bytes(content)
    wanted = f"model file {model / SIGNATURE}: not a signature as `python -m trainer sign` writes it"
    assert refused(model, trusted) == wanted


def test_a_signature_that_cannot_be_read(model: Path, trusted: Path) -> None:
    """A manifest.sig that is a directory is refused by name."""
    (model / SIGNATURE).unlink()
    (model / SIGNATURE).mkdir()
    assert refused(model, trusted) == f"model file {model / SIGNATURE}: {os.strerror(errno.EISDIR)}"


@pytest.mark.parametrize("name", PARTS)
def test_a_tampered_file(name: str, model: Path, trusted: Path) -> None:
    """One byte altered in any region of any file, and the file is named."""
    content = (model / name).read_bytes()
    for place in [0, 1, len(content) - 1, *range(7, len(content), len(content) // 20)]:
        altered = bytearray(content)
        altered[place] ^= 1
        (model / name).write_bytes(altered)
        assert str(model / name) in refused(model, trusted)


@pytest.mark.parametrize("name", FILES)
def test_a_tampered_file_that_was_sealed_anew(name: str, model: Path, trusted: Path, key: SigningKey) -> None:
    """Who alters a file and makes every checksum right has no signature, and the old one does not fit."""
    old = (model / SIGNATURE).read_bytes()
    files = files_of(model)
    changed = artifact.pack_arrays({}) if name == REFERENCE else files[name] + b"\0"
    artifact.write(model, manifest_of(model), files | {name: changed})
    assert "not signed" in refused(model, trusted)
    (model / SIGNATURE).write_bytes(old)
    wanted = f"model file {model / SIGNATURE}: signature of key {key.id} does not fit the manifest"
    assert refused(model, trusted) == wanted


@pytest.mark.parametrize(
    "entry", [{"threshold": {"value": 1e9, "method": "value:1e9"}}, {"version": "2"}, {"note": ""}, {"name": "other"}]
)
def test_a_manifest_that_was_sealed_anew(entry: dict[str, Any], model: Path, trusted: Path, key: SigningKey) -> None:
    """Any entry of the manifest that is altered, the threshold above all, and the signature does not fit."""
    old = (model / SIGNATURE).read_bytes()
    artifact.write(model, manifest_of(model) | entry, files_of(model))
    artifact.load(model)
    (model / SIGNATURE).write_bytes(old)
    assert f"signature of key {key.id} does not fit" in refused(model, trusted)


def test_another_artifact_s_signature(model: Path, ecg_artifact_dir: Path, trusted: Path, tmp_path: Path) -> None:
    """The signature of one artifact is none of another."""
    ecg = Path(shutil.copytree(ecg_artifact_dir, tmp_path / "ecg"))
    shutil.copy(model / SIGNATURE, ecg / SIGNATURE)
    assert "does not fit the manifest" in refused(ecg, trusted)


def test_another_key(model: Path, trusted: Path, other: Path, key: SigningKey) -> None:
    """What another key signed is refused with both ids; and a key that claims to be the trusted one signs in vain."""
    stranger = signature.read_signing_key(other)
    artifact.sign(artifact.load(model), stranger)
    place = f"model file {model / SIGNATURE}"
    wanted = f"{place}: signed by key {stranger.id}, a signature of trusted key {key.id} is wanted"
    assert refused(model, trusted) == wanted
    artifact.sign(artifact.load(model), SigningKey(key.id, stranger.secret))
    assert refused(model, trusted) == f"{place}: signature of key {key.id} does not fit the manifest"


def test_changing_keys(model: Path, trusted: Path, other: Path, key: SigningKey, tmp_path: Path) -> None:
    """A file of two keys trusts both, with words around them; of one that was taken out nothing is accepted."""
    new, both = signature.read_signing_key(other), tmp_path / "both.pem"
    keys = [trusted.read_text(), signature.public_path(other).read_text()]
    both.write_text(f"the old one:\n{keys[0]}\nthe new one:\n{keys[1]}")
    assert artifact.load(model, both).signed_by == key.id
    artifact.sign(artifact.load(model), new)
    assert artifact.load(model, both).signed_by == new.id
    (model / SIGNATURE).unlink()
    ids = ", ".join(sorted((key.id, new.id)))
    assert refused(model, both).endswith(f"not signed, a signature of one of the trusted keys {ids} is wanted")
    both.write_text(keys[1])
    artifact.sign(artifact.load(model), key)
    assert f"signed by key {key.id}, a signature of trusted key {new.id} is wanted" in refused(model, both)


def test_signing_again(model: Path, trusted: Path, key: SigningKey) -> None:
    """Signing again gives the same bytes and leaves nothing beside them; a link is followed."""
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    model.with_name("current").symlink_to(model.name)
    assert artifact.sign(artifact.load(model.with_name("current")), key) == model / SIGNATURE
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_signing_that_fails(model: Path, trusted: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full the old signature stays, and nothing beside it."""
    before = {path.name: path.read_bytes() for path in model.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            artifact.sign(artifact.load(model), signature.read_signing_key(other))
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_written_signed(model: Path, tmp_path: Path, trusted: Path, key: SigningKey) -> None:
    """An artifact that is written with a key is signed from its first moment; without one it is not."""
    artifact.write(tmp_path / "new", manifest_of(model), files_of(model), key)
    assert artifact.load(tmp_path / "new", trusted).signed_by == key.id
    artifact.write(tmp_path / "new", manifest_of(model), files_of(model))
    assert "not signed" in refused(tmp_path / "new", trusted)
    assert not (tmp_path / "new" / SIGNATURE).exists()


def test_amending_ends_a_signature(model: Path, trusted: Path, key: SigningKey) -> None:
    """An amended artifact is signed by nobody, or anew where a key is given."""
    artifact.amend(artifact.load(model, trusted), {"note": 1})
    assert "not signed" in refused(model, trusted)
    artifact.amend(artifact.load(model), {"note": 2}, key)
    assert artifact.load(model, trusted).manifest["note"] == 2


def test_a_signed_artifact_may_be_replaced(model: Path) -> None:
    """A signature is an artifact's file: it does not keep a new artifact from its place."""
    artifact.refuse_to_replace(model)
    (model / "notes").write_text("precious")
    with pytest.raises(FileExistsError):
        artifact.refuse_to_replace(model)


Make = Callable[[], bytes]
KEYS: dict[str, Callable[[], Any]] = {
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
    "Ed448": ed448.Ed448PrivateKey.generate,
    "X25519": x25519.X25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_other_kinds(kind: str, tmp_path: Path) -> None:
    """A key that is not of Ed25519 is refused with what it is, as a private and as a public one."""
    made = KEYS[kind]()
    (tmp_path / "private.pem").write_bytes(private_pem(made))
    (tmp_path / "public.pem").write_bytes(public_pem(made))
    for read, name, word in (
        (signature.read_signing_key, "private.pem", "signing"),
        (signature.read_trusted_keys, "public.pem", "trusted"),
    ):
        with pytest.raises(UsageError) as refusal:
            read(tmp_path / name)
        wanted = f"{word} key {tmp_path / name}: holds a key of {kind}, one of Ed25519 is wanted"
        assert str(refusal.value) == wanted


def ed() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def two_private() -> bytes:
    return private_pem(ed()) + private_pem(ed())


def encrypted() -> bytes:
    return private_pem(ed(), BestAvailableEncryption(b"passphrase"))


def rsa_alone() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )


def damaged(pem: bytes) -> bytes:
    lines = pem.splitlines(keepends=True)
    return lines[0] + b"AAAA" + lines[1][4:] + b"".join(lines[2:])


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: b"", "not a PEM file of keys; `python -m trainer sign --new-key FILE` makes a pair"),
        (lambda: b"\x00\xff garbage", "not a PEM file of keys"),
        (lambda: private_pem(ed())[:-20], "not a PEM file of keys"),
        (lambda: private_pem(ed()) + private_pem(ed())[:40], "not a PEM file of keys"),
        (lambda: public_pem(ed()), "holds a PUBLIC KEY, a PRIVATE KEY of Ed25519 is wanted"),
        (rsa_alone, "holds a RSA PRIVATE KEY, a PRIVATE KEY of Ed25519 is wanted"),
        (two_private, "holds 2 keys, one is wanted"),
        (encrypted, "has a passphrase, a key without one is wanted"),
        (lambda: damaged(private_pem(ed())), "damaged, or of no known kind"),
    ],
)
def test_no_signing_key(make: Make, wanted: str, tmp_path: Path) -> None:
    """A file that holds no key to sign with is refused with its name and what is wrong; nothing in it is told."""
    content = make()
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(UsageError) as refusal:
        signature.read_signing_key(tmp_path / "key.pem")
    assert f"signing key {tmp_path / 'key.pem'}: {wanted}" in str(refusal.value)
    told = f"{refusal.value} {refusal.value.__cause__} {refusal.value.__context__}".encode()
    assert not any(line in told for line in content.splitlines() if len(line) > 20 and b"-----" not in line)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: b"", "not a PEM file of keys"),
        (lambda: b"ssh-ed25519 AAAAC3Nz", "not a PEM file of keys"),
        (lambda: public_pem(ed()).replace(b"END", b"FIN"), "not a PEM file of keys"),
        (lambda: private_pem(ed()), "holds a PRIVATE KEY, PUBLIC KEYs of Ed25519 alone are wanted"),
        (lambda: public_pem(ed()) + private_pem(ed()), "holds a PRIVATE KEY, "),
        (lambda: public_pem(ed()) + public_pem(KEYS["RSA"]()), "holds a key of RSA, one of Ed25519 is wanted"),
        (lambda: public_pem(ed()) + damaged(public_pem(ed())), "damaged, or of no known kind"),
    ],
)
def test_no_trusted_keys(make: Make, wanted: str, model: Path, tmp_path: Path) -> None:
    """One key that is none of Ed25519's public ones, beside good ones too, and the file is refused, not the model."""
    (tmp_path / "key.pem").write_bytes(make())
    with pytest.raises(UsageError) as refusal:
        artifact.load(model, tmp_path / "key.pem")
    assert f"trusted key {tmp_path / 'key.pem'}: {wanted}" in str(refusal.value)


def test_a_key_file_that_cannot_be_read(model: Path, tmp_path: Path) -> None:
    """A key file that is absent, or a directory, is named."""
    for path, why in ((tmp_path / "absent.pem", errno.ENOENT), (tmp_path, errno.EISDIR)):
        with pytest.raises(UsageError, match=f"^signing key {path}: {os.strerror(why)}$"):
            signature.read_signing_key(path)
        with pytest.raises(UsageError, match=f"^trusted key {path}: {os.strerror(why)}$"):
            artifact.load(model, path)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_new_pair(mask: int, tmp_path: Path) -> None:
    """A new private key is its owner's alone, whatever the umask; the public one lies beside it. No two are alike."""
    before = os.umask(mask)
    try:
        made = [signature.make_pair(tmp_path / name) for name in ("private.pem", "other.pem")]
    finally:
        os.umask(before)
    assert made[0].id != made[1].id
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("other.pem", "other.pub.pem"),
        *("private.pem", "private.pub.pem"),
    ]
    private = tmp_path / "private.pem"
    assert private.stat().st_mode & 0o777 == 0o600
    assert signature.public_path(private).stat().st_mode & 0o777 == 0o644 & ~mask
    assert signature.read_signing_key(private).id == made[0].id
    assert list(signature.read_trusted_keys(signature.public_path(private))) == [made[0].id]


@pytest.mark.parametrize("present", ["private.pem", "private.pub.pem"])
def test_a_key_is_never_overwritten(present: str, tmp_path: Path) -> None:
    """Where either file of a pair is there it is left as it is, and no other is made."""
    (tmp_path / present).write_text("precious")
    with pytest.raises(Failure, match=f"^key {tmp_path / present}: exists; it is left as it is$"):
        signature.make_pair(tmp_path / "private.pem")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(present, "precious")]


def test_a_pair_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no such directory, or the disk is full, a pair is told to be none, and leaves nothing."""
    with pytest.raises(Failure, match=r"absent/private\.pub\.pem: No such file or directory"):
        signature.make_pair(tmp_path / "absent" / "private.pem")
    calls = iter([None, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])

    def full_at_last(_: int) -> None:
        if error := next(calls):
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_at_last)
        with pytest.raises(Failure, match=r"private\.pem: No space left on device"):
            signature.make_pair(tmp_path / "private.pem")
    assert list(tmp_path.iterdir()) == []


def test_open_to_others(tmp_path: Path) -> None:
    """A key file that a group or anybody may read or write is told from one that its owner alone may."""
    path = tmp_path / "key"
    path.write_text("")
    found = []
    for mode in (0o600, 0o400, 0o640, 0o604, 0o620, 0o644):
        path.chmod(mode)
        found.append(signature.open_to_others(path))
    assert found == [False, False, True, True, True, True]
    assert not signature.open_to_others(Path(os.devnull))


def test_a_secret_is_not_shown(pair: Path, key: SigningKey) -> None:
    """However a key is printed, its id is all there is to see."""
    raw = key.secret.private_bytes_raw()
    for text in (repr(key), str(key), f"{key}", repr([key])):
        assert f"SigningKey(id='{key.id}')" in text
        assert raw.hex() not in text
        assert base64.b64encode(raw).decode() not in text


def test_who_trusts_no_key_does_not_pay(artifact_dir: Path) -> None:
    """Loading an artifact without a trusted key does not import cryptography; with one it does."""
    look = "from pathlib import Path; import sys; from detector import artifact, reload, serving\n"
    look += f"artifact.load(Path({str(artifact_dir)!r})); print('cryptography' in sys.modules)\n"
    look += (
        f"try: artifact.load(Path({str(artifact_dir)!r}), Path('absent'))\nexcept Exception as error: print(error)\n"
    )
    look += (
        "from detector.signature import make_pair; make_pair(Path(sys.argv[1])); print('cryptography' in sys.modules)"
    )
    private = artifact_dir.parent / "unused.pem"
    ran = subprocess.run([sys.executable, "-c", look, private], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False\ntrusted key absent: No such file or directory\nTrue\n"


def test_parts_of_a_graph(model: Path, trusted: Path) -> None:
    """A file that is cut short or missing is refused by its own name, signature or not."""
    for name in (GRAPH, KERAS, REFERENCE):
        content = (model / name).read_bytes()
        (model / name).write_bytes(content[: len(content) // 2])
        assert f"model file {model / name}: sha256 " in refused(model, trusted)
        (model / name).unlink()
        assert f"model file {model / name}: No such file" in refused(model, trusted)
        (model / name).write_bytes(content)
    assert artifact.load(model, trusted).signed_by
