"""`threshold`: what an artifact's line costs and catches, and moving it without training again."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from detector import artifact
from detector.artifact import Artifact
from detector.calibration import Calibration
from detector.errors import Failure, UsageError
from detector.signature import SigningKey
from detector.threshold import Threshold, calibrate, parse
from trainer.commands.arguments import add_signing_key, signing_key
from trainer.comparison import BRACKETS, Judged, caution, methods, origin, side_by_side
from trainer.tradeoff import figures

ABOUT = "say what a threshold costs and catches, or move it without training"
TRIED = (
    *("percentile:99", "percentile:99.5", "percentile:99.9", "mean+3sd", "mad:3.5"),
    *("f1", "recall@precision:0.9", "budget:100/day"),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("model", metavar="DIR", type=Path, help="an artifact")
    parser.add_argument("spec", metavar="SPEC", nargs="?", help="where the line goes (default: compare what could be)")
    parser.add_argument(
        "--amount", metavar="COLUMN", help="the amounts it must hold, or none (default: those it holds)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--dry-run", action="store_true", help="print what would be, leave the artifact as it is")
    add_signing_key(parser)
    _let_spec_stand_anywhere(parser)


def _let_spec_stand_anywhere(parser: Any) -> None:
    """DIR --json SPEC too: until Python 3.12 an optional positional is taken for absent unless it follows at once."""
    strictly = parser.parse_known_args

    def parse(args: Any = None, namespace: Any = None) -> Any:
        parser.parse_known_args = strictly  # it is what the free order is made of
        try:
            return parser.parse_known_intermixed_args(args, namespace)
        finally:
            parser.parse_known_args = parse

    parser.parse_known_args = parse


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    key = signing_key(arguments.signing_key)
    found = artifact.load(arguments.model)
    known = _with_amount(found.calibration, arguments.amount)
    if arguments.spec is None:
        _compare(found, known, arguments.json)
    else:
        _move(found, known, _moved(found, arguments.spec), key, arguments)


def _with_amount(held: Calibration, asked: str | None) -> Calibration:
    """What the artifact holds, without amounts where none are asked for; UsageError where it holds others."""
    if asked in (None, held.amount):
        return held
    if asked == "none":
        return replace(held, amount=None, held_out_amounts=np.empty(0), anomalous_amounts=np.empty(0))
    holds = f"the amounts of {held.amount!r}" if held.amount else "no amounts; `fit --amount` keeps them"
    raise UsageError(f"amount {asked!r} is not in the model, which holds {holds}")


def _moved(found: Artifact, spec: str) -> Threshold:
    try:
        return calibrate(parse(spec), found.calibration)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _judged(known: Calibration, threshold: Threshold) -> Judged:
    return threshold, figures(known, threshold.value)


def _compare(found: Artifact, known: Calibration, as_json: bool) -> None:
    now = _judged(known, found.threshold)
    tried = [_tried(known, text) for text in TRIED]
    if as_json:
        plain = [_refused(t, one) if isinstance(one, str) else _plain(one) for t, one in zip(TRIED, tried, strict=True)]
        print(json.dumps({**_source(found), "now": _plain(now), "methods": plain}, indent=2))
        return
    table = side_by_side(("now",), [now], known.amount)
    ways = methods(TRIED, tried, found.threshold)
    learned = caution(*(one[0].method for one in tried if not isinstance(one, str)))
    print("\n".join([*origin(found), "", *table, "", *ways, "", BRACKETS, *learned]))


def _tried(known: Calibration, text: str) -> Judged | str:
    try:
        return _judged(known, calibrate(parse(text), known))
    except ValueError as error:
        return str(error).removeprefix(f"threshold {text!r}").removeprefix(":").strip()


def _refused(method: str, why: str) -> dict[str, Any]:
    return {"method": method, "refused": why}


def _move(
    found: Artifact, known: Calibration, moved: Threshold, key: SigningKey | None, arguments: argparse.Namespace
) -> None:
    before, after = _judged(known, found.threshold), _judged(known, moved)
    same = moved == found.threshold
    written = not same and not arguments.dry_run
    was_signed = (found.path / artifact.SIGNATURE).exists()
    if written:
        _write(found, moved, key)
    if arguments.json:
        signed_by = key.id if key and written else None
        moves = {"before": _plain(before), "after": _plain(after), "written": written, "signed_by": signed_by}
        print(json.dumps({**_source(found), **moves}, indent=2))
        return
    done = "unchanged: it is where it was" if same else "dry run: nothing is written"
    if written:
        done = f"written: {found.path}; a detector takes it up when it starts{_signed(found.path, was_signed, key)}"
    titles, columns = (("now",), [before]) if same else (("before", "after"), [before, after])
    table = side_by_side(titles, columns, known.amount)
    print("\n".join([*origin(found), "", *table, "", BRACKETS, *caution(moved.method), done]))


def _signed(model: Path, before: bool, key: SigningKey | None) -> str:
    if key:
        return f"; signed by key {key.id}"
    return f"\nnot signed any more: `python -m trainer sign {model} --key FILE` signs it again" if before else ""


def _write(found: Artifact, moved: Threshold, key: SigningKey | None) -> None:
    step = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "from": asdict(found.threshold),
        "to": asdict(moved),
    }
    steps = [*found.manifest.get("threshold_history", []), step]
    try:
        artifact.amend(found, {"threshold": asdict(moved), "threshold_history": steps}, key)
    except OSError as error:
        raise Failure(f"model {found.path}: {error.strerror or error}") from error


def _source(found: Artifact) -> dict[str, Any]:
    name = {"name": found.name.name, "version": found.name.version, "sha256": found.name.sha256}
    return {"model": name, "history": found.calibration.to_dict()}


def _plain(judged: Judged) -> dict[str, Any]:
    threshold, found = judged
    return {"method": threshold.method, **found.to_dict()}
