"""`fit`: from history to an artifact."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector import artifact
from detector.artifact import Artifact
from detector.errors import Failure, UsageError
from detector.quiet import held_back
from detector.signature import SigningKey
from trainer import memory, metrics
from trainer.commands.arguments import add_data, add_label, add_signing_key, positive, seed, signing_key
from trainer.commands.show import describe
from trainer.datasets import Data, open_data
from trainer.history import Columns, History
from trainer.recipes import Dense, Recipe, find

ABOUT = "train on the normal rows of DATA and write an artifact"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_data(parser)
    add_label(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the artifact goes")
    parser.add_argument(
        "--recipe", metavar="RECIPE", default="default", help="network and training: a name or a .toml file"
    )
    parser.add_argument("--threshold", metavar="SPEC", help="how the line is found (default: the recipe's)")
    parser.add_argument("--features", metavar="A,B,...", help="columns to learn from (default: found; see inspect)")
    parser.add_argument("--time", metavar="COLUMN", help="column of the event time (default: found; or none)")
    parser.add_argument(
        "--amount", metavar="COLUMN", help="column of the value lost where fraud is missed (default: by name)"
    )
    parser.add_argument(
        "--key", metavar="COLUMN", help="column of the entity (card, patient; default: found by name; or none)"
    )
    parser.add_argument("--epochs", type=positive, help="most epochs (default: the recipe's)")
    parser.add_argument("--seed", type=seed, default=0, help="of split and weights (default: 0)")
    parser.add_argument(
        "--tensorboard", metavar="DIR", type=Path, help="where curves for TensorBoard go (default: nowhere)"
    )
    parser.add_argument(
        "--metrics",
        metavar="FILE",
        type=Path,
        help="a .prom file for node_exporter's textfile collector (default: none)",
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        type=memory.size,
        help="what the rows of a file may take, such as 2G; a longer file is streamed (default: a quarter of all)",
    )
    parser.add_argument("--name", help="the model's name (default: that of DATA)")
    parser.add_argument("--version", default="1", help="the model's version (default: 1)")
    add_signing_key(parser)


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    begun = time.monotonic()
    with held_back():  # TensorFlow takes seconds to import, and only this command needs it
        from trainer.build import Order, build
        from trainer.distribution import joined
        from trainer.progress import checked, told

    name, recipe = find(arguments.recipe)
    workers = joined(os.environ.get("TF_CONFIG", ""))
    follows = workers is not None and not workers.cluster.chief
    budget = arguments.memory or memory.budget()
    data = open_data(arguments.data, arguments.seed, budget if recipe.table == "as_is" else None)
    order = Order(
        recipe_name=name,
        recipe=recipe,
        name=arguments.name or data.name.partition(".")[0],
        model_version=arguments.version,
        threshold=arguments.threshold,
        epochs=arguments.epochs,
        seed=arguments.seed,
        tensorboard=None if follows else _board(arguments.tensorboard, recipe),
        signing_key=None if follows else signing_key(arguments.signing_key),
    )
    with told() as progress, _explained(arguments.out):
        history = build(data, _columns(arguments), order, arguments.out, progress, workers, checked)
    _tell(data, history)
    if workers and follows:
        print(f"{workers.cluster}: trained; worker 0 writes {arguments.out}")
    else:
        made = artifact.load(arguments.out)
        _tell_made(made, order.signing_key)
        if arguments.metrics:
            metrics.write(arguments.metrics, made, time.monotonic() - begun)


def _columns(arguments: argparse.Namespace) -> Columns:
    features = tuple(arguments.features.split(",")) if arguments.features else None
    return Columns(features, arguments.label, arguments.normal, arguments.time, arguments.key, arguments.amount)


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    """What cannot be done, in one line."""
    from tensorflow.errors import OpError

    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise Failure(f"out {out}: {error.strerror or error}") from error
    except OpError as error:
        reason = error.message.partition("\n")[0]
        raise Failure(f"TensorFlow: {reason}") from error


def _tell(data: Data, history: History) -> None:
    if history.dropped:
        print(f"left out: {', '.join(history.dropped)}")
    if data.stream:
        print(f"streamed from the file; what its columns are was found in the first {len(data.frame):,} rows")


def _tell_made(made: Artifact, key: SigningKey | None) -> None:
    if foreign := made.manifest["data"].get("not_english"):
        print(f"left out: {foreign} accounts that are not English")
    print(describe(made))
    if key:
        print(f"signed by key {key.id}")


def _board(folder: Path | None, recipe: Recipe) -> Path | None:
    """The directory of TensorBoard, made where it is not there; refused where there is nothing to be shown."""
    if folder is None:
        return None
    if not any(isinstance(branch, Dense) for branch in recipe.branches):
        raise UsageError("tensorboard: the recipe has no dense branch, so that nothing is learned by epochs")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"tensorboard {folder}: {error.strerror or error}") from error
    return folder
