"""The alert rules: checked and tested by promtool, each complete, each test able to fail."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.deploy.tools import ROOT, execute, system_tool

RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
TESTS = ROOT / "tests" / "deploy" / "alerts"
RUNBOOKS = ROOT / "docs" / "runbooks"
AUDIENCES = {"shifter": {"critical", "warning"}, "service": {"critical", "warning"}, "test": {"test"}}
"""Who is called, and how urgently."""
GUARDS = re.compile(r"(?:last_over_time|increase|changes)\((\w+(?:\{[^}]*\})?)\[\w+\]\)")


Rule = dict[str, Any]


@functools.cache
def load(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def all_rules(content: Any) -> list[Rule]:
    return [rule for group in content["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in all_rules(load(RULES)) if "alert" in rule}


def expected(alert: str) -> list[dict[str, dict[str, str]]]:
    """Give the alerts that its unit tests expect, in full: `exp_labels` and `exp_annotations`."""
    return [
        one
        for group in load(TESTS / f"{alert}.yml")["tests"]
        for case in group.get("alert_rule_test", ())
        if case["alertname"] == alert
        for one in case["exp_alerts"]
    ]


@pytest.fixture
def promtool() -> str:
    return system_tool("promtool")


def test_promtool_accepts_the_rules(promtool: str) -> None:
    answer = execute(promtool, "check", "rules", "--lint-fatal", RULES)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_its_unit_tests_pass(alert: str, promtool: str) -> None:
    answer = execute(promtool, "test", "rules", TESTS / f"{alert}.yml")
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_it_says_what_who_how_urgent_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert set(rule["labels"]) == {"severity", "audience"}
    assert rule["labels"]["severity"] in AUDIENCES[rule["labels"]["audience"]]
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "page_url", "runbook_url"}
    assert "{{" not in notes["summary"]  # fixed, so that notifications can be sorted by it
    assert notes["summary"].endswith(".")
    assert notes["runbook_url"] == f"{{{{ $externalLabels.nplmon_url }}}}/runbooks/{alert}"
    assert notes["page_url"].startswith("{{ $externalLabels.nplmon_url }}/")


@pytest.mark.parametrize("alert", ALERTS)
def test_it_is_tested_to_fire_to_stay_silent_and_with_the_target_absent(alert: str) -> None:
    groups = load(TESTS / f"{alert}.yml")["tests"]
    for beginning in ("fires", "silent", "with the target absent"):
        named = [group for group in groups if group["name"].startswith(beginning)]
        assert named, beginning
        assert all(alert in str(group) for group in named)
    assert expected(alert)
    for one in expected(alert):  # the value and its threshold are in it
        text = one["exp_annotations"]
        assert re.search(r"\d", text["description"]), text["description"]
        assert text["runbook_url"] == f"http://nplmon.example/runbooks/{alert}"


def never(rule: Rule) -> None:
    rule["expr"] = f"({rule['expr']}) and vector(1) == 0"


def always(rule: Rule) -> None:
    rule["expr"] = "vector(1)"


def at_once(rule: Rule) -> None:
    rule["for"] = "0s"


def later(rule: Rule) -> None:
    rule["for"] = "1h"


def unguarded(rule: Rule) -> None:
    rule["expr"] = GUARDS.sub(r"\1", rule["expr"])


def broken(alert: str, breakage: Callable[[Rule], None]) -> list[Rule]:
    """Give a broken alert, with all records and with the alerts that its tests name."""
    named = str(load(TESTS / f"{alert}.yml"))
    found = []
    for rule in copy.deepcopy(all_rules(load(RULES))):
        name = rule.get("record") or rule["alert"]
        guard = breakage is unguarded and "record" in rule and name in ALERTS[alert]["expr"]
        if name == alert or guard:
            breakage(rule)
        if "record" in rule or name in named:
            found.append(rule)
    return found


@pytest.mark.parametrize(
    ("alert", "breakage"),
    [
        pytest.param(alert, breakage, id=f"{alert}-{breakage.__name__}")
        for alert in ALERTS
        for breakage in (never, always, at_once, later, unguarded)
        # Some have no guard but their for:.
        if breakage is not unguarded or broken(alert, breakage) != broken(alert, id)
    ],
)
def test_its_unit_tests_fail_with_a_broken_rule(
    alert: str, breakage: Callable[[Rule], None], promtool: str, tmp_path: Path
) -> None:
    # JSON is YAML, and faster written.
    rules = {"groups": [{"name": "broken", "rules": broken(alert, breakage)}]}
    (tmp_path / "alerts.yml").write_text(json.dumps(rules), encoding="utf-8")
    tests = load(TESTS / f"{alert}.yml") | {"rule_files": ["alerts.yml"]}
    (tmp_path / "tests.yml").write_text(json.dumps(tests), encoding="utf-8")
    answer = execute(promtool, "test", "rules", tmp_path / "tests.yml")
    assert "FAILED" in answer.stdout + answer.stderr
    assert alert in answer.stdout + answer.stderr


def test_every_file_of_tests_is_that_of_an_alert() -> None:
    assert {path.stem for path in TESTS.glob("*")} == set(ALERTS)
