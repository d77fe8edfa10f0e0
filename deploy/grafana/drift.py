"""The dashboard *Drift*: what moves away from the training data, and which models serve meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.board import Board, Section, several
from deploy.grafana.panels import (
    BAD,
    JUDGED,
    OK,
    RANGE,
    SERVED,
    WARN,
    WINDOW,
    About,
    Query,
    bars,
    buckets,
    figure,
    lines,
    rows_of,
    timeline,
)
from detector.drift import Levels

NO_DETECTOR = "No detector of this choice was scraped: look at Prometheus' targets"
NO_LOOK = "Not measured yet: the first look comes with a quarter of a window (--drift-rows)"
NO_TRAINING = "No training told of itself (fit --metrics), or node_exporter was not scraped"
NO_SHADOW = "No shadow model scores beside the served one (--shadow-model)"
NO_WINDOWS = "No partition has enough rows for a median yet"

CHOSEN = '{instance=~"$instance", feature=~"$feature"}'
"""Picks the series of the chosen features of the chosen detectors."""

STATES = {0: ("stable", OK), 1: ("drifting", BAD)}
LEVELS = Levels()
"""Those that hold unless settings say otherwise: where the lines are drawn."""

FEW = 12
"""Features that a panel of all has room for."""

OLD_DAYS = 30
"""Age of a model from which the rules tell of it."""


def board() -> Board:
    """The dashboard."""
    every = several("feature", f"label_values(detector_feature_psi{SERVED}, feature)", "Features that are shown.")
    return Board(
        "drift",
        "Drift",
        "Features and scores against the training reference, and the models that serve, of the detectors of one topic.",
        24,
        [
            Section("Now", _now()),
            Section("Features", _features()),
            Section("Score", _score()),
            Section("Models", _models()),
            Section("Training", _training(), folded=True),
            Section("Shadow model", _shadow(), folded=True),
        ],
        [every.all_value(".*")],
    )


def _now() -> Sequence[Builder[Panel]]:
    return [
        figure(
            About("Features that drift", units.Short, "Features that any member finds drifting.", NO_DETECTOR),
            Query(f"sum(max by (feature) (detector_feature_drifting{SERVED}))"),
            steps=[(1, WARN), (5, BAD)],
        ),
        figure(
            About("The score", units.Short, "Whether any member finds that the score drifts.", NO_DETECTOR),
            Query(f"max(detector_score_drifting{SERVED})"),
            states=STATES,
        ),
        figure(
            About("Largest PSI", units.Short, "Of all features, at the last look.", NO_LOOK),
            Query(f"max(detector_feature_psi{SERVED})"),
            steps=[(LEVELS.psi, WARN), (0.25, BAD)],
        ),
        figure(
            About("Largest KS distance", units.Short, "Of all features, at the last look.", NO_LOOK),
            Query(f"max(detector_feature_ks{SERVED})"),
            steps=[(LEVELS.ks, WARN), (0.25, BAD)],
        ),
        figure(
            About("Rows looked at", units.Short, "Sampled rows in the smallest window of any member.", NO_DETECTOR),
            Query(f"min(detector_drift_rows{SERVED})"),
        ),
        figure(
            About("Changes", units.Short, "Features, and scores, that began to drift in the time shown.", NO_DETECTOR),
            Query(f'sum(increase(detector_drift_changes_total{{state="drifting", instance=~"$instance"}}{RANGE}))'),
            steps=[(1, WARN)],
        ),
    ]


def _features() -> Sequence[Builder[Panel]]:
    drifting = f"max by (feature) (detector_feature_drifting{CHOSEN})"
    ever = f"max by (feature) (max_over_time(detector_feature_drifting{CHOSEN}{RANGE} @ end())) == 1"
    return [
        timeline(
            About(
                "State",
                units.Short,
                "When each feature drifted, of those that did in the time shown: for any member.",
                "No feature drifted in this time",
            ),
            Query(f"{drifting} and on (feature) ({ever})", "{{feature}}"),
            STATES,
        ),
        _of_features("PSI", "psi", "Population stability index", [(LEVELS.psi, BAD)]),
        _of_features("KS distance", "ks", "Kolmogorov-Smirnov distance", [(LEVELS.ks, BAD)]),
        lines(
            About(
                "Missing values",
                units.PercentUnit,
                f"Share of values that are missing, of the {FEW} chosen features that miss most. A move by "
                f"{LEVELS.missing:g} is drift, unless settings or chance say otherwise.",
                NO_LOOK,
            ),
            _most("missing_share"),
        ),
        bars(
            About("PSI now", units.Short, f"The {FEW} chosen features that moved most, at the last look.", NO_LOOK),
            Query(f"sort_desc(topk({FEW}, max by (feature) (detector_feature_psi{CHOSEN})))", "{{feature}}"),
            steps=[(LEVELS.psi, BAD)],
        ),
    ]


def _of_features(title: str, figure_: str, meaning: str, steps: Sequence[tuple[float, str]]) -> Builder[Panel]:
    return lines(
        About(
            title,
            units.Short,
            f"{meaning} from the training reference, the largest of any member, of the {FEW} chosen features that "
            "moved most in the time shown. The line is the level above which a feature drifts, unless settings or "
            "chance say otherwise.",
            NO_LOOK,
        ),
        _most(figure_),
        steps=steps,
    )


def _most(figure_: str) -> Query:
    """A figure of the chosen features over time: of those few in which it was largest, for there may be hundreds."""
    metric = f"detector_feature_{figure_}{CHOSEN}"
    few = f"topk({FEW}, max by (feature) (max_over_time({metric}{RANGE} @ end())))"
    return Query(f"max by (feature) ({metric}) and on (feature) {few}", "{{feature}}")


def _score() -> Sequence[Builder[Panel]]:
    return [
        lines(
            About(
                "Drift of the score",
                units.Short,
                "PSI and KS distance of the scores from those of training, the largest of any member. The line is the "
                "level of both.",
                NO_LOOK,
            ),
            Query(f"max(detector_score_psi{SERVED})", "PSI"),
            Query(f"max(detector_score_ks{SERVED})", "KS distance"),
            steps=[(LEVELS.psi, BAD)],
        ),
        lines(
            About(
                "Median score",
                units.Short,
                "Of the partitions' windows: the lowest, the middle and the highest median.",
                NO_WINDOWS,
            ),
            Query(f"max(detector_score_median{SERVED})", "highest"),
            Query(f"quantile(0.5, detector_score_median{SERVED})", "middle"),
            Query(f"min(detector_score_median{SERVED})", "lowest"),
        ),
    ]


def _models() -> Sequence[Builder[Panel]]:
    named = "name, version, sha256"
    short = f'label_replace(count by ({named}) (detector_model_info{SERVED}), "sha", "$1", "sha256", "(.{{12}}).*")'
    served = f"max by (instance, {named}) (detector_model_info{SERVED})"
    beside = f"max by (instance, {named}) (detector_shadow_model_info{SERVED})"
    return [
        lines(
            About(
                "Model versions",
                units.Short,
                "Detectors that serve each model; stacked. While a new one is rolled out there are two.",
                NO_DETECTOR,
            ),
            Query(short, "{{name}} {{version}} {{sha}}"),
            width=10,
            stacked=True,
        ),
        rows_of(
            About("Models", units.Short, "What each detector serves, and what scores beside it.", NO_DETECTOR),
            {"": Query(f"{_role(served, 'served')} or {_role(beside, 'shadow')}")},
            {"instance": "detector", "role": "role", "name": "model", "version": "version", "sha256": "sha256"},
            width=14,
        ),
        lines(
            About(
                "Age of the model",
                units.Seconds,
                f"Time since the model that each detector serves was trained. The line is at {OLD_DAYS} days.",
                NO_DETECTOR,
            ),
            Query(f"time() - max by (instance) (detector_model_created_timestamp_seconds{SERVED})", "{{instance}}"),
            steps=[(OLD_DAYS * 86_400, BAD)],
        ),
        lines(
            About(
                "Changes of state",
                units.Short,
                "Features, and scores, that began to drift or are stable again.",
                NO_DETECTOR,
            ),
            Query(f"sum by (state) (increase(detector_drift_changes_total{SERVED}{WINDOW}))", "{{state}}"),
        ),
    ]


def _role(expr: str, role: str) -> str:
    return f'label_replace({expr}, "role", "{role}", "", "")'


def _training() -> Sequence[Builder[Panel]]:
    """What a training leaves in a file: `model` is its only label that the detectors know too."""

    def of_each(figure_: str) -> Query:
        return Query(f"max by (model) (trainer_{figure_}{JUDGED})")

    def by_use(title: str, figure_: str, description: str) -> Builder[Panel]:
        query = Query(f"max by (model, use) (trainer_{figure_}{JUDGED})", "{{model}}, {{use}}")
        return lines(About(title, units.Short, description, NO_TRAINING), query)

    return [
        rows_of(
            About("Last training", units.Short, "Of each chosen model, whether or not it serves by now.", NO_TRAINING),
            {
                "": Query(f"max by (model, version, sha256) (trainer_model_info{JUDGED})"),
                "ago": Query(f"time() - max by (model) (trainer_last_success_timestamp_seconds{JUDGED})"),
                "took": of_each("duration_seconds"),
                "epochs": of_each("epochs"),
                "threshold": of_each("threshold"),
            },
            {"model": "model", "version": "version", "sha256": "sha256"},
            {"ago": units.Seconds, "took": units.Seconds},
        ),
        by_use("Loss", "loss", "Loss of the epoch that was kept, of each training in turn."),
        by_use("Rows of history", "rows", "Rows of each training in turn, by what they were used for."),
    ]


def _shadow() -> Sequence[Builder[Panel]]:
    return [
        lines(
            About(
                "Agreement",
                units.RowsPerSecond,
                "Rows that one of the two models alone alerts for, or both. Rows that neither does are left out.",
                NO_SHADOW,
            ),
            Query(
                "sum by (agreement) (rate(detector_shadow_rows_total"
                f'{{instance=~"$instance", agreement!="neither"}}{WINDOW}))',
                "{{agreement}}",
            ),
        ),
        lines(
            About("Kappa", units.Short, "Agreement of the two models beyond chance (Cohen): 1 is complete.", NO_SHADOW),
            Query(f"detector_shadow_kappa{SERVED}", "{{instance}}"),
            least=None,
            most=1,
        ),
        buckets(
            About("Scores of the shadow", units.Short, "How many rows had which score of the shadow model.", NO_SHADOW),
            Query(f"sum by (le) (increase(detector_shadow_score_bucket{SERVED}{WINDOW}))", "{{le}}"),
        ),
    ]
