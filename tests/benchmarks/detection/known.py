"""Figures that others printed, and that were measured on these very files before: what a run is read beside."""

from __future__ import annotations

_CARDS = ("auroc", "average_precision", "best_f1", "recall_at_precision_90")
_HANDBOOK = ("auroc", "average_precision", "card_precision_100")


def _row(keys: tuple[str, ...], *figures: str) -> dict[str, str]:
    return dict(zip(keys, figures, strict=True))


_BEFORE = {
    "dense autoencoder 14-7-4-7-14, standardised": _row(_CARDS, ".962", ".251", ".338", ".05"),
    "dense autoencoder 20-8-20": _row(_CARDS, ".956", ".381", ".413", ".14"),
    "dense autoencoder 64-32-16-32-64": _row(_CARDS, ".958", ".615", ".616", ".33"),
    "wide autoencoder 100-20-100, normal quantiles": _row(_CARDS, ".958", ".735", ".762", ".45"),
    "the same, Mahalanobis of the residual": _row(_CARDS, ".961", ".743", ".776", ".43"),
    "iforest": _row(_CARDS, ".951", ".174", ".277", ".03"),
    "ecod": _row(_CARDS, ".945", ".131", ".281", ".00"),
    "knn": _row(_CARDS, ".965", ".384", ".424", ".12"),
    "mahalanobis": _row(_CARDS, ".962", ".746", ".783", ".60"),
    "mahalanobis, normal quantiles": _row(_CARDS, ".963", ".760", ".815", ".73"),
    "hist-gradient-boosting (half of the frauds train)": _row(_CARDS, ".978", ".779", ".858", ".80"),
}

KNOWN: dict[str, dict[str, dict[str, str]]] = {
    "P1": _BEFORE,
    "P1-log": _BEFORE,
    "P2": {
        "dense 64-32-16-8, MSLE, mean+1sd": {"accuracy_own": ".939-.957"},
        "dense 96-48-8-48-96, MSE, 98 % quantile": {"accuracy_own": ".969-.972"},
        "knn, the best possible threshold": {"accuracy_chosen": ".977-.982"},
        "denoising linear autoencoder (published, 2025)": {"accuracy_own": ".977"},
    },
    "P3": {
        "the book's autoencoder": _row(_HANDBOOK, ".836", ".180", ".217"),
        "the book's isolation forest": _row(_HANDBOOK, ".808", ".164", ".190"),
        "the book's supervised network": _row(_HANDBOOK, ".859", ".646", ".280"),
        "dense 100-20-100, normal rows alone": _row(_HANDBOOK, ".857", ".479", ".244"),
        "the same, Mahalanobis of the residual": _row(_HANDBOOK, ".864", ".493", ".234"),
    },
    "P4": {
        "dense 16-8-4-2-4-8, elu": {"auroc": ".684", "average_precision": ".156"},
    },
}

NOTES = {
    "P1": "The figures from before were measured with log(1 + Amount) for Amount: P1-log is what they compare with."
}
