"""The kinds of panel: each has a title, a unit, a description and the words that stand where it has no data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    ScaleDistribution,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.units import Short

SOURCE = models.DataSourceRef("prometheus", "${datasource}")
"""Prometheus, by the dashboard's variable: no dashboard knows the name of anybody's."""

WIDTH = 24
"""Columns of Grafana's grid."""

SERVED = '{instance=~"$instance"}'
"""Picks the series of the chosen detectors; these are of one topic, and serve one of the chosen models."""

JUDGED = '{model=~"$model"}'
"""Picks what feedback tells of the chosen models."""

WINDOW = "[$__rate_interval]"
"""The span of a rate: as Grafana finds it from the scrape interval and the width of a pixel."""

RANGE = "[$__range]"
"""All of the time shown."""

OK, WARN, BAD = "green", "orange", "red"

Steps = Sequence[tuple[float, str]]
"""From which value on which colour; below the first it is OK's."""


def gained(counter: str) -> str:
    """PromQL of how far a counter that a group keeps by partition went in the time shown.

    Such a counter goes on where it stood, whichever member shows it. A member that loses a partition and has it back
    shows one series, which leaps over what others counted meanwhile and show too: its increase would count that twice.
    The largest of a partition's series is what is true of it, and is counted once.
    """
    return f"sum(increase(max by (job, partition) ({counter}{SERVED})[$__range:$__interval]))"


@dataclass(frozen=True, slots=True)
class About:
    """What a person is told of a panel. unit: one of Grafana's. empty: what stands there while there is no data."""

    title: str
    unit: str
    description: str
    empty: str


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL and the name of its series, in which `{{label}}` is a label's value. exemplars: shown as points too."""

    expr: str
    legend: str = ""
    exemplars: bool = False


class _Panel(Protocol):
    """What all builders of panels have; the library has no name for it."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def no_value(self, no_value: str) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...
    def datasource(self, datasource: models.DataSourceRef) -> Self: ...
    def with_target(self, target: prometheus.Dataquery) -> Self: ...


P = TypeVar("P", bound=_Panel)


def _told(panel: P, about: About, width: int, height: int, targets: Sequence[prometheus.Dataquery]) -> P:
    """The panel with its words, its place and its queries."""
    panel.title(about.title).description(about.description).unit(about.unit).no_value(about.empty)
    panel.datasource(SOURCE).span(width).height(height)
    for name, target in zip(ascii_uppercase, targets, strict=False):
        panel.with_target(target.ref_id(name))
    return panel


def _over_time(query: Query) -> prometheus.Dataquery:
    return _target(query).range().exemplar(query.exemplars)


def _now(query: Query) -> prometheus.Dataquery:
    return _target(query).instant()


def _target(query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend).datasource(SOURCE)


def _steps(steps: Steps) -> ThresholdsConfig:
    return ThresholdsConfig().steps([models.Threshold(None, OK), *(models.Threshold(*step) for step in steps)])


def _no_number(text: str) -> models.ValueMapping:
    """NaN, a figure that is not defined, as a word."""
    nothing = models.SpecialValueMatch.NULL_AND_NAN
    shown = models.ValueMappingResult(text=text, index=0)
    return models.SpecialValueMap(models.DashboardSpecialValueMapOptions(nothing, shown))


def _states(states: Mapping[int, tuple[str, str]]) -> models.ValueMapping:
    """Numbers that stand for a word and a colour."""
    words = {
        str(number): models.ValueMappingResult(text, colour, index=number) for number, (text, colour) in states.items()
    }
    return models.ValueMap(words)


def figure(
    about: About,
    *queries: Query,
    width: int = 4,
    steps: Steps = (),
    states: Mapping[int, tuple[str, str]] | None = None,
) -> Builder[models.Panel]:
    """A number as it is now, large. steps: from which value on which colour. states: numbers that stand for words."""
    mappings = [_no_number("not defined"), *([_states(states)] if states else [])]
    panel = stat.Panel().thresholds(_steps(steps)).mappings(mappings)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    panel.graph_mode(BigValueGraphMode.NONE)
    panel.color_mode(BigValueColorMode.VALUE if steps or states else BigValueColorMode.NONE)
    return _told(panel, about, width, 4, [_now(query) for query in queries])


def lines(
    about: About,
    *queries: Query,
    width: int = 12,
    stacked: bool = False,
    steps: Steps = (),
    least: float | None = 0,
    most: float | None = None,
    logarithmic: bool = False,
) -> timeseries.Panel:
    """Values over time. steps: drawn as dashed lines. least, most: ends of the axis; None: as the values need it."""
    panel = timeseries.Panel().line_width(1).show_points(VisibilityMode.NEVER).fill_opacity(30 if stacked else 5)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if steps:
        panel.thresholds(_steps(steps))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED))
    if logarithmic:
        panel.scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LOG).log(10))
    if least is not None and not logarithmic:
        panel.min(least)
    if most is not None:
        panel.max(most)
    panel.legend(_legend()).tooltip(
        common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    )
    return _told(panel, about, width, 8, [_over_time(query) for query in queries])


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    return legend.show_legend(True).calcs([])


def band(panel: timeseries.Panel, upper: str, lower: str) -> timeseries.Panel:
    """Fills what lies between two series of a panel."""
    filled = {"custom.fillBelowTo": lower, "custom.fillOpacity": 25, "custom.lineWidth": 0}
    panel.override_by_name(upper, [models.DynamicConfigValue(key, value) for key, value in filled.items()])
    return panel.override_by_name(lower, [models.DynamicConfigValue("custom.lineWidth", 0)])


def buckets(about: About, query: Query, width: int = 24, axis: str = Short) -> Builder[models.Panel]:
    """A histogram over time, as colours; the axis, in a unit of its own, has the buckets' edges."""
    colour = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").exponent(0.5).steps(64)
    panel = heatmap.Panel().calculate(False).color(colour).y_axis(heatmap.YAxisConfig().unit(axis)).cell_gap(1)
    panel.show_tooltip().show_y_histogram().show_legend()
    return _told(panel, about, width, 9, [_over_time(query).format(PromQueryFormat.HEATMAP)])


