"""deploy/grafana/dashboards is what the code renders; each panel is whole, and asks for what is exported.

No Grafana server is to be had here: what Grafana would read is held against the types of its SDK.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from deploy.grafana.__main__ import main
from deploy.grafana.query import growth, latest, quantile
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard, prometheus
from tests.deploy.dashboards import DASHBOARDS, NAMES, load, panels, queries, texts
from tests.deploy.queries import complaints, known
from tests.deploy.tools import ROOT

SERIES = known()


def test_rendering_anew_gives_no_difference(tmp_path: Path) -> None:
    main(tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == list(NAMES)
    assert sorted(path.stem for path in DASHBOARDS.iterdir()) == list(NAMES)
    for name in NAMES:
        anew = (tmp_path / f"{name}.json").read_text(encoding="utf-8")
        assert anew == (DASHBOARDS / f"{name}.json").read_text(encoding="utf-8"), "run `make dashboards`"


def comparable(part: Any) -> Any:
    """Leave out what the SDK's types add by themselves: a placement of links, and an id that is null."""
    if isinstance(part, dict):
        return {
            name: comparable(value)
            for name, value in part.items()
            if value != "inControlsMenu" and (name, value) != ("id", None)
        }
    return [comparable(one) for one in part] if isinstance(part, list) else part


@pytest.mark.parametrize("name", NAMES)
def test_it_decodes_to_the_types_of_the_sdk_and_back(name: str) -> None:
    """Nothing is lost on the way: a field that the types do not know would be."""
    register_default_plugins()
    document = load(name)
    decoded = dashboard.Dashboard.from_json(document)
    again = json.loads(json.dumps(decoded, cls=JSONEncoder))
    assert comparable(again) == comparable(document)
    for panel in decoded.panels or ():
        if isinstance(panel, dashboard.Panel):
            assert all(isinstance(target, prometheus.Dataquery) for target in panel.targets or ())


def test_a_field_that_grafana_does_not_know_is_found() -> None:
    document = load("shifter") | {"refrehs": "5s"}
    again = json.loads(json.dumps(dashboard.Dashboard.from_json(document), cls=JSONEncoder))
    assert comparable(again) != comparable(document)


@pytest.mark.parametrize("name", NAMES)
def test_its_identity_is_fixed_and_nobody_edits_it(name: str) -> None:
    document = load(name)
    assert document["uid"] == f"nplmon-{name}"
    assert document["id"] is None
    assert document["editable"] is False
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    assert {"datasource", "monitor", "nplmon"} <= set(variables)
    assert variables["datasource"]["query"] == "prometheus"


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_it_shows(name: str) -> None:
    found = panels(load(name))
    titles = [panel["title"] for panel in found]
    assert len(set(titles)) == len(titles)
    for panel in found:
        assert panel["title"], panel
        assert len(panel["description"]) > 10, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        if panel["type"] == "text":
            continue
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["legendFormat"], panel["title"]
            assert target["datasource"] == panel["datasource"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert references == sorted(set(references)), panel["title"]


@pytest.mark.parametrize("name", NAMES)
def test_panels_fill_the_grid_without_overlap(name: str) -> None:
    document = load(name)
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    height = 1 + max(y for _, y in taken)
    holes = {(x, y) for x in range(24) for y in range(height)} - taken
    assert not holes, f"{len(holes)} empty cells, the first at {min(holes, key=lambda cell: cell[::-1])}"
    numbers = [panel["id"] for panel in document["panels"]]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_asks_for_what_is_exported(name: str) -> None:
    found = {where: said for where, query in queries(load(name)) if (said := complaints(query, SERIES))}
    assert found == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_rate_is_over_as_long_as_grafana_finds_right(name: str) -> None:
    for where, query in queries(load(name)):
        assert set(re.findall(r"rate\([^\[]+\[([^\]]+)\]", query)) <= {"$__rate_interval"}, where


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    document = load(name)
    urls = [link["url"] for link in document["links"]]
    others = {url.partition("?")[0] for url in urls if url.startswith("/d/")}
    assert others == {f"/d/nplmon-{other}" for other in NAMES if other != name}
    assert "${nplmon}/" in urls
    if name != "service":
        assert "${nplmon}/monitors/${monitor}" in urls


def test_every_runbook_is_linked_and_every_link_has_a_runbook() -> None:
    linked = {
        alert
        for name in NAMES
        for text in texts(load(name))
        for alert in re.findall(r"\$\{nplmon\}/runbooks/(\w+)", text)
    }
    assert linked == {path.stem for path in (ROOT / "docs" / "runbooks").iterdir()}


def test_the_snippets_are_those_of_their_examples() -> None:
    assert latest("a", "") == "max by (monitor) (a)"
    assert growth("a_total", "") == "sum by (monitor) (rate(a_total[$__rate_interval]))"
    assert quantile(0.5, "a", "", by="b") == (
        "histogram_quantile(0.5, sum by (le, b) (rate(a_bucket[$__rate_interval])))"
    )
