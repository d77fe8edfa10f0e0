"""Measures the detector against the bare client's loop on a real Apache Kafka, and prints tables.

`python -m tests.benchmarks.line --parts throughput --rows 200000 --repeats 1` takes a minute or two.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from subprocess import SubprocessError

from detector.command import ended
from detector.errors import Failure, UsageError
from tests.benchmarks.line import curves
from tests.benchmarks.line.bench import Bench, say
from tests.benchmarks.line.figures import Part
from tests.benchmarks.line.host import surroundings
from tests.benchmarks.line.latency import latency
from tests.benchmarks.line.models import Models
from tests.benchmarks.line.peers import environments, peers
from tests.benchmarks.line.report import as_dict, as_markdown, as_text
from tests.benchmarks.line.rows import FORMS, forms
from tests.benchmarks.line.scored import scores
from tests.benchmarks.line.soak import soak
from tests.benchmarks.line.standing import idle, ready
from tests.benchmarks.line.throughput import measure, stages, throughput, warm
from tests.benchmarks.line.watching import watched
from tests.broker import BrokerError, start
from tests.registry import schema_registry
from trainer.commands.arguments import positive

LATER: dict[str, Callable[[Bench], Part]] = {
    "latency": latency,
    "ready": ready,
    "idle": idle,
    "scores": scores,
    "watched": watched,
    "features": curves.features,
    "partitions": curves.partitions,
    "alerts": curves.alerts,
    "two": curves.two,
    "soak": soak,
    "peers": peers,
}
"""The parts that measure for themselves; `throughput` and `stages` are two views of one measurement."""

PARTS = ("throughput", "stages", *LATER)
DEFAULT = ("throughput", "stages", "latency", "ready", "idle")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; the exit code says whether every part succeeded."""
    chosen = parser().parse_args(argv)
    return ended(lambda: benchmark(chosen))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.line",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    names = ",".join(DEFAULT)
    found.add_argument("--parts", metavar="A,B,...", default=names, help=f"{', '.join(PARTS)} (default: {names})")
    found.add_argument("--forms", metavar="A,B,...", default=",".join(FORMS), help="formats of rows (default: all)")
    found.add_argument("--repeats", type=positive, default=3, help="runs of each, by turns (default: 3)")
    found.add_argument("--rows", type=positive, help="rows of a run (default: 3,000,000 packed, 1,000,000 JSON)")
    found.add_argument("--seconds", type=positive, default=20, help="of latency and idleness (default: 20)")
    found.add_argument("--soak-rows", type=positive, default=50_000_000, help="(default: 50,000,000)")
    found.add_argument(
        "--peers-python",
        metavar="NAME=PYTHON,...",
        default="",
        help=f"interpreters of the peers' environments: {', '.join(environments())}",
    )
    found.add_argument("--markdown", action="store_true", help="print Markdown")
    found.add_argument("--out", metavar="FILE.json", type=Path, help="every run; the tables go beside it as FILE.md")
    return found


def benchmark(chosen: argparse.Namespace) -> int:
    """Every part that was asked for, on one broker; the exit code."""
    names = listed("part", chosen.parts, PARTS)
    wanted, pythons = listed("form", chosen.forms, FORMS), interpreters(chosen.peers_python)
    about = {**surroundings(), "begun_at": f"begun at {datetime.now(UTC).isoformat(timespec='seconds')}"}
    options = {"repeats": chosen.repeats, "rows": chosen.rows, "seconds": chosen.seconds, "soak_rows": chosen.soak_rows}
    broker = start()
    try:
        with tempfile.TemporaryDirectory() as folder, schema_registry() as registry:
            known = forms(registry)
            bench = Bench(
                broker.bootstrap,
                Models(Path(folder)),
                known["packed"],
                tuple(known[name] for name in wanted),
                peers=pythons,
                **options,
            )
            warm(bench)
            parts, failures = measured(bench, names, about, chosen.out)
    finally:
        broker.stop()
    print((as_markdown if chosen.markdown else as_text)(parts, failures, about), end="")
    return Failure.code if failures else 0


def measured(
    bench: Bench, names: Sequence[str], about: dict[str, str], out: Path | None
) -> tuple[list[Part], list[str]]:
    """Parts, and what failed: it is told, and the others go on. What is kept, is kept after each."""
    parts: list[Part] = []
    failures: list[str] = []
    for name, part in plan(names).items():
        try:
            parts += [one for one in part(bench) if one.name in names]
        except (Failure, AssertionError, SubprocessError, BrokerError) as error:
            failures.append(f"{name}: {error}")
            say(f"failed: {name}: {error}")
        if out:
            out.write_text(json.dumps(as_dict(parts, failures, about), indent=2))
            out.with_suffix(".md").write_text(as_markdown(parts, failures, about))
    return parts, failures


def plan(names: Sequence[str]) -> dict[str, Callable[[Bench], list[Part]]]:
    """What is to be measured for the parts of these names, in the order of PARTS."""

    def both(bench: Bench) -> list[Part]:
        found = measure(bench)
        return [throughput(found), stages(found)]

    def alone(part: Callable[[Bench], Part]) -> Callable[[Bench], list[Part]]:
        return lambda bench: [part(bench)]

    found = {"throughput": both} if {"throughput", "stages"} & set(names) else {}
    return found | {name: alone(part) for name, part in LATER.items() if name in names}


def listed(what: str, text: str, known: Sequence[str]) -> list[str]:
    """Names with commas between them; UsageError names one that is unknown."""
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"{what} {unknown[0]!r} is none of {', '.join(known)}")
    return names


def interpreters(text: str) -> tuple[tuple[str, Path], ...]:
    """`NAME=PYTHON,...`; UsageError names what is none."""
    found = []
    for one in filter(None, text.split(",")):
        name, _, python = one.partition("=")
        if name not in environments():
            raise UsageError(f"peers-python {one!r}: NAME=PYTHON with a name of {', '.join(environments())} is wanted")
        if not shutil.which(python):
            raise UsageError(f"peers-python {one!r}: {python!r} is no program; the peer's interpreter is wanted")
        found.append((name, Path(python)))
    return tuple(found)


if __name__ == "__main__":
    sys.exit(main())
