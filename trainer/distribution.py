"""Several processes that train one network: each on its share of the batches, gradients summed over all at each step.

TF_CONFIG says who takes part, as for every program of TensorFlow's. Keras 3 cannot run `Model.fit` under
tf.distribute.MultiWorkerMirroredStrategy, whose values it does not know; so here the strategy joins the processes and
sums, and all else is Keras' own loop in each of them: callbacks, early stop, best weights.
"""

from __future__ import annotations

import hashlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras
import msgspec
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from detector.errors import Failure, UsageError
from detector.quiet import held_back
from trainer.rows import READ_AHEAD, Array, Feed, Rows, read_ahead

CHIEF, WORKER = "chief", "worker"
SEED_STATE = "seed_generator_state"
"""How Keras calls the variables (2,), a seed and a count, that random numbers of a layer come from."""

ABORTED = "Collective ops is aborted by: "
"""What TensorFlow says before the cause."""


class _Task(msgspec.Struct, frozen=True):
    type: str
    index: int


class _Config(msgspec.Struct, frozen=True):
    cluster: dict[str, list[str]]
    task: _Task


@dataclass(frozen=True, slots=True)
class Cluster:
    """Who trains together. addresses: host:port of each, the chief's first. rank: this process' place among them."""

    addresses: tuple[str, ...]
    rank: int

    @property
    def chief(self) -> bool:
        """Whether this process is the one that writes the artifact."""
        return self.rank == 0

    def __str__(self) -> str:
        return f"worker {self.rank} of {len(self.addresses)}"


def cluster(config: str) -> Cluster | None:
    """What a TF_CONFIG says; None where it is empty or names this process alone. UsageError where it is wrong."""
    if not config.strip():
        return None
    try:
        found = _read(msgspec.json.decode(config, type=_Config))
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(f"TF_CONFIG: {error}") from error
    return found if len(found.addresses) > 1 else None


def _read(config: _Config) -> Cluster:
    jobs, task = config.cluster, config.task
    if unknown := sorted(set(jobs) - {CHIEF, WORKER}):
        raise ValueError(f"cluster names {unknown[0]!r}, {CHIEF!r} and {WORKER!r} wanted")
    if len(jobs.get(CHIEF, ())) > 1:
        raise ValueError(f"cluster has {len(jobs[CHIEF])} addresses of a {CHIEF!r}, one wanted")
    count = len(jobs.get(task.type, ()))
    if not 0 <= task.index < count:
        raise ValueError(f"task is {task.type!r} {task.index}, of which cluster has {count}")
    addresses = (*jobs.get(CHIEF, ()), *jobs.get(WORKER, ()))
    for place, address in enumerate(addresses):
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 1 << 16):
            raise ValueError(f"address {address!r}: host:port wanted")
        if address in addresses[:place]:
            raise ValueError(f"address {address!r} is there twice")
    return Cluster(addresses, task.index + (len(jobs.get(CHIEF, ())) if task.type == WORKER else 0))


def joined(config: str) -> Workers | None:
    """This process among those of a TF_CONFIG, once all are there; None where it trains alone."""
    found = cluster(config)
    if found is None:
        return None
    print(f"{found}: waiting for the others: {', '.join(found.addresses)}", file=sys.stderr, flush=True)
    return Workers(found)


