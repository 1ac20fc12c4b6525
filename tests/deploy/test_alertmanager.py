"""alertmanager.yml: accepted by amtool, routes as they are meant, inhibitions that name what exists."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.deploy.test_alerts import ALERTS, expected
from tests.deploy.tools import ROOT, Model, execute, system_tool

FILE = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
CONFIGURATION = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))
CALLED = {
    ("critical", "shifter"): "shifters-urgent",
    ("warning", "shifter"): "shifters",
    ("critical", "service"): "service-owners-urgent",
    ("warning", "service"): "service-owners",
    ("test", "test"): "tests",
}
"""Receivers by severity and audience."""
INHIBITED = [
    pytest.param(source, target, rule.get("equal", []), id=f"{source}-{target}")
    for rule in CONFIGURATION["inhibit_rules"]
    for source in re.findall(r"Nplmon\w+", str(rule["source_matchers"]))
    for target in re.findall(r"Nplmon\w+", str(rule["target_matchers"]))
]


def routed(**labels: str) -> str:
    """Give the receiver of an alert, as Alertmanager itself finds it."""
    words = [f"{name}={value}" for name, value in labels.items()]
    answer = execute(system_tool("amtool"), "config", "routes", "test", f"--config.file={FILE}", *words)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_amtool_accepts_it() -> None:
    answer = execute(system_tool("amtool"), "check-config", FILE)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_amtool_refuses_a_broken_one(tmp_path: Path) -> None:
    broken = tmp_path / "alertmanager.yml"
    broken.write_text(
        FILE.read_text(encoding="utf-8").replace("- name: tests", "- name: test"), encoding="utf-8"
    )
    assert execute(system_tool("amtool"), "check-config", broken).returncode != 0


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_reaches_whom_it_concerns(alert: str) -> None:
    labels = ALERTS[alert]["labels"]
    assert routed(alertname=alert, monitor="m", **labels) == CALLED[labels["severity"], labels["audience"]]


def test_what_no_rule_of_ours_has_raised_reaches_the_owners() -> None:
    assert routed(alertname="Other") == "service-owners"


def test_a_test_reaches_nobody_else() -> None:
    assert routed(alertname="NplmonTestAlarm", severity="test", audience="test") == "tests"


def test_each_monitor_is_told_of_apart() -> None:
    assert CONFIGURATION["route"]["group_by"] == ["alertname", "monitor"]


@pytest.mark.parametrize(("source", "target", "equal"), INHIBITED)
def test_an_inhibition_is_between_alerts_that_carry_its_labels(
    source: str, target: str, equal: list[str]
) -> None:
    """Alertmanager takes a label that both lack for an equal one: the inhibition would then hold for all."""
    for alert in (source, target):
        assert any(set(equal) <= set(one["exp_labels"]) for one in expected(alert)), alert


def test_nothing_silences_a_test_or_itself() -> None:
    pairs = {(one.values[0], one.values[1]) for one in INHIBITED}
    assert not {pair for pair in pairs if pair[0] == pair[1]}
    assert "NplmonTestAlarm" not in {target for _, target in pairs}
    assert {"NplmonAnomaly", "NplmonStatisticStale"} <= {source for source, _ in pairs}


def test_it_holds_no_secret_and_sends_nothing_until_it_is_filled_in() -> None:
    assert all(set(receiver) == {"name"} for receiver in CONFIGURATION["receivers"])
    assert {receiver["name"] for receiver in CONFIGURATION["receivers"]} == set(CALLED.values())


def test_compose_gives_alertmanager_this_folder(compose_model: Callable[..., Model]) -> None:
    service = compose_model()["services"]["alertmanager"]
    mounts = {volume["target"]: volume for volume in service["volumes"]}
    assert Path(mounts["/etc/alertmanager"]["source"]) == FILE.parent
    assert mounts["/etc/alertmanager"]["read_only"] is True
    assert "--config.file=/etc/alertmanager/alertmanager.yml" in service["command"]
