"""`sign`, and the commands that sign what they write: what a detector that trusts the key then loads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from detector import artifact, signature
from detector.artifact import GRAPH, MANIFEST, SIGNATURE
from detector.errors import ModelRefused
from trainer.__main__ import main
from trainer.simulate import simulated_cards

Capture = pytest.CaptureFixture[str]

TINY = """
about = "for these tests"
threshold = "percentile:99"
features = ["V1", "V2", "Amount"]

[[branches]]
kind = "dense"
preprocessing = [{ kind = "standardise" }]
layers = [{ units = 2, activation = "tanh" }]
epochs = 1
"""


@pytest.fixture
def model(artifact_dir: Path, tmp_path: Path) -> Path:
    """An artifact that may be signed."""
    return Path(shutil.copytree(artifact_dir, tmp_path / "model"))


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A private key, with its public one beside it."""
    signature.make_pair(tmp_path / "private.pem")
    return tmp_path / "private.pem"


@pytest.fixture
def public(private: Path) -> Path:
    return signature.public_path(private)


def said(capture: Capture, *arguments: object) -> str:
    """What a command that succeeds prints; it has nothing to say on stderr."""
    assert main([str(one) for one in arguments]) == 0
    out, err = capture.readouterr()
    assert err == ""
    return out


def failed(capture: Capture, *arguments: object) -> tuple[int, str]:
    """Exit code and the one line on stderr of a command that fails, which prints nothing else."""
    code = main([str(one) for one in arguments])
    out, err = capture.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return code, err


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def secret_of(private: Path) -> str:
    """The line of a PEM file that nobody may see."""
    return private.read_text().splitlines()[1]


def test_from_a_new_key_to_a_model_that_is_trusted(model: Path, tmp_path: Path, capsys: Capture) -> None:
    """A new key signs, and who trusts its public half loads the model; the secret is never printed."""
    private, public = tmp_path / "keys.pem", tmp_path / "keys.pub.pem"
    made = said(capsys, "sign", "--new-key", private)
    key = signature.read_signing_key(private)
    wanted = f"{private} signs and is a secret; {public} is for detectors (--trusted-key)"
    assert made == f"key {key.id}: {wanted}\n"
    before = contents(model)
    told = said(capsys, "sign", model, "--key", private)
    assert told == f"signed by key {key.id}: {model / SIGNATURE}\n"
    assert artifact.load(model, public).signed_by == key.id
    assert {name: content for name, content in contents(model).items() if name != SIGNATURE} == before
    assert secret_of(private) not in made + told


def test_a_new_key_that_signs_at_once(model: Path, tmp_path: Path, capsys: Capture) -> None:
    """With a model a new key signs it too."""
    lines = said(capsys, "sign", model, "--new-key", tmp_path / "k.pem").splitlines()
    assert [line.split()[0] for line in lines] == ["key", "signed"]
    assert artifact.load(model, tmp_path / "k.pub.pem").signed_by


def test_a_key_is_not_overwritten(private: Path, capsys: Capture) -> None:
    """A key that is there is left as it is, and so is its public half."""
    before = contents(private.parent)
    wanted = f"error: key {signature.public_path(private)}: exists; it is left as it is\n"
    assert failed(capsys, "sign", "--new-key", private) == (1, wanted)
    assert contents(private.parent) == before


def test_a_damaged_model_is_not_signed(model: Path, private: Path, capsys: Capture) -> None:
    """What was altered, or is no artifact, is refused with 3 and gets no signature."""
    with (model / GRAPH).open("ab") as graph:
        graph.write(b"\0")
    code, text = failed(capsys, "sign", model, "--key", private)
    assert code == 3
    assert f"model file {model / GRAPH}: sha256" in text
    assert not (model / SIGNATURE).exists()
    assert failed(capsys, "sign", model.parent, "--key", private)[0] == 3


@pytest.mark.parametrize("command", ["sign", "threshold", "fit"])
def test_keys_that_sign_nothing(command: str, model: Path, public: Path, tmp_path: Path, capsys: Capture) -> None:
    """A key file that is absent, or public, is refused with 2 and its name before anything is done."""
    before = contents(model)
    for path, wanted in (
        (tmp_path / "absent.pem", "No such file or directory"),
        (public, "holds a PUBLIC KEY, a PRIVATE KEY of Ed25519 is wanted"),
    ):
        order = {
            "sign": ["sign", model, "--key", path],
            "threshold": ["threshold", model, "value:3", "--signing-key", path],
            "fit": ["fit", "simulated-cards", "--out", model, "--signing-key", path],
        }[command]
        assert failed(capsys, *order) == (2, f"error: signing key {path}: {wanted}\n")
    assert contents(model) == before


