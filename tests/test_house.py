"""Who may import whom, held by looking at the source alone."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("detector", "trainer", "replay", "deploy")
PURE = (
    *("schema", "rows", "calibration", "areas", "threshold", "statistics", "drift", "alerts", "takeover", "packing"),
    *("scores", "feedback.labels", "feedback.measures", "feedback.shelf", "feedback.join"),
)
"""Modules, and folders with all that is in them."""
HEAVY = (
    *("tensorflow", "keras", "pandas", "sklearn", "pyarrow", "rich", "zstandard", "scipy", "matplotlib", "jinja2"),
    *("nicegui", "fastapi"),
)
APART = ("detector.table", "detector.page")
"""What the detector's tree keeps for the other packages: the detector itself imports none of it."""

MAY = {"detector": set(), "trainer": {"detector"}, "replay": {"detector"}, "deploy": {"detector", "trainer", "replay"}}


@cache
def modules() -> dict[str, Path]:
    """Every module of the source tree by its name."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {name_of(path): path for path in paths}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(module: str, at_import_only: bool = False) -> frozenset[str]:
    """Full names of all that a module imports: modules, and what it takes out of them.

    at_import_only: without what is imported inside functions, when they are called.
    """
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(name for node in walk(tree, at_import_only) for name in names(node, package))


def walk(node: ast.AST, at_import_only: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not (at_import_only and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))):
            yield child
            yield from walk(child, at_import_only)


def names(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = (
            importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
        )
        return [str(base), *(f"{base}.{alias.name}" for alias in node.names)]
    return []


def tops(module: str) -> set[str]:
    """The packages that a module imports from, also those imported inside its functions."""
    return {name.partition(".")[0] for name in imports(module)}


def importers(package: str) -> set[str]:
    return {module for module in modules() if package in tops(module)}


def ours(module: str, at_import_only: bool = False) -> set[str]:
    """The modules of this tree that a module imports itself."""
    return {name for name in imports(module, at_import_only) if name in modules()} - {module}


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_the_house_stands() -> None:
    """The modules that the rules speak of are there, and imports are seen: the other tests look at something."""
    wanted = [
        f"detector.{name}"
        for name in (*PURE, "artifact", "model", "metrics", "service", "kafka", "commands", "__main__")
    ]
    assert set(wanted) <= set(modules())
    assert {"detector.models", "detector.kafka", "detector.metrics"} <= ours("detector.service")
    assert {name.partition(".")[0] for name in modules()} >= {"detector", "trainer", "replay"}


@pytest.mark.parametrize(
    ("library", "door"),
    [
        ("confluent_kafka", "detector.kafka"),
        ("prometheus_client", "detector.metrics"),
        ("ai_edge_litert", "detector.model"),
        ("cryptography", "detector.signature"),
        ("opentelemetry", "detector.traces"),
        ("grafana_foundation_sdk", "deploy.grafana"),
        ("nicegui", "detector.console"),
        ("uvicorn", "detector.console"),
    ],
)
def test_one_door(library: str, door: str) -> None:
    """Each foreign library has one door: nothing else in any package imports it, not even inside a function."""
    found = importers(library)
    assert found
    # what a detector measures; what is measured elsewhere, where no model is; and a replay has a registry of its own
    also = {"detector.families", "replay.metrics"} if library == "prometheus_client" else set()
    assert {module for module in found if not within(module, door)} <= also


def pure(module: str) -> bool:
    return any(within(module, f"detector.{name}") for name in PURE)


@pytest.mark.parametrize("name", PURE)
def test_pure_files(name: str) -> None:
    """A pure file stands on pure files alone: no artifact, model, Kafka, metrics, service, clock or disk."""
    for module in filter(lambda one: within(one, f"detector.{name}"), modules()):
        assert all(map(pure, ours(module)))
        assert not tops(module) & {"os", "pathlib", "time", "socket", "threading", "random", "logging", "subprocess"}


def below(module: str) -> set[str]:
    """All of this tree that a module stands on."""
    found: set[str] = set()
    left = {module}
    while left:
        one = left.pop()
        left |= ours(one) - found
        found |= ours(one)
    return found


def test_the_line_is_pure_but_for_the_model() -> None:
    """Detection and rebuild stand on the pure files, the model and the artifact; neither on Kafka nor on metrics."""
    ground = {f"detector.{name}" for name in ("model", "artifact", "exchange", "signature", "errors", "quiet", "log")}
    for name in ("detection", "rebuild"):
        assert {one for one in below(f"detector.{name}") if not pure(one)} <= ground | {"detector"}


def test_imports_point_down() -> None:
    """Kafka and metrics never stand on the service or the command line, nor the service on the command line."""
    for module in modules():
        if within(module, "detector.kafka") or module == "detector.metrics":
            assert not below(module) & {"detector.service", "detector.commands.run", "detector.__main__"}
    assert "detector.__main__" not in below("detector.service")
    assert "detector.metrics" not in {name for one in modules() if within(one, "detector.kafka") for name in below(one)}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages(package: str) -> None:
    """Detector imports no other package of ours; trainer and replay only it, never each other; deploy may all."""
    for module in modules():
        if within(module, package):
            assert tops(module) & set(PACKAGES) <= MAY[package] | {package}, module


def test_the_detector_never_imports_the_console() -> None:
    """Only its own command does, inside a function; its pure part knows no Kafka client, and no page but the pages'
    NiceGUI."""
    users = {module for module in modules() if any(within(name, "detector.console") for name in ours(module))}
    assert {one for one in users if not within(one, "detector.console")} == {"detector.commands.console"}
    assert not any(within(name, "detector.console") for name in ours("detector.commands.console", at_import_only=True))
    assert importers("nicegui") <= {"detector.console.server", *(m for m in modules() if ".console.pages." in m)}
    drawn = below("detector.console.board") | below("detector.console.shown")
    assert not drawn & {"detector.console.feed", "detector.console.server"}


def test_no_cycles() -> None:
    """No module imports itself by a detour, counting what is imported inside functions too."""
    graph = {module: ours(module) for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a cycle of imports: {error.args[1]}")


def apart(module: str) -> bool:
    return any(within(module, package) for package in APART)


def test_what_is_kept_apart() -> None:
    """Of the detector only its tables, pages and console import what is heavy, and nothing else of it imports them."""
    outside = {"detector.commands.console", *(module for module in modules() if within(module, "detector.console"))}
    inside = {module for module in modules() if within(module, "detector") and not apart(module)} - outside
    assert not {module for library in HEAVY for module in importers(library)} & inside
    assert {module for module in inside if any(map(apart, ours(module)))} == set()


def test_tensorflow_waits_until_it_is_wanted() -> None:
    """The trainer's command line imports neither TensorFlow nor Keras before a command needs it."""
    reached, left = set(), {"trainer.__main__"}
    while left:
        module = left.pop()
        reached.add(module)
        left |= ours(module, at_import_only=True) - reached
    foreign = {name.partition(".")[0] for module in reached for name in imports(module, at_import_only=True)}
    assert "pandas" in foreign
    assert not foreign & {"tensorflow", "keras", "rich", "sklearn", "matplotlib", "jinja2"}


def test_the_detector_is_light() -> None:
    """A detector's process has no TensorFlow, pandas, scikit-learn, pyarrow or rich in it."""
    look = f"import sys, detector.__main__; print([name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
    assert ran.stdout == "[]\n"


def test_names_say_something() -> None:
    """No file and no folder is called utils, helpers or common."""
    told = {part.lower() for path in modules().values() for part in (*path.relative_to(ROOT).parts[:-1], path.stem)}
    assert not told & {"util", "utils", "helper", "helpers", "common", "misc"}


def test_every_module_says_what_it_is() -> None:
    """Every module of the packages begins with a docstring."""
    dumb = [name for name, path in modules().items() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert dumb == []
