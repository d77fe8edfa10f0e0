"""Artifacts of every recipe, trained once a session; and one training by the command line, twice at the same time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from detector import artifact, table
from detector.artifact import Artifact
from tests.conftest import once
from trainer.columns import Columns
from trainer.datasets import KNOWN, Data
from trainer.recipes import RECIPES, Dense, Memory, Recipe


@dataclass(frozen=True)
class Run:
    """A finished `python -m trainer fit`."""

    out: Path
    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two processes that were told the same, but for the place of the artifact."""
    outs = [tmp_path_factory.mktemp(name) / "model" for name in ("first", "second")]
    order = ["fit", "simulated-ecg", "--recipe", "ecg-msle", "--epochs", "1", "--seed", "3", "--out"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "trainer", *order, str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for out in outs
    ]
    said = [process.communicate(timeout=300) for process in started]
    return [Run(out, one.returncode, *texts) for out, one, texts in zip(outs, started, said, strict=True)]


def ignored(epoch: int, epochs: int, loss: float, held_out: float) -> None:
    """What a training is told nothing by."""


def accounts(rows: int, seed: int) -> pd.DataFrame:
    """Made-up Twitter accounts as their publisher has them: a quarter bots, of whom more tweet; a tenth not English."""
    rng = np.random.default_rng(seed)
    bot = rng.random(rows) < 0.25
    made = pd.Timestamp("2010-01-01") + pd.to_timedelta(rng.integers(0, 3000, rows), "D")
    bios = np.array(["", "I breed cats 🐈", "see https://t.co/x", "#news by @anna", "mother of two"])
    flags = {
        name: rng.random(rows) < share
        for name, share in (("default_profile", 0.4), ("default_profile_image", 0.1), ("verified", 0.2))
    }
    counts = {
        name: rng.lognormal(centre, 2, rows).astype(int)
        for name, centre in (("favourites_count", 6), ("followers_count", 5), ("friends_count", 5))
    }
    return pd.DataFrame(
        {
            "account_type": np.where(bot, "bot", "human"),
            "created_at": made.strftime("%Y-%m-%d %H:%M:%S"),
            "description": bios[rng.integers(0, len(bios), rows)],
            "geo_enabled": rng.random(rows) < 0.5,
            "lang": np.where(rng.random(rows) < 0.9, "en", "es"),
            "location": np.where(rng.random(rows) < 0.5, "Lyon", "unknown"),
            "statuses_count": rng.lognormal(7 + 2 * bot, 2, rows).astype(int),
            **flags,
            **counts,
        }
    )


def data_for(recipe: str, rows: int, seed: int) -> Data:
    """A small table of the kind that a recipe is for; of what is missing in cards-64-32-16 some values are."""
    if recipe == "twitter-accounts":
        return Data("accounts", accounts(rows, seed))
    known = KNOWN["simulated-ecg" if recipe == "ecg-msle" else "simulated-cards"]
    frame = known.make(rows, seed)
    if recipe == "cards-64-32-16":
        frame.loc[frame.index % 7 == 3, ["V3", "Amount"]] = np.nan
    return Data("small", frame, known.label, known.normal, known.time)


def shortened(recipe: Recipe) -> Recipe:
    """The same with few batches and few prototypes."""
    changes = {Dense: {"steps": 10, "batch": 64}, Memory: {"prototypes": 16}}
    branches = (msgspec.structs.replace(branch, **changes[type(branch)]) for branch in recipe.branches)
    return msgspec.structs.replace(recipe, branches=tuple(branches))


@pytest.fixture(scope="session")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artifact]:
    """The artifact of each recipe, trained for two epochs on a small simulated table when it is first asked for."""

    @cache
    def make(recipe: str) -> Artifact:
        shared = {"default": "artifact_dir", "ecg-msle": "ecg_artifact_dir"}.get(recipe)
        if shared:
            return artifact.load(request.getfixturevalue(shared))
        from trainer.build import Order, build

        data, order = data_for(recipe, 600, 1), Order(recipe, RECIPES[recipe], recipe, epochs=2)
        folder = once(tmp_path_factory, recipe, lambda folder: build(data, Columns(), order, folder / "model", ignored))
        return artifact.load(folder / "model")

    return make


@pytest.fixture(scope="session")
def unseen(made: Callable[[str], Artifact]) -> Callable[[str], NDArray[np.float32]]:
    """Rows (n, d) of another seed than those that a recipe's artifact was trained on."""

    @cache
    def rows(recipe: str) -> NDArray[np.float32]:
        from detector.table.accounts import account_rows

        frame = data_for(recipe, 800, 99).frame
        if recipe == "twitter-accounts":
            frame = account_rows(frame)
        return table.encoded(frame, made(recipe).schema)

    return rows