def test_what_must_be_said(private: Path, capsys: Capture) -> None:
    """Without a model there is nothing to sign; without a key, or with two, it is no order."""
    assert failed(capsys, "sign", "--key", private) == (2, "error: sign: the DIR of an artifact is wanted\n")
    for order in ([], ["--key", private, "--new-key", private]):
        with pytest.raises(SystemExit) as left:
            main(["sign", "model", *map(str, order)])
        assert left.value.code == 2


def test_a_key_that_others_may_read(model: Path, private: Path, public: Path, capsys: Capture) -> None:
    """A key file that others may read signs, and the person is told so on stderr."""
    private.chmod(0o644)
    assert main(["sign", str(model), "--key", str(private)]) == 0
    told = capsys.readouterr()
    assert told.err == f"warning: signing key {private}: others may read it; chmod 600 {private}\n"
    assert told.out.startswith("signed by key ")
    assert artifact.load(model, public).signed_by


def test_a_key_from_a_pipe(model: Path, private: Path, public: Path) -> None:
    """A key that a secret store hands over need not lie in a file: standard input is one."""
    order = [sys.executable, "-m", "trainer", "sign", str(model), "--key", "/dev/stdin"]
    ran = subprocess.run(order, input=private.read_text(), capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert artifact.load(model, public).signed_by


def test_a_place_that_cannot_be_written(
    model: Path, private: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk is full `sign` fails with one line and leaves the model as it was."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = contents(model)
    monkeypatch.setattr(os, "fsync", full)
    wanted = (1, f"error: model {model}: No space left on device\n")
    assert failed(capsys, "sign", model, "--key", private) == wanted
    assert contents(model) == before


def test_moving_the_line_ends_a_signature(model: Path, private: Path, public: Path, capsys: Capture) -> None:
    """A moved threshold is signed by nobody, which is said with what mends it; of one that never was, nothing is."""
    assert "signed" not in said(capsys, "threshold", model, "value:3")
    said(capsys, "sign", model, "--key", private)
    assert "signed" not in said(capsys, "threshold", model, "value:3")
    assert "signed" not in said(capsys, "threshold", model, "value:4", "--dry-run")
    assert artifact.load(model, public).threshold.value == 3
    text = said(capsys, "threshold", model, "value:4")
    assert text.endswith(f"not signed any more: `python -m trainer sign {model} --key FILE` signs it again\n")
    with pytest.raises(ModelRefused, match="not signed"):
        artifact.load(model, public)


def test_moving_the_line_with_a_key(model: Path, private: Path, public: Path, capsys: Capture) -> None:
    """With --signing-key the moved threshold is signed in the same step, and JSON says by whom."""
    id_ = signature.read_signing_key(private).id
    text = said(capsys, "threshold", model, "value:3", "--signing-key", private)
    assert text.endswith(f"; signed by key {id_}\n")
    assert artifact.load(model, public).threshold.value == 3
    again = json.loads(said(capsys, "threshold", model, "value:4", "--signing-key", private, "--json"))
    assert (again["written"], again["signed_by"]) == (True, id_)
    dry = json.loads(said(capsys, "threshold", model, "value:5", "--signing-key", private, "--json", "--dry-run"))
    assert (dry["written"], dry["signed_by"]) == (False, None)
    assert artifact.load(model, public).threshold.value == 4


def test_a_fit_that_signs(private: Path, public: Path, tmp_path: Path, capsys: Capture) -> None:
    """With --signing-key what `fit` writes is signed from its first moment; without, it is signed by nobody."""
    simulated_cards(300, 0, fraud_share=0.02).to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "tiny.toml").write_text(TINY)
    order = ["fit", tmp_path / "rows.csv", "--recipe", tmp_path / "tiny.toml", "--out", tmp_path / "m"]
    id_ = signature.read_signing_key(private).id
    assert main([*map(str, order), "--signing-key", str(private)]) == 0
    told = capsys.readouterr()
    assert told.out.endswith(f"\nsigned by key {id_}\n")
    assert secret_of(private) not in told.out + told.err + (tmp_path / "m" / MANIFEST).read_text()
    assert artifact.load(tmp_path / "m", public).signed_by == id_
    assert main([str(one) for one in order]) == 0
    assert "signed" not in capsys.readouterr().out
    assert not (tmp_path / "m" / SIGNATURE).exists()
