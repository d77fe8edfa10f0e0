"""Several processes train one network: as one would, to the same weights in each, and none is left waiting for ever."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import artifact, table
from detector.errors import UsageError
from trainer.__main__ import main
from trainer.distribution import Cluster, Together, Workers, cluster, share
from trainer.network import dense_autoencoder
from trainer.recipes import RECIPES, Dense
from trainer.rows import Rows
from trainer.simulate import simulated_cards

ROWS = 700
RECIPE = """
about = "for this test: nothing in it is random but the order of the rows"
threshold = "percentile:99"
[[branches]]
kind = "dense"
preprocessing = [{{ kind = "standardise" }}]
layers = [{{ units = 12, activation = "tanh", l2_activity = 1e-3 }}, {{ units = 5 }}]
epochs = {epochs}
batch = {batch}
patience = {patience}
"""
TWO = {"worker": ["a:1", "b:2"]}


def config(jobs: object, kind: object = "worker", index: object = 0) -> str:
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}, "environment": "cloud"})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", None),
        (" ", None),
        (config({"worker": ["a:1"]}), None),
        (config({"chief": ["a:1"]}, "chief"), None),
        (config(TWO, index=1), Cluster(("a:1", "b:2"), 1)),
        (config({"chief": ["c:3"], "worker": ["a:1", "[::1]:2"]}, "chief"), Cluster(("c:3", "a:1", "[::1]:2"), 0)),
        (config({"worker": ["a:1", "b:2"], "chief": ["c:3"]}, index=1), Cluster(("c:3", "a:1", "b:2"), 2)),
    ],
)
def test_who_takes_part(text: str, wanted: Cluster | None) -> None:
    """The chief, or else worker 0, is the first of all; who is alone trains as without TF_CONFIG."""
    found = cluster(text)
    assert found == wanted
    assert found is None or found.chief == (found.rank == 0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("nonsense", "JSON is malformed"),
        ("{}", "missing required field `cluster`"),
        (json.dumps({"cluster": TWO}), "missing required field `task`"),
        (config({"worker": "a:1"}), r"Expected `array`, got `str` - at `\$\.cluster"),
        (config(TWO, index="0"), r"Expected `int`, got `str` - at `\$\.task\.index`"),
        (config(TWO, index=2), "task is 'worker' 2, of which cluster has 2"),
        (config(TWO, index=-1), "task is 'worker' -1, of which cluster has 2"),
        (config(TWO, "chief"), "task is 'chief' 0, of which cluster has 0"),
        (config({**TWO, "ps": ["c:3"]}), "cluster names 'ps', 'chief' and 'worker' wanted"),
        (config({**TWO, "chief": ["c:3", "d:4"]}), "cluster has 2 addresses of a 'chief', one wanted"),
        (config({"worker": ["a", "b:2"]}), "address 'a': host:port wanted"),
        (config({"worker": ["a:0", "b:2"]}), "address 'a:0': host:port wanted"),
        (config({"worker": ["a:1", "b:70000"]}), "address 'b:70000': host:port wanted"),
        (config({"worker": ["a:1", "a:1"]}), "address 'a:1' is there twice"),
    ],
)
def test_malformed(
    text: str, wanted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A TF_CONFIG that is wrong is refused in one line that says what, with the code of a wrong setting."""
    with pytest.raises(UsageError, match=f"TF_CONFIG: .*{wanted}"):
        cluster(text)
    monkeypatch.setenv("TF_CONFIG", text)
    assert main(["fit", "simulated-ecg", "--out", str(tmp_path / "m")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(f"error: TF_CONFIG: .*{wanted}.*\n", err)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5), st.integers(1, 3))
