"""What a PromQL query may ask for: the metrics of the roles, the standard ones, and what a rule records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
from ruamel.yaml import YAML
from tests.deploy.tools import ROOT

METRICS_PAGE = ROOT / "docs" / "metrics.md"
RULES = ROOT / "deploy" / "prometheus"
TARGET = frozenset({"job", "instance"})
"""What Prometheus itself adds to each sample."""
STANDARD = {
    "up": TARGET,
    "scrape_duration_seconds": TARGET,
    "scrape_samples_scraped": TARGET,
    "ALERTS": frozenset({"alertname", "alertstate", "severity", "monitor", "job"}),
    "ALERTS_FOR_STATE": frozenset({"alertname", "severity", "monitor", "job"}),
}
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| .+? \| (.+?) \| .+ \|$", re.MULTILINE)
GRAFANA = {
    "$__rate_interval": "1m",
    "$kind": "t_score",
    "$__interval": "15s",
    "$__range": "1h",
    "$monitor": "m",
    "${monitor}": "m",
    "${monitor:regex}": "m",
}
"""A value for each variable that a dashboard may use in a query."""
CLOSED = frozenset({"kind", "outcome", "state", "role"})
"""Labels whose values are all in docs/metrics.md."""

Series = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Rule:
    """One rule of Prometheus."""

    file: Path
    name: str
    """Of the alert, or of the recorded series."""
    recording: bool
    expr: str
    labels: dict[str, str]
    body: dict[str, Any]


def rules() -> list[Rule]:
    """Give the rules of all files in deploy/prometheus."""
    found = []
    for file in sorted(RULES.rglob("*.yml")):
        content = YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {}
        for group in content.get("groups", ()):
            for body in group["rules"]:
                name = body.get("record") or body["alert"]
                found.append(
                    Rule(file, name, "record" in body, body["expr"], body.get("labels") or {}, dict(body))
                )
    return found


def exported() -> dict[str, frozenset[str]]:
    """Give every series of the three roles with its labels, as a scrape has them.

    From docs/metrics.md, whose tables tests/test_metrics_page.py holds equal to what the roles export.
    """
    series = {}
    for name, kind, written in ROW.findall(METRICS_PAGE.read_text(encoding="utf-8")):
        labels = frozenset() if written == "none" else frozenset(written.split(", "))
        labels |= TARGET
        if kind == "histogram":
            series[f"{name}_bucket"] = labels | {"le"}
            series[f"{name}_sum"] = series[f"{name}_count"] = labels
        else:
            series[name] = labels
    return series


def known() -> dict[str, frozenset[str]]:
    """Give all that a query may name: exported, standard, and recorded by a rule."""
    series = exported() | STANDARD
    for rule in rules():
        if rule.recording:
            tree = promql_parser.parse(rule.expr)
            carried = [series.get(one.name or "", frozenset()) for one in selectors(tree)]
            series[rule.name] = TARGET.union(*carried, rule.labels)
    return series


def nodes(tree: promql_parser.Expr) -> list[promql_parser.Expr]:
    """Give all parts of a parsed query."""
    found: list[promql_parser.Expr] = []
    promql_parser.walk(tree, found.append)
    return found


def selectors(tree: promql_parser.Expr) -> Iterator[promql_parser.VectorSelector]:
    """Give each place where a query names a metric."""
    return (one for one in nodes(tree) if isinstance(one, promql_parser.VectorSelector))


def grouped(tree: promql_parser.Expr) -> set[str]:
    """Give the labels that a query groups or matches by."""
    labels: set[str] = set()
    for one in nodes(tree):
        if isinstance(one, promql_parser.AggregateExpr) and one.modifier is not None:
            labels |= set(one.modifier.labels)
        if isinstance(one, promql_parser.BinaryExpr) and one.modifier is not None:
            labels |= set(one.modifier.group_labels or ())
            labels |= set(() if one.modifier.matching is None else one.modifier.matching.labels)
    return labels


def made(tree: promql_parser.Expr) -> set[str]:
    """Give the labels that a query makes itself."""
    return {
        one.args[1].val
        for one in nodes(tree)
        if isinstance(one, promql_parser.Call) and one.func.name in ("label_replace", "label_join")
    }


def substituted(query: str) -> str:
    """Put a value in the place of each variable of Grafana.

    Examples
    --------
    >>> substituted('rate(a{monitor=~"$monitor"}[$__rate_interval])')
    'rate(a{monitor=~"m"}[1m])'
    """
    for variable in sorted(GRAFANA, key=len, reverse=True):
        query = query.replace(variable, GRAFANA[variable])
    return query


def complaints(query: str, series: Series) -> list[str]:
    """Say all that is wrong with a query: it does not parse, or asks for what nobody exports.

    Parameters
    ----------
    query:
        With or without variables of Grafana.
    series:
        What may be named, with its labels: `known()`.
    """
    try:
        tree = promql_parser.parse(substituted(query))
    except ValueError as error:
        return [f"does not parse: {error}"]
    said = []
    values = METRICS_PAGE.read_text(encoding="utf-8")
    available: set[str] = made(tree)
    asked = list(selectors(tree))
    for one in asked:
        if one.name not in series:
            said.append(f"nobody exports {one.name}")
            continue
        available |= series[one.name]
        for matcher in one.matchers.matchers:
            if matcher.name not in series[one.name]:
                said.append(f"{one.name} has no label {matcher.name}")
            elif (
                matcher.name in CLOSED
                and matcher.op == promql_parser.MatchOp.Equal
                and f"`{matcher.value}`" not in values
            ):
                said.append(f"{one.name} never has {matcher.name} {matcher.value!r}")
    if not asked:
        said.append("names no metric")
    if not said:
        said += [f"no metric in it has the label {label}" for label in sorted(grouped(tree) - available)]
    return said
