"""The kinds of panel that the dashboards are made of, each with title, unit, description and size."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, statetimeline, text, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import prometheus as prometheus_model
from grafana_foundation_sdk.models import text as text_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.grafana.query import Query
    from grafana_foundation_sdk.cog.builder import Builder

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
NOTHING = "no data"
"""What stands where nothing is exported."""

Size = tuple[int, int]
"""Width and height in cells of Grafana's grid of 24 columns."""


def course(
    title: str, description: str, unit: str, *queries: Query, size: Size = (12, 8), log: bool = False
) -> timeseries.Panel:
    """Make a panel of lines over time.

    A legend with "threshold" in it becomes a dashed line, red or, for a warning's, orange; `mean + sd` and
    `mean - sd` become a band.

    Parameters
    ----------
    title, description:
        What is shown and how it is read.
    unit:
        One of Grafana's units, or `suffix:TEXT`.
    queries:
        What is drawn.
    size:
        Width and height.
    log:
        Whether the axis is logarithmic, as for p-values.
    """
    panel = timeseries.Panel()
    _describe(panel, title, description, unit, size)
    _ask(panel, queries, instant=False)
    if log:
        panel.scale_distribution(options.ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10))
    panel.line_width(2).fill_opacity(0).show_points(common.VisibilityMode.AUTO).no_value(NOTHING)
    panel.legend(
        options.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
    )
    panel.tooltip(
        options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
    for legend, look in LOOKS.items():
        if any(re.search(legend, query.legend) for query in queries):
            panel.override_by_regexp(f"/{legend}/", look)
    return panel


def number(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    size: Size = (4, 4),
    steps: Sequence[tuple[float, str]] = (),
    decimals: int | None = None,
    show: common.BigValueTextMode = common.BigValueTextMode.AUTO,
) -> stat.Panel:
    """Make a panel of present values in large figures.

    Parameters
    ----------
    title, description, unit, queries, size:
        As in `course`.
    steps:
        (from this value on, colour); the first is below all values.
    decimals:
        How many are shown; Grafana's choice if None.
    show:
        The value, the legend, or both.
    """
    panel = _large(title, description, unit, queries, size)
    if decimals is not None:
        panel.decimals(decimals)
    panel.color_mode(common.BigValueColorMode.VALUE).graph_mode(common.BigValueGraphMode.NONE)
    panel.text_mode(show)
    (_, lowest), *others = steps or ((0, "text"),)
    first = dashboard.Threshold(value=None, color=lowest)
    return panel.thresholds(
        build.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([first, *(dashboard.Threshold(value=value, color=colour) for value, colour in others)])
    )


def words(
    title: str,
    description: str,
    *queries: Query,
    meaning: Sequence[tuple[int, str, str]],
    size: Size = (4, 4),
) -> stat.Panel:
    """Make a panel that says in words and colour what a code means: (code, words, colour)."""
    panel = _large(title, description, "string", queries, size)
    panel.mappings([_mapping(meaning)]).color_mode(common.BigValueColorMode.BACKGROUND_SOLID)
    panel.graph_mode(common.BigValueGraphMode.NONE).text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    return panel


def history(
    title: str,
    description: str,
    *queries: Query,
    meaning: Sequence[tuple[int, str, str]],
    size: Size = (12, 8),
) -> statetimeline.Panel:
    """Make a panel with one row a series that says in words and colour what a code meant over time."""
    panel = statetimeline.Panel()
    _describe(panel, title, description, "string", size)
    _ask(panel, queries, instant=False)
    panel.mappings([_mapping(meaning)]).merge_values(merge_values=True).row_height(0.8).no_value(NOTHING)
    panel.show_value(common.VisibilityMode.AUTO).fill_opacity(80)
    panel.color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    return panel.legend(
        options.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(show_legend=False)
    )


def buckets(
    title: str, description: str, unit: str, query: Query, *, axis: str, size: Size = (12, 8)
) -> heatmap.Panel:
    """Make a panel of a histogram over time: the darker, the more fell into a bucket.

    Parameters
    ----------
    title, description, size:
        As in `course`.
    unit, axis:
        Of what is counted, and of the buckets.
    query:
        The growth of each bucket, by `le`.
    """
    panel = heatmap.Panel()
    _describe(panel, title, description, unit, size)
    _ask(panel, [query], instant=False)
    panel.calculate(calculate=False).cell_gap(1).show_legend().no_value(NOTHING)
    panel.color(
        heatmap.HeatmapColorOptions()
        .mode(heatmap_model.HeatmapColorMode.SCHEME)
        .scheme("Blues")
        .steps(32)
        .scale(heatmap_model.HeatmapColorScale.EXPONENTIAL)
        .exponent(0.5)
    )
    panel.cell_values(heatmap.CellValues().unit(unit))
    return panel.y_axis(heatmap.YAxisConfig().unit(axis).axis_placement(common.AxisPlacement.LEFT))


def note(title: str, description: str, markdown: str, *, size: Size) -> text.Panel:
    """Make a panel of text."""
    panel = text.Panel().title(title).description(description).span(size[0]).height(size[1])
    return panel.mode(text_model.TextMode.MARKDOWN).content(markdown)


def link(title: str, url: str) -> build.DashboardLink:
    """Make a link of a panel or of a value, opened beside the dashboard."""
    return (
        build.DashboardLink(title)
        .type(dashboard.DashboardLinkType.LINK)
        .url(url)
        .target_blank(target_blank=True)
    )


def runbooks(*alerts: str) -> list[Builder[dashboard.DashboardLink]]:
    """Make the links to what to do about alerts; nplmon serves it, also without internet."""
    return [link(f"What to do: {alert}", f"${{nplmon}}/runbooks/{alert}") for alert in alerts]


def _large(title: str, description: str, unit: str, queries: Sequence[Query], size: Size) -> stat.Panel:
    panel = stat.Panel()
    _describe(panel, title, description, unit, size)
    _ask(panel, queries, instant=True)
    panel.reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"])).no_value(NOTHING)
    return panel.color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))


