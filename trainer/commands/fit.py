"""`fit`: from history to an artifact."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from detector import artifact
from detector.errors import Failure, UsageError
from detector.quiet import held_back
from trainer import memory
from trainer.commands.arguments import add_data, add_label, positive, seed
from trainer.commands.show import describe
from trainer.datasets import open_data
from trainer.history import Columns
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
        "--memory",
        metavar="SIZE",
        type=memory.size,
        help="what the rows of a file may take, such as 2G; a longer file is streamed (default: a quarter of all)",
    )
    parser.add_argument("--name", help="the model's name (default: that of DATA)")
    parser.add_argument("--version", default="1", help="the model's version (default: 1)")


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    with held_back():  # TensorFlow takes seconds to import, and only this command needs it
        from tensorflow.errors import OpError

        from trainer.build import Order, build
        from trainer.distribution import joined
        from trainer.progress import told

    name, recipe = find(arguments.recipe)
    workers = joined(os.environ.get("TF_CONFIG", ""))
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
        tensorboard=None if workers and not workers.cluster.chief else _board(arguments.tensorboard, recipe),
    )
    features = tuple(arguments.features.split(",")) if arguments.features else None
    columns = Columns(features, arguments.label, arguments.normal, arguments.time, arguments.key, arguments.amount)
    with told() as progress:
        try:
            history = build(data, columns, order, arguments.out, progress, workers)
        except ValueError as error:
            raise UsageError(str(error)) from error
        except OSError as error:
            raise Failure(f"out {arguments.out}: {error.strerror or error}") from error
        except OpError as error:
            reason = error.message.partition("\n")[0]
            raise Failure(f"TensorFlow: {reason}") from error
    if history.dropped:
        print(f"left out: {', '.join(history.dropped)}")
    if data.stream:
        print(f"streamed from the file; what its columns are was found in the first {len(data.frame):,} rows")
    if workers and not workers.cluster.chief:
        print(f"{workers.cluster}: trained; worker 0 writes {arguments.out}")
        return
    made = artifact.load(arguments.out)
    if foreign := made.manifest["data"].get("not_english"):
        print(f"left out: {foreign} accounts that are not English")
    print(describe(made))


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
