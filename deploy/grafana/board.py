"""A dashboard: its panels laid out in sections, its variables, annotations and links."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from deploy.grafana.panel import SOURCE
from deploy.grafana.query import CHOSEN, latest
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grafana_foundation_sdk.cog.builder import Builder

DATASOURCE_UID = "nplmon-prometheus"
"""Of the data source that deploy/grafana/provisioning makes."""
PAGE = "http://127.0.0.1:8471"
"""Where a browser finds nplmon's own page unless it is told otherwise."""
COLUMNS = 24
TITLES = {"shifter": "nplmon: shifter", "expert": "nplmon: expert", "service": "nplmon: service"}


@dataclass(frozen=True)
class Section:
    """Panels under a heading, from left to right and top to bottom."""

    title: str
    panels: Sequence[Builder[dashboard.Panel]]


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    name: Literal["shifter", "expert", "service"]
    """Its file, and the end of its uid."""
    description: str
    sections: Sequence[Section]
    monitors: Literal["one", "several"]
    """How many monitors may be chosen at once."""
    start: str
    """How far back it begins, such as `now-6h`."""
    variables: Sequence[Builder[dashboard.VariableModel]] = ()
    """Beside the data source, the monitor and the address of nplmon."""

    def render(self) -> str:
        """Give the JSON that Grafana reads."""
        made = (
            build.Dashboard(TITLES[self.name])
            .uid(f"nplmon-{self.name}")
            .description(self.description)
            .tags(["nplmon"])
            .timezone("browser")
            .readonly()
            .refresh("5s")
            .time(self.start, "now")
            .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
            .variables([*_variables(self.monitors), *self.variables])
            .annotations([_alarms("ALARM", 2, "red"), _alarms("warning", 1, "orange"), _openings()])
            .links(_links(self.name, self.monitors))
        ).build()
        made.panels = _lay_out(self.sections)
        document = json.loads(json.dumps(made, cls=JSONEncoder), object_hook=_without_placement) | {
            "id": None
        }
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def label_values(series: str, label: str) -> dict[str, object]:
    """Give the query of a variable: the values that a label has."""
    # The type and the reference are those that Grafana's own editor writes.
    return {
        "qryType": 1,
        "query": f"label_values({series}, {label})",
        "refId": "PrometheusVariableQueryEditor-VariableQuery",
    }


def _without_placement(part: dict[str, Any]) -> dict[str, Any]:
    """Leave links above the panels, where they are seen; the SDK would put them into a menu."""
    return {name: value for name, value in part.items() if value != "inControlsMenu"}


def _lay_out(sections: Sequence[Section]) -> list[dashboard.Panel | dashboard.RowPanel]:
    placed: list[dashboard.Panel | dashboard.RowPanel] = []
    y = 0
    for section in sections:
        row = build.Row(section.title).collapsed(collapsed=False).id(len(placed) + 1).build()
        row.grid_pos = dashboard.GridPos(x=0, y=y, w=COLUMNS, h=1)
        placed.append(row)
        x, y, height = 0, y + 1, 0
        for builder in section.panels:
            panel = builder.build()
            size = panel.grid_pos
            if size is None:
                raise ValueError(f"panel {panel.title!r} has no size; give it one")
            if x + size.w > COLUMNS:
                x, y, height = 0, y + height, 0
            panel.id_val = len(placed) + 1
            panel.grid_pos = dashboard.GridPos(x=x, y=y, w=size.w, h=size.h)
            placed.append(panel)
            x, height = x + size.w, max(height, size.h)
        y += height
    return placed


def _variables(monitors: Literal["one", "several"]) -> list[Builder[dashboard.VariableModel]]:
    source = build.DatasourceVariable("datasource").label("data source").type("prometheus")
    source.current(dashboard.VariableOption(text="nplmon", value=DATASOURCE_UID, selected=True))
    monitor = (
        build.QueryVariable("monitor")
        .label("monitor")
        .description("All that exist, as the API tells them.")
        .datasource(SOURCE)
        .query(label_values("nplmon_backlog_chunks", "monitor"))
        .definition("label_values(nplmon_backlog_chunks, monitor)")
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.NATURAL_ASC)
    )
    if monitors == "several":
        everything = dashboard.VariableOption(text="All", value="$__all", selected=True)
        monitor.multi(multi=True).include_all(include_all=True).all_value(".+").current(everything)
    page = (
        build.TextBoxVariable("nplmon")
        .label("nplmon")
        .description("Where your browser finds nplmon's own page.")
        .default_value(PAGE)
        .current(dashboard.VariableOption(text=PAGE, value=PAGE, selected=True))
    )
    return [source, monitor, page]


def _alarms(name: str, level: int, colour: str) -> build.AnnotationQuery:
    """Mark the time that a level is held: it begins where the alarm rose."""
    expr = f"{latest('nplmon_alarm_level', CHOSEN)} == {level}"
    return _annotation(name, colour, expr, f"{{{{monitor}}}}: {name}")


def _openings() -> build.AnnotationQuery:
    """Mark when a run was opened: the value is the time, in ms."""
    expr = f"1000 * {latest('nplmon_run_opened_timestamp_seconds', CHOSEN)}"
    return _annotation("run opened", "blue", expr, "{{monitor}}: run opened").use_value_for_time(
        use_value_for_time=True
    )


def _annotation(name: str, colour: str, expr: str, title: str) -> build.AnnotationQuery:
    target = prometheus.Dataquery().ref_id("Anno").expr(expr).interval("15s").datasource(SOURCE)
    return (
        build.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(enable=True)
        .hide(hide=False)
        .icon_color(colour)
        .target(target)
        .title_format(title)
        .text_format("")
        .tag_keys("monitor")
    )


def _links(name: str, monitors: Literal["one", "several"]) -> list[Builder[dashboard.DashboardLink]]:
    links: list[Builder[dashboard.DashboardLink]] = []
    for other in sorted(set(TITLES) - {name}):
        # A choice of several monitors means nothing where one is shown: there, the first is as good.
        carried = ("datasource", "nplmon", *(("monitor",) if monitors == "one" else ()))
        query = "&".join(f"var-{variable}=${{{variable}:percentencode}}" for variable in carried)
        inside = build.DashboardLink(TITLES[other]).type(dashboard.DashboardLinkType.LINK).icon("dashboard")
        links.append(inside.url(f"/d/nplmon-{other}?{query}").keep_time(keep_time=True))
    pages = {"nplmon: this monitor": "${nplmon}/monitors/${monitor}"} if monitors == "one" else {}
    for title, url in (
        pages | {"nplmon: overview": "${nplmon}/", "nplmon: system": "${nplmon}/system"}
    ).items():
        outside = build.DashboardLink(title).type(dashboard.DashboardLinkType.LINK).icon("external link")
        links.append(outside.url(url).target_blank(target_blank=True))
    return links