def _describe(panel: Any, title: str, description: str, unit: str, size: Size) -> None:  # noqa: ANN401
    # The builders of the kinds of panel have no common type.
    panel.title(title).description(description).unit(unit).span(size[0]).height(size[1]).datasource(SOURCE)


def _ask(panel: Any, queries: Sequence[Query], *, instant: bool) -> None:  # noqa: ANN401
    for letter, query in zip(string.ascii_uppercase, queries, strict=False):
        target = prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend)
        target.datasource(SOURCE).editor_mode(prometheus_model.QueryEditorMode.CODE)
        if query.heatmap:
            target.format(prometheus_model.PromQueryFormat.HEATMAP)
        if instant:
            target.instant()
        else:
            target.range()
        panel.with_target(target)


def _mapping(meaning: Sequence[tuple[int, str, str]]) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        options={
            str(code): dashboard.ValueMappingResult(text=words, color=colour, index=place)
            for place, (code, words, colour) in enumerate(meaning)
        }
    )


def _value(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def _colour(name: str) -> dashboard.DynamicConfigValue:
    return _value("color", {"mode": "fixed", "fixedColor": name})


_DASHED = _value("custom.lineStyle", {"fill": "dash", "dash": [10, 6]})
_THIN = _value("custom.lineWidth", 1)
LOOKS = {
    "alarm threshold|budget": [_colour("red"), _DASHED, _THIN],
    "warning threshold": [_colour("orange"), _DASHED, _THIN],
    "resolution": [_colour("text"), _DASHED, _THIN],
    r"mean( [+-] sd)?$": [_colour("blue"), _THIN],
    r"mean \+ sd$": [_value("custom.fillBelowTo", "mean - sd"), _value("custom.fillOpacity", 15)],
}
"""How a line looks, by a regular expression for its legend."""
