"""How well every recipe and its peers tell anomalies, on P1 to P4 and on small tables.

`python -m tests.benchmarks.detection --protocols P1 --methods default,mahalanobis --seeds 0` takes a minute.

The peers of PyOD need an environment of their own (`pip install --require-hashes -r peers.txt`, beside this file)
and its interpreter as --peers-python; without it they are left out, and that is said.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from detector.command import ended
from detector.errors import DataRefused, Failure, UsageError
from tests.benchmarks.detection.methods import Outcome, Run, methods_of, needs_peers_python, run
from tests.benchmarks.detection.peer import PEERS
from tests.benchmarks.detection.protocols import PROTOCOLS, Protocol
from tests.benchmarks.detection.report import as_dict, as_markdown
from tests.benchmarks.detection.tables import PREFIX, table_protocols
from tests.benchmarks.line import machine
from trainer.commands.arguments import positive
from trainer.recipes import RECIPES

DEFAULT = ("P1", "P2", "P3", "P4", "small")


def main(argv: list[str] | None = None) -> int:
    """Measures, prints Markdown, keeps both forms if asked; the exit code says whether every run succeeded."""
    chosen = parser().parse_args(argv)
    return ended(lambda: measure(chosen))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    told = {name: one.about for name, one in RECIPES.items()} | {name: one.about for name, one in PEERS.items()}
    methods = "\n".join(f"  {name:<24}{about}" for name, about in told.items())
    protocols = "\n".join(f"  {name:<24}{one.about}" for name, one in PROTOCOLS.items())
    foot = f"protocols:\n{protocols}\n  {'small':<24}all small tables; small/NAME is one\n\nmethods:\n{methods}"
    found = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.detection",
        description=__doc__,
        epilog=foot,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    found.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the protocols' files")
    found.add_argument("--tables", metavar="DIR", type=Path, help="folder of more small tables, *.npz with X and y")
    found.add_argument("--protocols", metavar="A,B,...", type=_names, default=list(DEFAULT))
    found.add_argument("--methods", metavar="A,B,...", type=_names, help="(default: all that suit a protocol)")
    found.add_argument("--seeds", metavar="0,1,...", type=_seeds, help="(default: the protocol's)")
    found.add_argument("--epochs", type=positive, help="most epochs of recipes, for a quick look (default: theirs)")
    found.add_argument("--peers-python", metavar="PYTHON", help="interpreter of the peers' environment")
    found.add_argument("--out", metavar="FILE.json", type=Path, help="every run; the tables go beside it as FILE.md")
    return found


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _seeds(text: str) -> list[int]:
    return [int(seed) for seed in text.split(",")]


_seeds.__name__ = "whole numbers with commas between them"


def measure(chosen: argparse.Namespace) -> int:
    """Every run in turn; a run that fails is told and the others go on. What is kept, is kept after each."""
    _refuse(chosen)
    protocols = chosen_protocols(chosen.protocols, chosen.tables)
    plan = {name: chosen_methods(name, one, chosen) for name, one in protocols.items()}
    if not any(plan.values()):
        raise UsageError(f"methods {','.join(chosen.methods)}: none suits protocols {','.join(chosen.protocols)}")
    about = {"machine": machine(), "begun_at": datetime.now(UTC).isoformat(timespec="seconds")}
    outcomes: list[Outcome] = []
    failures: list[str] = []
    for name, protocol in protocols.items():
        for seed in (chosen.seeds or protocol.seeds) if plan[name] else ():
            split = protocol.split(chosen.data, seed)
            for method in plan[name]:
                try:
                    one = Run(name, method, seed, chosen.peers_python, chosen.epochs)
                    outcomes.append(run(one, protocol, split))
                    _tell(outcomes[-1])
                except Failure as failure:
                    failures.append(str(failure))
                    print(f"failed: {failure}", file=sys.stderr)
                if chosen.out:
                    chosen.out.write_text(json.dumps(as_dict(outcomes, failures, about), indent=2))
    text = as_markdown(outcomes, failures, protocols, about)
    print(text, end="")
    if chosen.out:
        chosen.out.with_suffix(".md").write_text(text)
    return Failure.code if failures else 0


def _refuse(chosen: argparse.Namespace) -> None:
    """UsageError or DataRefused before the first fit, not after an hour."""
    if chosen.peers_python and not shutil.which(chosen.peers_python):
        raise UsageError(f"peers-python {chosen.peers_python!r} is no program; the peers' interpreter is wanted")
    if unknown := [name for name in chosen.methods or () if name not in {**RECIPES, **PEERS}]:
        raise UsageError(f"method {unknown[0]!r} is none of {', '.join([*RECIPES, *PEERS])}")
    if not chosen.peers_python and (far := [name for name in chosen.methods or () if needs_peers_python(name)]):
        raise UsageError(f"method {far[0]!r} needs --peers-python, the interpreter of the peers' environment")
    if chosen.tables and not chosen.tables.is_dir():
        raise DataRefused(f"tables {chosen.tables}: no such folder")
    if chosen.out and (chosen.out.suffix != ".json" or not chosen.out.parent.is_dir()):
        raise UsageError(f"out {chosen.out}: a .json file in a folder that is there is wanted")


def chosen_protocols(names: list[str], tables: Path | None) -> dict[str, Protocol]:
    """Protocols by name; "small" stands for every small table."""
    known = {**PROTOCOLS, **table_protocols(tables)}
    found: dict[str, Protocol] = {}
    for name in names:
        if name != "small" and name not in known:
            raise UsageError(f"protocol {name!r} is none of {', '.join([*PROTOCOLS, 'small', PREFIX + 'NAME'])}")
        found |= {one: known[one] for one in known if one == name or (name == "small" and one.startswith(PREFIX))}
    return found


def chosen_methods(name: str, protocol: Protocol, chosen: argparse.Namespace) -> list[str]:
    """Those that were asked for and suit; those that cannot be run here are left out, and that is said."""
    suiting = methods_of(name, protocol)
    if chosen.methods:
        return [method for method in suiting if method in chosen.methods]
    here = [method for method in suiting if chosen.peers_python or not needs_peers_python(method)]
    if left := [method for method in suiting if method not in here]:
        print(f"{name}: without {', '.join(left)}, which need --peers-python", file=sys.stderr)
    return here


def _tell(outcome: Outcome) -> None:
    figures = " ".join(f"{name} {figure:.3f}" for name, figure in outcome.figures.items())
    print(
        f"{outcome.protocol} {outcome.method} seed {outcome.seed}: {figures}, {outcome.seconds:.1f} s", file=sys.stderr
    )


if __name__ == "__main__":
    sys.exit(main())
