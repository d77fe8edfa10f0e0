"""How the training went: what the artifact's manifest holds of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from detector.page.content import Picture, Section, counted, number
from detector.page.drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, axes, legend, logarithmic, png

CHECKS = {
    "precision": ("precision", "black", "-", "o"),
    "recall": ("recall", GREEN, "--", "s"),
    "f1": ("F1", PURPLE, "-.", "D"),
    "auroc": ("AUROC", ORANGE, ":", "^"),
    "best_f1": ("best F1", VERMILLION, "--", "v"),
}
"""Figures of a check during the training: name, colour, line and marker of each."""


def section(training: Mapping[str, Any]) -> Section:
    """Loss by epoch, and the figures of the checks in between, if the training made any."""
    checks: Sequence[Mapping[str, Any]] = training.get("checks") or ()
    texts: tuple[str, ...] = (
        f"Recipe {training['recipe']}, seed {training['seed']}: {counted(training['training_rows'], 'row')} "
        f"learned from, {counted(training['held_out_rows'], 'normal row')} held out for validation, "
        f"{counted(training['anomalous_rows_left_out'], 'anomalous row')} left out.",
    )
    pictures = []
    if training.get("losses"):
        pictures.append(losses(training))
    else:
        texts += ("Nothing here was learned by gradient, so there are no losses.",)
    if checks:
        line = training.get("checks_threshold")
        at = "the best F1 of each check" if line is None else f"the recipe's threshold, {number(line)}"
        texts += (f"Precision, recall and F1 of the checks are at {at}.",)
        pictures.append(by_batch(checks))
    else:
        texts += ("This training kept no precision and recall by batch.",)
    return Section("training", "Training", texts, tuple(pictures))


def losses(training: Mapping[str, Any]) -> Picture:
    """The loss of training and held-out rows by epoch."""
    learned = np.asarray(training["losses"], np.float64)
    held_out = np.asarray(training["held_out_losses"], np.float64)
    best = int(training["best_epoch"])
    epochs = np.arange(1, len(learned) + 1)
    figure, drawn = axes("epoch", "loss on preprocessed values")
    mark = "o" if len(epochs) <= 40 else ""
    drawn.plot(epochs, learned, color=BLUE, marker=mark, markersize=4, label="training")
    drawn.plot(epochs, held_out, color=ORANGE, linestyle="--", marker=mark and "s", markersize=4, label="validation")
    drawn.axvline(best, color=GREY, linestyle=":", label=f"kept: epoch {best}")
    values = np.concatenate((learned, held_out))
    if (values > 0).all():
        logarithmic(drawn, "y", values)
    drawn.set_xlim(0.5, len(epochs) + 0.5)
    drawn.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    legend(drawn)
    alt = (
        f"Loss by epoch over {counted(len(epochs), 'epoch')}: training from {number(learned[0])} to "
        f"{number(learned[-1])}, validation from {number(held_out[0])} to {number(held_out[-1])}; "
        f"the weights of epoch {best} were kept, validation {number(held_out[best - 1])}."
    )
    note = "Noise and dropout are at work in the training loss alone, so that it may lie above that of validation."
    return Picture("loss", "Loss by epoch", png(figure), alt, note)


def by_batch(checks: Sequence[Mapping[str, Any]]) -> Picture:
    """The figures of the checks during the training, by the number of batches learned from."""
    batches = np.array([check["batch"] for check in checks])
    figure, drawn = axes("batches learned from", "figure on validation rows (0 to 1)")
    last = []
    for key, (name, colour, line, marker) in CHECKS.items():
        values = np.array([np.nan if check.get(key) is None else float(check[key]) for check in checks])
        if np.isnan(values).all():
            continue
        drawn.plot(
            batches, values, color=colour, linestyle=line, marker=marker if len(batches) <= 40 else "", markersize=4
        )
        drawn.lines[-1].set_label(name)
        last.append(f"{name} {number(values[-1])}")
    drawn.set_ylim(-0.02, 1.02)
    legend(drawn, 3)
    alt = (
        f"Figures at {counted(len(checks), 'check')} up to batch {int(batches[-1]):,}; at the last: {', '.join(last)}."
    )
    return Picture("checks", "Precision and recall during training", png(figure), alt)
