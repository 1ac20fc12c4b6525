"""The state that the dashboards show, evaluated by Prometheus itself: the most urgent of what holds."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.grafana.state import STATES, state
from tests.deploy.tools import execute, system_tool

NOW = 3600
IN_ORDER = {
    "nplmon_alarm_level": 0,
    "nplmon_alarm_acknowledged": 0,
    "nplmon_run_open": 1,
    "nplmon_run_chunks": 7,
    "nplmon_uncalibrated": 0,
    "nplmon_stale_after_seconds": 600,
    "nplmon_run_opened_timestamp_seconds": 100,
    "nplmon_last_update_timestamp_seconds": NOW - 30,
}
LATE = {"nplmon_last_update_timestamp_seconds": NOW - 600}
NO_CHUNK = {
    "nplmon_run_chunks": None,
    "nplmon_alarm_level": None,
    "nplmon_last_update_timestamp_seconds": None,
}
JUST_OPENED = {"nplmon_run_opened_timestamp_seconds": NOW - 5}
ALARM = {"nplmon_alarm_level": 2}
WARNING = {"nplmon_alarm_level": 1}
KNOWN = {"nplmon_alarm_acknowledged": 1}
BLIND = {"nplmon_uncalibrated": 1}
CLOSED = {"nplmon_run_open": 0}

CASES: dict[str, tuple[dict[str, float | None], str]] = {
    "nothing": ({}, "ok"),
    "alarm": (ALARM, "ALARM"),
    "alarm-late": (ALARM | LATE, "ALARM"),
    "alarm-closed": (ALARM | CLOSED | LATE, "closed"),
    "alarm-known": (ALARM | KNOWN, "acknowledged"),
    "alarm-known-late": (ALARM | KNOWN | LATE, "STALE"),
    "warning": (WARNING, "WARNING"),
    "warning-late": (WARNING | LATE, "STALE"),
    "warning-known": (WARNING | KNOWN, "acknowledged"),
    "warning-blind": (WARNING | BLIND, "WARNING"),
    "late": (LATE, "STALE"),
    "nearly-late": ({"nplmon_last_update_timestamp_seconds": NOW - 599}, "ok"),
    "late-closed": (LATE | CLOSED, "closed"),
    "blind": (BLIND, "uncalibrated"),
    "no-chunk": (NO_CHUNK | JUST_OPENED, "waiting"),
    "no-chunk-late": (NO_CHUNK, "STALE"),
    "closed": (CLOSED, "closed"),
    "no-run": (CLOSED | NO_CHUNK | {"nplmon_run_opened_timestamp_seconds": None}, "waiting"),
}


def test_the_most_urgent_state_is_shown(tmp_path: Path) -> None:
    """Eighteen monitors at once, each as two aggregators would export it: one number for each."""
    promtool = system_tool("promtool")
    rules = {"groups": [{"name": "state", "rules": [{"record": "state", "expr": state()}]}]}
    series = [
        {"series": f'{metric}{{monitor="{name}", instance="{instance}"}}', "values": f"{value}x130"}
        for name, (change, _) in CASES.items()
        for instance in ("a", "b")
        for metric, value in (IN_ORDER | change).items()
        if value is not None
    ]
    codes = {one.words: one.code for one in STATES}
    expected = [
        {"labels": f'state{{monitor="{name}"}}', "value": codes[words]} for name, (_, words) in CASES.items()
    ]
    (tmp_path / "rules.yml").write_text(json.dumps(rules), encoding="utf-8")
    (tmp_path / "test.yml").write_text(
        json.dumps(
            {
                "rule_files": ["rules.yml"],
                "evaluation_interval": "30s",
                "tests": [
                    {
                        "interval": "30s",
                        "input_series": series,
                        "promql_expr_test": [
                            {"expr": "state", "eval_time": f"{NOW}s", "exp_samples": expected}
                        ],
                    }
                ],
            }
        ),
        encoding="utf-8",
    )
    answer = execute(promtool, "test", "rules", tmp_path / "test.yml")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_state_is_tried() -> None:
    assert {words for _, words in CASES.values()} == {one.words for one in STATES}
    assert [one.code for one in STATES] == list(range(len(STATES)))