def test_shares(rows: int, size: int, count: int, epochs: int) -> None:
    """Each batch goes to one worker, in turn; all take as many steps, with no weight where an epoch has none left."""
    every = Rows.of(np.arange(rows, dtype=np.float32)[:, None])
    each = every.steps(size)
    shares = [list(share(every.batches(size, 0, epochs), each, rank, count)) for rank in range(count)]
    assert {len(one) for one in shares} == {epochs * -(-each // count)}
    dealt = [batch for step in zip(*shares, strict=True) for batch, weights in step if weights.all()]
    assert [one.tolist() for one in dealt] == [one.tolist() for one in every.batches(size, 0, epochs)]
    left = [(batch, weights) for one in shares for batch, weights in one if not weights.all()]
    assert all(batch.shape == (1, 1) and weights.tolist() == [0] for batch, weights in left)


class Unjoined(Workers):
    """One that never asks the others."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster


@pytest.mark.parametrize("name", ["cards-30-14-7-4", "default"])
def test_noise_differs(name: str) -> None:
    """Dropout and noise are each worker's own; the chief's are those of a training alone."""
    branch = RECIPES[name].branches[0]
    assert isinstance(branch, Dense)
    found = []
    for rank in (None, 0, 1):
        keras.utils.set_random_seed(0)
        network = dense_autoencoder(branch, 6, 0, "autoencoder")
        learner = network if rank is None else Together(network, Unjoined(Cluster(("a:1", "b:2"), rank)))
        found.append(np.array(learner(np.ones((4, 6), np.float32), training=True)))
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


@dataclass(frozen=True)
class Worker:
    """A process that trains with another. out: where it would write its artifact."""

    process: subprocess.Popen[str]
    out: Path
    said: Path

    def stderr(self) -> str:
        return self.said.read_text()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened at a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def recipe(folder: Path, batch: int, epochs: int, patience: int = 2) -> Path:
    place = folder / f"{batch}.toml"
    place.write_text(RECIPE.format(batch=batch, epochs=epochs, patience=patience))
    return place


def started(folder: Path, files: tuple[Path, Path], *options: object) -> list[Worker]:
    """Two processes on this machine that are told of each other, each with a file of its own."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = []
    for rank, file in enumerate(files):
        out, said = folder / f"m{rank}", folder / f"m{rank}.err"
        command = [sys.executable, "-m", "trainer", "fit", str(file), "--out", str(out), *map(str, options)]
        environment = {**os.environ, "TF_CONFIG": config({"worker": addresses}, index=rank)}
        with said.open("w") as stderr:
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=Path(__file__).parents[2],
            )
        workers.append(Worker(process, out, said))
    return workers


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("together") / "cards.parquet"
    table.write(simulated_cards(ROWS, 1, fraud_share=0.02), place)
    return place


def test_two_workers_are_as_one(cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two workers with batches of 32 end with the same weights, those of one process with batches of 64.

    Of 549 rows an epoch has 18 batches of 32, the last of them short. Only the chief writes; the other exits 0.
    """
    both = started(tmp_path, (cards, cards), "--recipe", recipe(tmp_path, 32, 2))
    assert main(["fit", str(cards), "--recipe", str(recipe(tmp_path, 64, 2)), "--out", str(tmp_path / "alone")]) == 0
    capsys.readouterr()
    said = [one.process.communicate(timeout=300)[0] for one in both]
    assert [one.process.returncode for one in both] == [0, 0], [one.stderr() for one in both]
    told = r"autoencoder has weights sha256 ([0-9a-f]{64}), the same in all\n"
    digests = [re.findall(told, one.stderr()) for one in both]
    assert len(digests[0]) == 1
    assert digests[0] == digests[1]
    assert not both[1].out.exists()
    assert said[1].endswith(f"worker 1 of 2: trained; worker 0 writes {both[1].out}\n")
    one, two = artifact.load(tmp_path / "alone"), artifact.load(both[0].out)
    assert two.manifest["training"]["training_rows"] == 549
    for name in ("losses", "held_out_losses"):
        assert two.manifest["training"][name] == pytest.approx(one.manifest["training"][name], rel=1e-5)
    rows = table.encoded(table.read(cards), one.schema)
    np.testing.assert_allclose(two.model().score(rows), one.model().score(rows), rtol=1e-4)


@pytest.mark.long
def test_workers_that_were_told_different_things(cards: Path, tmp_path: Path) -> None:
    """Workers that do not learn from the same data are refused, and write nothing."""
    other = tmp_path / "other.parquet"
    table.write(table.read(cards).head(ROWS - 1), other)
    workers = started(tmp_path, (cards, other), "--epochs", 1)
    for rank, one in enumerate(workers):
        one.process.communicate(timeout=300)
        assert one.process.returncode == 1
        wanted = f"error: worker {rank} of 2: the workers differ in data, columns, recipe, epochs or seed\n"
        assert one.stderr().endswith(wanted)
        assert not one.out.exists()


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_dies(victim: int, cards: Path, tmp_path: Path) -> None:
    """Where one worker is killed, the other ends with an error in one line within seconds, and writes nothing."""
    workers = started(tmp_path, (cards, cards), "--recipe", recipe(tmp_path, 32, 1_000_000, patience=0))
    left = workers[1 - victim]
    try:
        until = time.monotonic() + 240
        while not all("training: epoch" in one.stderr() for one in workers):
            assert time.monotonic() < until, [one.stderr() for one in workers]
            assert [one.process.poll() for one in workers] == [None, None]
            time.sleep(0.1)
        workers[victim].process.send_signal(signal.SIGKILL)
        left.process.communicate(timeout=120)
    finally:
        for one in workers:
            one.process.kill()
            one.process.communicate()
    assert left.process.returncode == 1
    errors = [line for line in left.stderr().splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: worker {1 - victim} of 2: the training ended, another worker may be gone: ")
    assert "Traceback" not in left.stderr()
    assert not left.out.exists()
