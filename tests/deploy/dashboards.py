"""The rendered dashboards, as Grafana reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.deploy.queries import substituted
from tests.deploy.tools import ROOT

DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
NAMES = ("expert", "service", "shifter")
Document = dict[str, Any]


def load(name: str) -> Document:
    """Read a committed dashboard."""
    document: Document = json.loads((DASHBOARDS / f"{name}.json").read_text(encoding="utf-8"))
    return document


def panels(document: Document) -> list[Document]:
    """Give its panels without the headings."""
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def queries(document: Document) -> Iterator[tuple[str, str]]:
    """Give (where, PromQL) of every query: of panels, annotations and variables."""
    for panel in panels(document):
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in document["annotations"]["list"]:
        yield annotation["name"], annotation["target"]["expr"]
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            (selector,) = re.findall(r"^label_values\((.+), \w+\)$", variable["query"]["query"])
            yield f"${variable['name']}", selector


def drawn(monitor: str) -> dict[str, str]:
    """Give every query that a dashboard draws, by where it is, with a regular expression for the monitors."""
    return {
        f"{name}: {where}": substituted(query.replace('=~"$monitor"', f'=~"{monitor}"'))
        for name in NAMES
        for where, query in queries(load(name))
        if not where.startswith("$")
    }


def texts(part: object) -> Iterator[str]:
    """Give every string in it."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for one in part.values():
            yield from texts(one)
    elif isinstance(part, list):
        for one in part:
            yield from texts(one)
