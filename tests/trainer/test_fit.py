"""Training: the same seed, the same weights; the best epoch's weights are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector.errors import Failure
from trainer.datasets import Data
from trainer.fit import Fitted, fit
from trainer.history import Columns, History, find_schema, prepare
from trainer.recipes import Layer, Recipe, Step

# So fast a learner that its loss on held-out rows goes up and down.
RESTLESS = Recipe(
    about="for these tests",
    preprocessing=(Step("standardise"),),
    layers=(Layer(3, "tanh", dropout=0.3), Layer(2)),
    output="linear",
    threshold="mad:3",
    learning_rate=0.3,
    epochs=12,
    batch=32,
    min_delta=0.0,
    patience=12,
)


@pytest.fixture(scope="module")
def history() -> History:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 2)) @ rng.normal(size=(2, 6)) + rng.normal(size=(300, 6)) / 9)
    frame.columns = pd.Index(list("abcdef"))
    data = Data("x", frame)
    return prepare(data, find_schema(data, Columns()), 0)


def fitted(history: History, recipe: Recipe = RESTLESS, seed: int = 0, epochs: int | None = None) -> Fitted:
    return fit(history, recipe, seed, epochs, lambda epoch, loss, held_out: None)


def weights(one: Fitted) -> bytes:
    return b"".join(array.tobytes() for array in one.model.get_weights())


def held_out_loss(one: Fitted, history: History) -> float:
    z, reconstruction = (np.asarray(part, np.float64) for part in one.model(history.held_out, training=False))
    return float(((z - reconstruction) ** 2).mean())


def test_the_best_weights_are_kept(history: History) -> None:
    """The model has the weights of the epoch with the least loss on held-out rows, which was not the last."""
    found = fitted(history)
    assert len(found.losses) == len(found.held_out_losses) == 12
    assert found.best == int(np.argmin(found.held_out_losses)) + 1 < 12
    assert held_out_loss(found, history) == pytest.approx(min(found.held_out_losses), rel=1e-5)


def test_best_is_what_was_kept(history: History) -> None:
    """Where improvements below `min_delta` do not count, `best` is the epoch whose weights were kept all the same."""
    found = fitted(history, replace(RESTLESS, min_delta=1e6))
    assert found.best == 1 != int(np.argmin(found.held_out_losses)) + 1
    assert held_out_loss(found, history) == pytest.approx(found.held_out_losses[0], rel=1e-5)


def test_it_stops_early(history: History) -> None:
    """After `patience` epochs without improvement it stops."""
    found = fitted(history, replace(RESTLESS, min_delta=1e6, patience=2))
    assert len(found.losses) == 3


def test_the_same_seed_gives_the_same_weights(history: History) -> None:
    """Weights and losses are the same bits for the same seed, dropout and shuffling included; others for another."""
    one, same, other = (fitted(history, seed=seed, epochs=2) for seed in (5, 5, 6))
    assert weights(one) == weights(same) != weights(other)
    assert (one.losses, one.held_out_losses) == (same.losses, same.held_out_losses)


def test_progress_is_told(history: History) -> None:
    """After each epoch its number and both losses are told; epochs of the order win over the recipe's."""
    told: list[Any] = []
    found = fit(history, RESTLESS, 0, 2, lambda *figures: told.append(figures))
    assert told == list(zip([1, 2], found.losses, found.held_out_losses, strict=True))


def test_divergence(history: History) -> None:
    """Training whose loss is no number fails, and says so."""
    with pytest.raises(Failure, match="training diverged: the loss of epoch 1 is no finite number"):
        fitted(history, replace(RESTLESS, layers=(Layer(3),), learning_rate=1e38))
