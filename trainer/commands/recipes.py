"""`recipes`: what can be trained."""

from __future__ import annotations

import argparse

from detector.errors import UsageError
from trainer.recipes import RECIPES, source

ABOUT = "list the recipes, or print one as a file to begin with"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="print this one's TOML")


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    if arguments.name is None:
        print("\n".join(f"{name:<18}{recipe.about}" for name, recipe in RECIPES.items()))
    elif arguments.name in RECIPES:
        print(source(arguments.name), end="")
    else:
        raise UsageError(f"recipe {arguments.name!r} is none of {', '.join(RECIPES)}")
