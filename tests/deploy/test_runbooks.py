"""Each alert has a runbook, short, in one form, and about views that exist."""

from __future__ import annotations

import re

import pytest
from tests.deploy.test_alerts import ALERTS, RUNBOOKS
from tests.deploy.tools import ROOT

PARTS = ["What it means", "Look first", "Do", "Do not", "How it ends"]
VIEWS = re.compile(r"/(monitors/MONITOR(/where|/alarm)?|system)?")
WHO = {"shifter": "the shifter", "service": "the service owner", "test": "whoever tests"}


def test_every_alert_has_one_and_no_other_is_there() -> None:
    assert {path.name for path in RUNBOOKS.iterdir()} == {f"{alert}.md" for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS)
def test_it_is_short_and_in_the_form_that_is_known_at_night(alert: str) -> None:
    text = (RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8")
    labels = ALERTS[alert]["labels"]
    heading, concerns = text.split("\n\n")[:2]
    assert heading == f"# {alert}"
    assert concerns == f"{labels['severity'].capitalize()}. Concerns {WHO[labels['audience']]}."
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    assert len(text.splitlines()) <= 40
    assert "](" not in text  # it is read on a page of its own, where no other file is


@pytest.mark.parametrize("alert", ALERTS)
def test_the_views_and_alerts_that_it_names_exist(alert: str) -> None:
    text = (RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8")
    views = re.findall(r"`(/[^`]*)`", text)
    assert views or alert == "NplmonApiDown"
    assert [view for view in views if not VIEWS.fullmatch(view)] == []
    assert set(re.findall(r"\bNplmon\w+", text)) <= set(ALERTS)


def test_a_table_lists_all_alerts_with_their_runbooks() -> None:
    page = (ROOT / "docs" / "alerting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \| (\w+) \|", page, re.MULTILINE)
    assert rows == [
        (alert, alert, rule["labels"]["severity"], rule["labels"]["audience"])
        for alert, rule in ALERTS.items()
    ]
