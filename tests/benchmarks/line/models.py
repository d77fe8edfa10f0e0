"""The models that are measured with, each trained once by the trainer's own command."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from detector.errors import Failure
from tests.benchmarks.line.rows import Form, Pool, pool
from trainer.simulate import simulated_cards

YARDSTICK = "cards-30-14-7-4"
"""The recipe that the goals are set for."""

POOL_ROWS = 50_000
POOL_BYTES = 64 << 20
WIDE_ROWS = 4_000
FACTORS = 5

WIDE_RECIPE = """\
about = "any number of columns through 14-7-4, as the yardstick's"
threshold = "percentile:99.5"

[[branches]]
kind = "dense"
preprocessing = [{ kind = "min_max_global" }]
layers = [
    { units = 14, activation = "tanh" },
    { units = 7, activation = "relu" },
    { units = 4, activation = "leaky_relu" },
    { units = 7, activation = "relu" },
    { units = 14, activation = "relu" },
]
output = "tanh"
epochs = 2
batch = 64
"""


@dataclass
class Models:
    """Trains what is asked for and keeps it in a folder, and the rows that go with it in memory."""

    folder: Path
    _pools: dict[tuple[Path, str], Pool] = field(default_factory=dict)

    def cards(self, recipe: str = YARDSTICK) -> Path:
        """The artifact of a recipe on simulated cards."""
        return self._fitted(recipe, "simulated-cards", "--recipe", recipe, "--epochs", "5")

    def wide(self, width: int) -> Path:
        """An artifact for tables of so many columns."""
        data, recipe = self.folder / f"wide-{width}.parquet", self.folder / "wide.toml"
        recipe.write_text(WIDE_RECIPE)
        if not data.exists():
            wide_frame(width, WIDE_ROWS).to_parquet(data)
        return self._fitted(f"wide-{width}", str(data), "--recipe", str(recipe))

    def cards_pool(self, form: Form, recipe: str = YARDSTICK) -> Pool:
        """Simulated cards in a form, parted by a recipe's scores."""
        return self._pool(self.cards(recipe), simulated_cards(POOL_ROWS, seed=5), form)

    def wide_pool(self, form: Form, width: int) -> Pool:
        """Rows of so many columns in a form."""
        model = self.wide(width)
        return self._pool(model, wide_frame(width, pool_rows(width), seed=1), form)

    def _pool(self, model: Path, frame: pd.DataFrame, form: Form) -> Pool:
        key = model, form.name
        if key not in self._pools:
            self._pools = {key: pool(model, frame, form)}  # the last one alone: they are large
        return self._pools[key]

    def _fitted(self, name: str, *order: str) -> Path:
        out = self.folder / name
        if not out.exists():
            command = [sys.executable, "-m", "trainer", "fit", *order, "--out", str(out)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                raise Failure(f"training {name}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
        return out


def pool_rows(width: int) -> int:
    """So many rows of a width are kept as keeps a pool's memory bounded; a number takes some 28 bytes in JSON."""
    return max(min(POOL_ROWS, POOL_BYTES // (28 * width)), 500)


def wide_frame(width: int, rows: int, seed: int = 0) -> pd.DataFrame:
    """Random rows of a few factors and noise: columns that an autoencoder can learn."""
    mixing = np.random.default_rng(width).normal(size=(FACTORS, width))
    rng = np.random.default_rng([width, seed])
    values = rng.normal(size=(rows, FACTORS)) @ mixing + rng.normal(size=(rows, width)) / 3
    return pd.DataFrame(values, columns=[f"x{number}" for number in range(width)])
