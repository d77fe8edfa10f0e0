"""Command line: `python -m trainer fit | score | evaluate | show | generate`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from detector import artifact, table
from detector.command import ended, exit_codes_text
from detector.errors import DataRefused, Failure, UsageError
from detector.quiet import held_back
from detector.threshold import METHODS, parse, refuse_running
from trainer.datasets import KNOWN, open_data, write
from trainer.history import Columns
from trainer.recipes import RECIPES

Command = Callable[[argparse.Namespace], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code."""
    arguments = parser().parse_args(argv)
    return ended(lambda: arguments.run(arguments) or 0)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    known = "\n".join(f"  {name:<18}{one.about}" for name, one in KNOWN.items())
    recipes = "\n".join(f"  {name:<18}{one.about}" for name, one in RECIPES.items())
    methods = "\n".join(f"  {name:<18}{meaning}" for name, meaning in METHODS.items())
    foot = f"known data sets:\n{known}\n\nrecipes:\n{recipes}\n\nthresholds:\n{methods}\n\n{exit_codes_text()}"
    top = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Turns history into a model that the detector serves.",
        epilog=foot,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_fit(_command(commands, "fit", "train on the normal rows of DATA and write an artifact", foot, _fit))
    _add_score(_command(commands, "score", "score the rows of DATA with the detector's own model", foot, _score))
    _add_evaluate(_command(commands, "evaluate", "compare scores with the labels of DATA", foot, _evaluate))
    show = _command(commands, "show", "say what an artifact is", foot, _show)
    show.add_argument("model", metavar="DIR", type=Path, help="an artifact")
    show.add_argument("--json", action="store_true", help="print its whole manifest")
    _add_generate(_command(commands, "generate", "write a simulated data set to a file", foot, _generate))
    return top


def _command(commands: Any, name: str, about: str, foot: str, run: Command) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=foot,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.set_defaults(run=run)
    return command


def _add_data(command: argparse.ArgumentParser) -> None:
    files = "CSV (also .gz .xz .zst) or Parquet"
    command.add_argument("data", metavar="DATA", help=f"a file, {files}; or a known data set's name")


def _add_label(command: argparse.ArgumentParser) -> None:
    command.add_argument("--label", metavar="COLUMN", help="column of the truth (default: found by name; or none)")
    command.add_argument("--normal", metavar="VALUE", help="the label's value for a normal row (default: 0)")


def _add_fit(command: argparse.ArgumentParser) -> None:
    _add_data(command)
    _add_label(command)
    command.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the artifact goes")
    command.add_argument("--recipe", choices=RECIPES, default="default", help="network and training (default: default)")
    command.add_argument("--threshold", metavar="SPEC", help="how the line is found (default: the recipe's)")
    command.add_argument("--features", metavar="A,B,...", help="columns to learn from (default: all numeric ones)")
    command.add_argument("--time", metavar="COLUMN", help="column of the event time (default: found by name; or none)")
    command.add_argument("--key", metavar="COLUMN", help="column of the entity (card, patient)")
    command.add_argument("--epochs", type=_positive, help="most epochs (default: the recipe's)")
    command.add_argument("--seed", type=_seed, default=0, help="of split and weights (default: 0)")
    command.add_argument("--name", help="the model's name (default: that of DATA)")
    command.add_argument("--version", default="1", help="the model's version (default: 1)")


