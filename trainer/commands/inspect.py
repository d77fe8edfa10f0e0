"""`inspect`: what a table is, before a model learns from it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from detector import table
from trainer.columns import Columns, find
from trainer.commands.arguments import add_data, add_label
from trainer.datasets import open_data
from trainer.history import days, with_known
from trainer.overview import command, overview

ABOUT = "say what the columns of DATA are taken for, and why"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_data(parser)
    add_label(parser)
    parser.add_argument("--time", metavar="COLUMN", help="column of the event time (default: found; or none)")
    parser.add_argument("--key", metavar="COLUMN", help="column of the entity (default: found by name; or none)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    data = open_data(arguments.data)
    said = Columns(label=arguments.label, normal=arguments.normal, time=arguments.time, key=arguments.key)
    found = find(data.frame, with_known(data, said))
    spanned = days(table.event_milliseconds(data.frame, found.time)) if found.time and found.span else None
    if arguments.json:
        plain = asdict(found) | {"days": spanned, "command": command(arguments.data, found)}
        print(json.dumps({"data": arguments.data} | plain, indent=2, allow_nan=False))
    else:
        print(overview(arguments.data, found, spanned))
