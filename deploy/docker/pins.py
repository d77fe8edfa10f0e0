"""The part of requirements.lock that some of the project's extras need: `python pins.py [EXTRA ...]`.

`python pins.py --only NAME` is one package of it alone.

Stands alone: the Dockerfile runs it before anything is installed. The lock says of each package who asks for it
("# via"), which is all that is needed to follow the bare dependencies and those of the extras down.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = "streaming-fraud-detector"


class Pin(NamedTuple):
    """A package of the lock: its lines (version, marker, hashes), and the packages that ask for it."""

    name: str
    text: str
    via: frozenset[str]


def pins(lock: str) -> list[Pin]:
    """The packages of a lock file as uv writes it; one that differs by Python version is there once for each."""
    return [_pin(block) for block in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE) if block.strip()]


def _pin(block: str) -> Pin:
    lines = block.splitlines()
    told = [line.strip().lstrip("# ") for line in lines if line.strip().startswith("#")]
    via = frozenset(one.removeprefix("via ").partition(" ")[0] for one in told if one != "via")
    return Pin(_name(lines[0]), "\n".join(line for line in lines if "#" not in line), via)


def _name(requirement: str) -> str:
    """The name in a requirement, as the lock writes names."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def wanted(project: Mapping[str, Any], extras: Iterable[str]) -> set[str]:
    """Names of what the project asks for itself: bare, and with these extras."""
    table = project["project"]
    optional = table["optional-dependencies"]
    asked = {_name(one) for one in table["dependencies"]}
    for extra in extras:
        if extra not in optional:
            raise SystemExit(f"pins: the project has no extra {extra!r}; it has {', '.join(optional)}")
        for one in optional[extra]:
            inner = re.match(rf"{PROJECT}\[(.*)\]", one)
            asked |= wanted(project, inner[1].split(",")) if inner else {_name(one)}
    return asked


def subset(lock: str, project: Mapping[str, Any], extras: Iterable[str]) -> list[Pin]:
    """Those packages and all that they ask for, in the order of the lock."""
    found, every = wanted(project, extras), pins(lock)
    if missing := found - {pin.name for pin in every}:
        raise SystemExit(f"pins: the lock has no {', '.join(sorted(missing))}")
    while more := {pin.name for pin in every if pin.via & found} - found:
        found |= more
    return [pin for pin in every if pin.name in found]


def main(arguments: Sequence[str]) -> None:
    """Prints what is asked for, out of the files of the current directory."""
    lock = Path("requirements.lock").read_text()
    if arguments[:1] == ["--only"]:
        chosen = [pin for pin in pins(lock) if pin.name in arguments[1:]]
    else:
        chosen = subset(lock, tomllib.loads(Path("pyproject.toml").read_text()), arguments)
    print("\n".join(pin.text for pin in chosen))


if __name__ == "__main__":
    main(sys.argv[1:])