def _add_score(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="DIR", type=Path, help="an artifact")
    _add_data(command)
    command.add_argument("--out", metavar="FILE", type=Path, required=True, help="CSV or Parquet to write")
    command.add_argument("--threshold", metavar="SPEC", default="", help="overrides the artifact's")


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="DIR", type=Path, help="an artifact")
    _add_data(command)
    _add_label(command)
    command.add_argument("--threshold", metavar="SPEC", default="", help="overrides the artifact's")
    command.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_generate(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", metavar="NAME", choices=KNOWN, help=", ".join(KNOWN))
    command.add_argument("--out", metavar="FILE", type=Path, required=True, help="CSV or Parquet to write")
    command.add_argument("--rows", type=_positive, help="how many (default: the set's)")
    command.add_argument("--seed", type=_seed, default=0, help="another seed gives other rows (default: 0)")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


_positive.__name__ = "whole number above 0"


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 32:
        raise ValueError(text)
    return number


_seed.__name__ = "whole number from 0 to 4294967295"


def _fit(arguments: argparse.Namespace) -> None:
    with held_back():  # TensorFlow takes seconds to import, and only this command needs it
        from trainer.build import Order, build
        from trainer.progress import told

    data = open_data(arguments.data, arguments.seed)
    recipe = RECIPES[arguments.recipe]
    order = Order(
        recipe_name=arguments.recipe,
        recipe=recipe,
        name=arguments.name or data.name.partition(".")[0],
        model_version=arguments.version,
        threshold=arguments.threshold,
        epochs=arguments.epochs,
        seed=arguments.seed,
    )
    features = tuple(arguments.features.split(",")) if arguments.features else None
    columns = Columns(features, arguments.label, arguments.normal, arguments.time, arguments.key)
    with told(arguments.epochs or recipe.epochs) as progress:
        try:
            history = build(data, columns, order, arguments.out, progress)
        except ValueError as error:
            raise UsageError(str(error)) from error
        except OSError as error:
            raise Failure(f"out {arguments.out}: {error.strerror or error}") from error
    if history.dropped:
        print(f"left out: {', '.join(history.dropped)}")
    print(_describe(artifact.load(arguments.out)))


def _score(arguments: argparse.Namespace) -> None:
    from trainer import scoring

    found = artifact.load(arguments.model)
    data = open_data(arguments.data)
    line = _line(found, arguments.threshold)
    rows = scoring.verdicts(scoring.score(found, found.model(), data.frame), line)
    write(rows, arguments.out)
    print(f"{len(rows)} rows, {int((rows.verdict == 'alert').sum())} alerts above {line:.9g}: {arguments.out}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from trainer import evaluate, scoring

    found = artifact.load(arguments.model)
    data = open_data(arguments.data)
    label = table.label_column(data.frame, arguments.label or found.schema.label)
    if label is None:
        raise DataRefused(f"data {data.name}: no label column found; name it with --label")
    truth = table.anomalous(data.frame, label, arguments.normal or found.schema.normal)
    scores = scoring.score(found, found.model(), data.frame)
    figures = evaluate.evaluate(scores, truth, _line(found, arguments.threshold))
    print(json.dumps(figures.to_dict(), indent=2) if arguments.json else evaluate.as_text(figures))


def _line(found: artifact.Artifact, override: str) -> float:
    try:
        if override:
            refuse_running(parse(override))
        return found.line(override).calibrated.value
    except ValueError as error:
        raise UsageError(str(error)) from error


def _show(arguments: argparse.Namespace) -> None:
    found = artifact.load(arguments.model)
    print(json.dumps(found.manifest, indent=2) if arguments.json else _describe(found))


def _generate(arguments: argparse.Namespace) -> None:
    known = KNOWN[arguments.data]
    frame = known.make(arguments.rows or known.rows, arguments.seed)
    write(frame, arguments.out)
    print(f"{len(frame)} SIMULATED rows: {arguments.out}")


def _describe(found: artifact.Artifact) -> str:
    m, schema = found.manifest, found.schema
    training, data = m["training"], m["data"]
    shown = ", ".join(schema.features[:8]) + (f", ... {schema.features[-1]}" if len(schema.features) > 8 else "")
    lines = {
        "model": f"{found.name.name} version {found.name.version}, sha256 {found.name.sha256[:12]}",
        "made": f"{m['created_at']} by recipe {training['recipe']}, seed {training['seed']}",
        "data": f"{data['name']}: {data['rows']} rows, {training['anomalous_rows_left_out']} anomalous left out",
        "trained": f"on {training['training_rows']} rows, {training['epochs']} epochs, best {training['best_epoch']}; "
        f"{training['held_out_rows']} rows held out",
        "features": f"{len(schema.features)}: {shown}",
        "may be missing": ", ".join(schema.optional) or "none",
        "columns": f"key {schema.key}, time {schema.time}, label {schema.label} (normal = {schema.normal})",
        "threshold": f"{found.threshold.value:.9g} by {found.threshold.method}, on {found.calibration.rows} scores",
        "normal scores": f"median {found.calibration.median:.6g}, MAD {found.calibration.mad:.6g}",
        "directory": str(found.path),
    }
    return "\n".join(f"{name:<16}{value}" for name, value in lines.items())


if __name__ == "__main__":
    sys.exit(main())
