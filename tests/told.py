"""What the pages tell a person to type, and whether the programs that they name would take it."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from functools import cache
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

from deploy.local import __main__ as demo
from detector import __main__ as detector
from detector import settings
from replay import __main__ as replay
from replay.backtest import command as backtest
from replay.backtest.settings import PREFIX as BACKTEST_PREFIX
from replay.backtest.settings import Settings as BacktestSettings
from replay.settings import PREFIX as REPLAY_PREFIX
from replay.settings import Settings as ReplaySettings
from tests.readme import FOLDERS, README, ROOT, TRAINER
from trainer import __main__ as trainer

PAGES_OF_A_BROKER = (
    README,
    ROOT / "replay" / "inject" / "README.md",
    ROOT / "replay" / "backtest" / "README.md",
    ROOT / "detector" / "rows" / "signals.md",
)
"""Pages whose `sh` blocks are run one after the other on a real broker, by tests/integration/test_readme.py."""

RUN = (*PAGES_OF_A_BROKER, TRAINER, ROOT / "deploy" / "grafana" / "README.md")
"""All pages whose `sh` blocks a test runs as they stand: the trainer's by tests/trainer/test_page.py, the others here.

Blocks without a language hold commands too, which would need what tests of the pages do not have (a cluster, a
registry, half an hour): these are read by the programs' own parsers alone. Other tests run what they do.
"""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAG = re.compile(r"--[a-z][a-z-]*\b")
SPAN = re.compile(r"`([^`]+)`")
BETWEEN = re.compile(r";|&&|\|")
COMMENT = re.compile(r"(?:^|\s)#.*")
PROGRAMS = re.compile(r"make|docker|kubectl|promtool|python(3\.11)?|[a-z/$]*bin/pip")
"""Of others than ours, those that pages call."""


def prose(page: Path) -> str:
    """A page without what stands in fences."""
    return FENCE.sub("", page.read_text())


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of these languages, in order; "" for a block that names none."""
    return [text for language, text in FENCE.findall(page.read_text()) if language in languages]


def commands(block: str) -> Iterator[list[str]]:
    """The words of each command of a block of shell, without what it is redirected to, and without loops around it."""
    for line in block.replace("\\\n", " ").splitlines():
        for part in BETWEEN.split(COMMENT.sub("", line)):
            words = [word for word in shlex.split(part.partition(" > ")[0]) if word not in ("do", "done")]
            if words and words[0] != "for":
                yield words


def spans(page: Path) -> list[str]:
    """What is written as code in the text of a page, on one line."""
    return [re.sub(r"\s+", " ", found) for found in SPAN.findall(prose(page))]


@cache
def parsers() -> dict[str, argparse.ArgumentParser]:
    """Every parser of the product by what is typed before its arguments."""
    found = {"replay": replay.parser(), "replay backtest": backtest.parser(), "deploy.local": demo.parser()}
    for program, parser in (("detector", detector.parser()), ("trainer", trainer.parser())):
        chosen = next(action for action in parser._actions if action.dest == "command")
        found |= {f"{program} {name}": one for name, one in dict(chosen.choices or {}).items()}
    return found


@cache
def flags(of: str) -> frozenset[str]:
    """Every flag of a command, such as "detector run"."""
    return frozenset(parsers()[of]._option_string_actions)


@cache
def all_flags() -> frozenset[str]:
    """Every flag of every command of the product."""
    return frozenset(flag for name in parsers() for flag in flags(name))


def take(words: Sequence[str]) -> None:
    """Has a command's own parser read it, without running it; what is wrong with it is raised or ends the process.

    Of a program that is not ours, the files of this tree that it is given must be there.
    """
    for word in words:
        if word.startswith(tuple(f"{folder}/" for folder in FOLDERS)):
            assert list(ROOT.glob(word.replace("$peer", "*"))), word
    if words[:2] == ["python", "-m"] and words[2] != "venv":
        _take_ours(words[2], list(words[3:]))
    else:
        assert PROGRAMS.fullmatch(words[0]), words


def _take_ours(module: str, rest: list[str]) -> None:
    if module == "detector":
        given = vars(detector.parser().parse_args(rest))
        settings.load(detector.COMMANDS[given.pop("command")].SETTINGS, given, detector.PREFIX, {})
    elif module == "trainer":
        trainer.parser().parse_args(rest)
    elif module == "replay":
        _take_replay(rest)
    else:
        named(module, rest)


def _take_replay(rest: list[str]) -> None:
    if rest[:1] == ["backtest"]:
        given = backtest.flat(vars(backtest.parser().parse_args(rest[1:])))
        settings.load(BacktestSettings, given, BACKTEST_PREFIX, {})
    else:
        settings.load(ReplaySettings, vars(replay.parser().parse_args(rest)), REPLAY_PREFIX, {})


def named(module: str, rest: Sequence[str]) -> None:
    """A program that is spoken of, maybe not in full: it is there, and has the flags."""
    wanted = {word for word in rest if word.startswith("--")}
    command = " ".join([module, *rest[:1]])
    if command in parsers():
        assert wanted <= flags(command), (command, wanted)
    elif module in parsers():
        assert wanted <= flags(module), (module, wanted)
    else:
        assert find_spec(module), module
        assert module not in ("detector", "trainer") or not rest, (module, rest)
        assert not wanted or wanted <= set(FLAG.findall(helped(module))), (module, wanted)


@cache
def helped(module: str) -> str:
    """What a module's program says when it is asked for --help."""
    name = f"{module}.__main__" if hasattr(importlib.import_module(module), "__path__") else module
    main: Callable[[], object] = importlib.import_module(name).main
    said, before = StringIO(), sys.argv
    sys.argv = [module, "--help"]
    try:
        with redirect_stdout(said), suppress(SystemExit):
            main()
    finally:
        sys.argv = before
    return said.getvalue()