class Workers:
    """This process and those that it trains with. Made before TensorFlow does anything else; waits for the others."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        try:
            with held_back(), _interruptible():
                self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except (tf.errors.OpError, RuntimeError) as error:
            raise Failure(f"{cluster}: cannot join the others: {_why(error)}") from error
        self._sum = tf.function(lambda values: self.summed([values])[0], autograph=False, reduce_retracing=True)

    def summed(self, values: Sequence[Any]) -> list[Any]:
        """Tensors summed over all workers, to the same bits in each; each worker gives as many, of the same shapes."""

        def sums(mine: list[Any]) -> Any:
            here = [tf.identity(one) for one in mine]  # on the device that this process has in the cluster
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)

        found = self.strategy.run(sums, args=(list(values),))
        return [self.strategy.experimental_local_results(one)[0] for one in found]

    def mean(self, values: Sequence[float]) -> list[float]:
        """Numbers' means over all workers."""
        sums = self._summed(np.asarray(values, np.float32))
        return [float(one) for one in sums / self.strategy.num_replicas_in_sync]

    def same(self, content: bytes) -> bool:
        """Whether all workers say the same. Equal numbers are those with no variance: n sum(x^2) = sum(x)^2."""
        digest = np.frombuffer(hashlib.sha256(content).digest(), np.uint8).astype(np.float32)
        total, squares = self._summed(np.stack([digest, digest**2]))
        return bool((self.strategy.num_replicas_in_sync * squares == total**2).all())

    def _summed(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._sum(tf.constant(values)).numpy()
        return found

    def steps(self, batches: int) -> int:
        """Steps that it takes all workers together to go through so many batches."""
        return -(-batches // len(self.cluster.addresses))

    def feed(self, rows: Rows, size: int, seed: int, epochs: int | None) -> Feed:
        """This worker's shuffled batches of (row, row, weight): of each epoch those numbered rank, rank + workers, ...

        Where an epoch has one more batch for the others, it is a row of weight 0 for this one.
        """
        one, weight = tf.TensorSpec((None, rows.sample.shape[1]), tf.float32), tf.TensorSpec((None,), tf.float32)
        count = len(self.cluster.addresses)
        found = read_ahead(
            lambda: share(rows.batches(size, seed, epochs), rows.steps(size), self.cluster.rank, count), (one, weight)
        )
        dataset = found.dataset.map(lambda batch, weights: (batch, batch, weights)).prefetch(READ_AHEAD)
        return replace(found, dataset=dataset)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Failure where another worker is gone: TensorFlow says so within seconds."""
        try:
            yield
        except tf.errors.OpError as error:
            raise Failure(f"{self.cluster}: the training ended, another worker may be gone: {_why(error)}") from error

    def refuse_others(self, what: object) -> None:
        """Failure where the workers were not told the same."""
        with self.watched():
            if not self.same(repr(what).encode()):
                raise Failure(f"{self.cluster}: the workers differ in data, columns, recipe, epochs or seed")

    def tell(self, network: Any) -> None:
        """Says on stderr which weights a network ended with, and whether all workers have them."""
        with self.watched():
            digest = weights_digest(network)
            told = "the same in all" if self.same(digest.encode()) else "NOT the same in all"
        print(f"{self.cluster}: {network.name} has weights sha256 {digest}, {told}", file=sys.stderr, flush=True)


def share(batches: Iterator[Array], each: int, rank: int, count: int) -> Iterator[tuple[Array, Array]]:
    """Every count-th batch with its rows' weights, all 1; each: batches of an epoch. All ranks get equally many."""
    left_over = each % count
    for number, batch in enumerate(batches):
        place = number % each
        if place % count == rank:
            yield batch, np.ones(len(batch), np.float32)
        if place == each - 1 and left_over and rank >= left_over:
            yield np.zeros((1, batch.shape[1]), np.float32), np.zeros(1, np.float32)


class Together(keras.Model):  # type: ignore[misc]
    """A network for `fit`, with the layers and weights of the one given; a step is one on the batches of all workers.

    Its loss is the mean over the rows of all, so that the step is that of one process with one batch of all those rows.
    Dropout and noise differ from worker to worker.
    """

    def __init__(self, network: Any, workers: Workers) -> None:
        super().__init__(network.input, network.output)
        self.workers = workers
        for variable in network.variables:
            if variable.path.endswith(SEED_STATE):
                variable.assign(keras.ops.add(variable, [workers.cluster.rank, 0]))

    def make_train_function(self, force: bool = False) -> None:
        """What Keras calls for each step."""
        step = tf.function(self._step, autograph=False, reduce_retracing=True)

        def train(batches: Any) -> dict[str, Any]:
            step(*next(batches))
            return {"loss": self.metrics[0].result()}

        self.train_function = train

    def _step(self, rows: Any, wanted: Any, weights: Any) -> None:
        count = tf.reduce_sum(weights)
        with tf.GradientTape() as tape:
            loss = count * self.compute_loss(rows, wanted, self(rows, training=True))
        variables = self.trainable_variables
        # Only what is summed goes through the strategy: under it Keras would scale the loss and sum a second time.
        loss, count, *gradients = self.workers.summed([loss, count, *tape.gradient(loss, variables)])
        self.optimizer.apply_gradients(zip([one / count for one in gradients], variables, strict=True))
        self.metrics[0].update_state(loss / count, sample_weight=count)

    def evaluate(self, *arguments: Any, **options: Any) -> Any:
        """As Keras', but the mean of what the workers found: they must agree on when to stop, to the last bit."""
        found = super().evaluate(*arguments, **options)
        return dict(zip(found, self.workers.mean(list(found.values())), strict=True))


def weights_digest(network: Any) -> str:
    """sha256 of a network's weights."""
    return hashlib.sha256(b"".join(one.tobytes() for one in network.get_weights())).hexdigest()


def _why(error: Exception) -> str:
    """What TensorFlow says of it first, without the names of its kernels."""
    text = str(getattr(error, "message", error))
    return ((text.partition(ABORTED)[2] or text).splitlines() or [type(error).__name__])[0]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the process while native code waits, which Python's own answer to it would wait for too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
