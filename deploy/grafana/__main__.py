"""Command line: `python -m deploy.grafana` writes the dashboards' JSON anew."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import detector, drift, fraud

FOLDER = Path(__file__).with_name("dashboards")


def written() -> dict[str, str]:
    """Every dashboard's JSON, by its file's name."""
    boards = [detector.board(), fraud.board(), drift.board()]
    return {f"{one.name}.json": json.dumps(one.build(), cls=JSONEncoder, indent=2) + "\n" for one in boards}


def main() -> None:
    """Writes all files."""
    for name, text in written().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