def bars(about: About, query: Query, width: int = 12, steps: Steps = ()) -> Builder[models.Panel]:
    """A bar for each series as it is now, as the query sorts them."""
    panel = bargauge.Panel().display_mode(BarGaugeDisplayMode.BASIC).orientation(VizOrientation.HORIZONTAL)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)).show_unfilled(True).min(0)
    panel.thresholds(_steps(steps))
    if not steps:
        panel.color_scheme(FieldColor().mode(models.FieldColorModeId.CONTINUOUS_BLUES))
    return _told(panel, about, width, 8, [_now(query)])


def timeline(
    about: About, query: Query, states: Mapping[int, tuple[str, str]], width: int = 24
) -> Builder[models.Panel]:
    """A line for each series, coloured by its state. states: what the numbers stand for, and their colours."""
    panel = statetimeline.Panel().mappings([_states(states)]).show_value(VisibilityMode.NEVER).merge_values(True)
    panel.row_height(0.8).fill_opacity(80).line_width(0).legend(_legend())
    return _told(panel, about, width, 8, [_over_time(query)])


def rows_of(
    about: About,
    columns: Mapping[str, Query],
    shown: Mapping[str, str],
    units: Mapping[str, str] | None = None,
    width: int = 24,
) -> Builder[models.Panel]:
    """A table of what is now: a row for each set of labels, by the first of them. shown: their headings, in order.

    columns: queries whose values are a column each, by heading; a heading of "" is not shown. units: where a column's
    is not the panel's.
    """
    values = {f"Value #{name}" if len(columns) > 1 else "Value": heading for name, heading in _named(columns)}
    named = {**shown, **{name: heading for name, heading in values.items() if heading}}
    hidden = ["Time", *(name for name, heading in values.items() if not heading)]
    arranged = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {name: place for place, name in enumerate(named)},
        "renameByName": named,
    }
    panel = table.Panel().with_transformation(models.DataTransformerConfig("merge", options={}))
    panel.with_transformation(models.DataTransformerConfig("organize", options=arranged)).show_header(True)
    panel.sort_by([common.TableSortByFieldState().display_name(next(iter(shown.values())))])
    for heading, unit in (units or {}).items():
        panel.override_by_name(heading, [models.DynamicConfigValue("unit", unit)])
    return _told(panel, about, width, 8, [_now(query).format(PromQueryFormat.TABLE) for query in columns.values()])


def _named(columns: Mapping[str, Query]) -> Sequence[tuple[str, str]]:
    """The letters that queries go by, and their headings."""
    return list(zip(ascii_uppercase, columns, strict=False))
