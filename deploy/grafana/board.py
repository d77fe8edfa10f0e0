"""A dashboard: what is chosen on top, rows of panels on Grafana's grid, and the events that are drawn across them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from deploy.grafana.panels import BAD, SERVED, SOURCE

TAG = "streaming-fraud-detector"
"""By which the dashboards find each other."""

STEP = "1m"
"""How finely events are looked for: what was not there one step before has begun."""


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under a heading, in reading order. folded: shut until a person opens it, and asks for no data before."""

    title: str
    panels: Sequence[Builder[models.Panel]]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. name: its file and its address. hours: that it shows at first. more: variables beside CHOICES."""

    name: str
    title: str
    description: str
    hours: int
    sections: Sequence[Section]
    more: Sequence[QueryVariable] = field(default_factory=tuple)

    def build(self) -> models.Dashboard:
        """As Grafana knows it, its panels numbered in reading order; a section without panels is left out."""
        made = Dashboard(self.title).uid(f"fraud-detector-{self.name}").description(self.description).tags([TAG])
        made.time(f"now-{self.hours}h", "now").refresh("30s").timezone("browser").readonly()
        made.tooltip(models.DashboardCursorSync.CROSSHAIR).variables([_source(), *choices(), *self.more])
        made.annotations(list(events())).link(_others())
        for section in filter(lambda one: one.panels, self.sections):
            _add(made, section)
        return _numbered(made.build())


def _add(made: Dashboard, section: Section) -> None:
    """Only panels of a folded row are its own; the others follow it."""
    row = Row(section.title)
    if section.folded:
        for panel in section.panels:
            row.with_panel(panel)
        made.with_row(row)
        return
    made.with_row(row)
    for panel in section.panels:
        made.with_panel(panel)


def _numbered(made: models.Dashboard) -> models.Dashboard:
    number = 0
    for outer in made.panels or []:
        inner = outer.panels if isinstance(outer, models.RowPanel) else []
        for panel in (outer, *inner):
            number += 1
            panel.id_val = number
    return made


def _source() -> DatasourceVariable:
    return DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def choices() -> Sequence[QueryVariable]:
    """Topic, group, model and instance, each of what the ones before leave.

    Panels ask for instances alone: those that are left are of the topic and group, and serve the models, that were
    chosen. Two topics, or two groups, at once would mix partitions of one number.
    """
    group = 'topic="$topic", group="$group"'
    return [
        choice("topic", _values("", "topic"), "Topic of the rows that detectors read."),
        choice("group", _values('topic="$topic"', "group"), "Group of detectors that read it."),
        several("model", _values(group, "name"), "Models that it serves."),
        several("instance", _values(f'{group}, name=~"$model"', "instance"), "Detectors that serve them."),
    ]


def _values(chosen: str, label: str) -> str:
    return f"label_values(detector_model_info{{{chosen}}}, {label})"


def choice(name: str, query: str, description: str) -> QueryVariable:
    """A variable of one value; its values are looked for in the dashboard's time, also of what is gone by now."""
    variable = QueryVariable(name).label(name.capitalize()).description(description).query(query).datasource(SOURCE)
    found = variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    return found.sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)


def several(name: str, query: str, description: str) -> QueryVariable:
    """A variable of any number of values, at first all."""
    every = models.VariableOption(True, "All", "$__all")
    return choice(name, query, description).multi(True).include_all(True).current(every)


class Marked(models.AnnotationQuery):
    """An annotation of Prometheus: what its kind has beside what all have. title: with `{{label}}`, as in legends."""

    def __init__(self, name: str, expr: str, title: str, colour: str) -> None:
        super().__init__(name=name, datasource=SOURCE, icon_color=colour, expr=expr)
        self.title = title

    def to_json(self) -> dict[str, object]:
        """As Grafana's Prometheus reads it."""
        return {**super().to_json(), "step": STEP, "titleFormat": self.title, "textFormat": "", "tagKeys": ""}


class Event(Builder[models.AnnotationQuery]):
    """What is drawn as a line across the panels of a dashboard."""

    def __init__(self, made: Marked) -> None:
        self.made = made

    def build(self) -> models.AnnotationQuery:
        """The annotation."""
        return self.made


def events() -> Sequence[Event]:
    """Models that begin to serve, features and scores that begin to drift."""
    serving = f"count by (name, version, sha256) (detector_model_info{SERVED}{{}})"
    score = f'label_replace(max(detector_score_drifting{SERVED}{{}}), "feature", "the score", "", "")'
    drifting = f"((max by (feature) (detector_feature_drifting{SERVED}{{}}) or {score}) == 1)"
    return [
        Event(Marked("Models", _begun(serving), "model {{name}} {{version}} serves", "blue")),
        Event(Marked("Drift", _begun(drifting), "{{feature}} drifts", BAD)),
    ]


def _begun(expr: str) -> str:
    """What is there now and was not a step ago. expr: with `{}` behind each selector."""
    return f"{expr.replace('{}', '')} unless {expr.replace('{}', f' offset {STEP}')}"


def _others() -> DashboardLink:
    link = DashboardLink("Dashboards").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.keep_time(True).include_vars(True)
